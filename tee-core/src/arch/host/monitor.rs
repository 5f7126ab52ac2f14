//! What the monitor does on the machine: it takes calls to the TEE, and its answers back.

use crate::entry::{Answer, Arguments};
use crate::tee::Tee;
use crate::trace;
use shared_abi::smccc::FunctionId;

impl Tee {
    /// A call on this CPU, fast or yielding by its function id.
    pub fn smc(&self, arguments: &Arguments) -> Answer {
        trace::called(arguments);
        let fast = FunctionId(arguments[0] as u32).is_fast();
        let answer = if fast { self.fast(arguments) } else { self.yielding(arguments) };
        trace::answered(&answer);
        self.machine.assert_idle();
        answer
    }
}
