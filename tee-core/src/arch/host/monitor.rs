//! What the monitor does on the machine: it boots the TEE, takes calls to it, and its answers back.

use super::cpu;
use super::machine::Machine;
use crate::arch::ThisCpu;
use crate::entry::{Answer, Arguments};
use crate::nexus::ns_ram::NsRam;
use crate::tee::Tee;
use crate::trace;
use shared_abi::layout::Range;
use shared_abi::smccc::FunctionId;

/// A TEE on a machine with this non-secure RAM, of which it is told of `known`, and with these pages for VMs.
pub fn boot(ram: Range, known: &[Range], pages: Range) -> Tee {
    let mut ns_ram = NsRam::new();
    for range in known {
        ns_ram.add(*range).expect("RAM that is not secure");
    }
    let tee = Tee::new(Machine::new(ram));
    // SAFETY: an access to what the fake machine doesn't have is a panic.
    unsafe { tee.set_ns_ram(ns_ram) };
    // SAFETY: the fake machine is this TEE's alone, and has no image in its secure memory.
    tee.pool.with(|pool| unsafe { pool.add(pages.base, pages.end()) });
    tee
}

impl Tee {
    /// A call on this CPU, fast or yielding by its function id.
    pub fn smc(&self, x: &Arguments) -> Answer {
        trace::called(x);
        let answer = cpu::in_call(|| {
            // SAFETY: this CPU is in no other call.
            let mut cpu = unsafe { ThisCpu::new() };
            if FunctionId(x[0] as u32).is_fast() { self.fast(&mut cpu, x) } else { self.yielding(&mut cpu, x) }
        });
        trace::answered(&answer);
        self.machine.assert_idle();
        answer
    }
}
