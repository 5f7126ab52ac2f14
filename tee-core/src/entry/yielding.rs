//! Yielding calls: started on a thread of the VM's partition, suspended and resumed.

use super::call::Call;
use super::{Answer, Arguments, only, unknown};
use crate::arch::{self, Exit};
use crate::msg;
use crate::msg::buffer::Buffer;
use crate::nexus::current::Departure;
use crate::nexus::pages::PAGE_SIZE;
use crate::nexus::vms::SlotIndex;
use crate::partition::Partition;
use crate::partition::shm::Cookie;
use crate::partition::threads::{Suspended, ThreadId};
use crate::tee::Tee;
use crate::trace::{self, event, refused};
use shared_abi::client::ClientId;
use shared_abi::optee_smc::{self as smc, ReturnCode, Rpc, from_halves};
use shared_abi::smccc::FunctionId;

/// What a thread is started with.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Whose call it is.
    pub slot: SlotIndex,
    /// The thread.
    pub thread: ThreadId,
    /// What is called.
    pub function: FunctionId,
    /// The caller's x1 to x3.
    pub arguments: [u64; 3],
}

impl Tee {
    /// A yielding call, or going on with one. Runs on the CPU's own stack; the call itself on its thread's.
    pub fn yielding(&self, x: &Arguments) -> Answer {
        let Some(ClientId::Vm(id)) = ClientId::from_x7(x[7]) else {
            return refused!(NotAVm, x[7], only(ReturnCode::ENotAvail));
        };
        let Ok(current) = self.select(id, true) else {
            return refused!(UnknownVm, x[7], only(ReturnCode::ENotAvail));
        };
        let threads = &current.partition().threads;
        let function = FunctionId(x[0] as u32);
        let (thread, exit) = match function {
            smc::OPTEE_SMC_CALL_RETURN_FROM_RPC => {
                let Ok(thread) = threads.resume(x[3] as u32) else {
                    return refused!(BadThread, x[3], only(ReturnCode::EResume));
                };
                event!(ThreadResume { thread: thread.id() as u8 });
                let exit = thread.go_on(self, [x[1], x[2], x[4], x[5]].map(|x| x & 0xFFFF_FFFF));
                (thread, exit)
            }
            smc::OPTEE_SMC_CALL_WITH_ARG | smc::OPTEE_SMC_CALL_WITH_RPC_ARG | smc::OPTEE_SMC_CALL_WITH_REGD_ARG => {
                let Ok(thread) = threads.claim() else {
                    return refused!(NoThread, x[0], only(ReturnCode::EThreadLimit));
                };
                event!(ThreadStart { thread: thread.id() as u8, function: function.0 });
                let arguments = [x[1], x[2], x[3]].map(|x| x & 0xFFFF_FFFF);
                let exit = thread.start(self, Start { slot: current.slot(), thread: thread.id(), function, arguments });
                (thread, exit)
            }
            _ => return refused!(UnknownFunction, x[0], unknown(x)),
        };
        let (answer, suspended) = match exit {
            Exit::Done(code) => {
                event!(ThreadFinish { thread: thread.id() as u8, code });
                trace::heap(&current.partition().heap);
                thread.finish();
                ([code, 0, 0, 0], false)
            }
            Exit::Rpc([rpc, a, b]) => {
                event!(ThreadSuspend { thread: thread.id() as u8, rpc: [rpc, a, b] });
                ([rpc, a, b, thread.suspend(Suspended::Rpc).into()], true)
            }
            Exit::ForeignInterrupt => {
                event!(ThreadSuspend { thread: thread.id() as u8, rpc: [Rpc::ForeignIntr.x0(), 0, 0] });
                ([Rpc::ForeignIntr.x0(), 0, 0, thread.suspend(Suspended::ForeignInterrupt).into()], true)
            }
        };
        // A VM that was destroyed under its call: what is suspended can never go on.
        if current.leave() == Departure::Destroyed && suspended {
            return refused!(VmIsGoing, x[7], only(ReturnCode::ENotAvail));
        }
        answer
    }
}

/// The call itself, on its thread.
pub fn run(tee: &Tee, partition: &Partition, start: Start) -> ReturnCode {
    let [a1, a2, a3] = start.arguments;
    let (message, at) = match start.function {
        smc::OPTEE_SMC_CALL_WITH_REGD_ARG => {
            let buffer = Cookie::new(from_halves(a1, a2)).and_then(|cookie| partition.shm.enter(cookie));
            (buffer.map(Buffer::registered), a3 as usize)
        }
        _ => {
            // As OP-TEE has it: a message outside registered memory has a page of its own.
            let pa = from_halves(a1, a2);
            let aligned = pa.is_multiple_of(PAGE_SIZE as u64);
            let range = aligned.then(|| tee.ns_ram().claim(pa, PAGE_SIZE as u64)).flatten();
            (range.map(Buffer::contiguous), 0)
        }
    };
    let Some(buffer) = message else {
        return match start.function {
            smc::OPTEE_SMC_CALL_WITH_REGD_ARG => refused!(UnknownCookie, from_halves(a1, a2), ReturnCode::EBadAddr),
            _ => refused!(BadAddress, from_halves(a1, a2), ReturnCode::EBadAddr),
        };
    };
    let with_rpc = start.function != smc::OPTEE_SMC_CALL_WITH_ARG;
    let mut message = msg::Message::new();
    let Ok(rpc_at) = message.fetch(tee, &buffer, at, with_rpc) else {
        return refused!(BadMessage, from_halves(a1, a2), ReturnCode::EBadAddr);
    };
    let call = Call::new(tee, partition, start.slot, start.thread, rpc_at.map(|at| (&buffer, at)));
    let known = msg::handle(&call, &mut message);
    call.finish();
    if known.is_err() {
        return ReturnCode::EBadCmd;
    }
    match message.reply(tee, &buffer, at) {
        Ok(()) => ReturnCode::Ok,
        Err(_) => refused!(BadAddress, from_halves(a1, a2), ReturnCode::EBadAddr),
    }
}

/// Asks the normal world something: suspends the thread until the answer is there.
pub(crate) fn ask(rpc: Rpc, value: u64) -> [u64; 4] {
    let (high, low) = match rpc {
        // A size, not a cookie: it stands in x1 alone.
        Rpc::Alloc => (value, 0),
        _ => smc::to_halves(value),
    };
    arch::suspend([rpc.x0(), high, low])
}
