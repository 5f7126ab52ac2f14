// SPDX-License-Identifier: MIT OR Apache-2.0
//! Yielding calls: started on a thread of the VM's partition, suspended and resumed.

use super::{command, only, unknown, unserved};
use crate::arch::{Answer, Arguments, ThisCpu};
use crate::call::Call;
use crate::memory::pages::PAGE_SIZE;
use crate::msg::Message;
use crate::msg::buffer::Buffer;
use crate::nexus::current::{Departure, Inside, Work};
use crate::nexus::tee::Tee;
use crate::partition::shm::Cookie;
use crate::partition::threads::Stopped;
use crate::trace::{self, Refusal, event, refused};
use shared_abi::client::ClientId;
use shared_abi::optee_smc::{self as smc, ReturnCode, from_halves};
use shared_abi::smccc::FunctionId;

/// Says whether this is a yielding function.
const fn is_offered(function: FunctionId) -> bool {
    matches!(
        function,
        smc::OPTEE_SMC_CALL_RETURN_FROM_RPC
            | smc::OPTEE_SMC_CALL_WITH_ARG
            | smc::OPTEE_SMC_CALL_WITH_RPC_ARG
            | smc::OPTEE_SMC_CALL_WITH_REGD_ARG
    )
}

impl Tee {
    /// Answers a yielding call, or goes on with one. Runs on the CPU's own stack; the call itself on its thread's.
    pub fn yielding(&self, cpu: &mut ThisCpu, x: &Arguments) -> Answer {
        let function = FunctionId(x[0] as u32);
        let Some(ClientId::Vm(id)) = ClientId::from_x7(x[7]) else {
            return unserved(is_offered(function), x, Refusal::NotAVm);
        };
        let Ok(current) = self.select_to_run(cpu, id) else {
            return unserved(is_offered(function), x, Refusal::UnknownVm);
        };
        let threads = current.partition().threads();
        let (thread, stopped) = match function {
            smc::OPTEE_SMC_CALL_RETURN_FROM_RPC => {
                let Ok(thread) = threads.resume(x[3] as u32) else {
                    return refused!(BadThread, x[3], only(ReturnCode::EResume));
                };
                let id = thread.id();
                event!(ThreadResume { thread: id as u8 });
                (id, current.go_on(thread, [x[1], x[2], x[4], x[5]].map(|x| x & 0xFFFF_FFFF)))
            }
            smc::OPTEE_SMC_CALL_WITH_ARG | smc::OPTEE_SMC_CALL_WITH_RPC_ARG | smc::OPTEE_SMC_CALL_WITH_REGD_ARG => {
                let Ok(thread) = threads.claim() else {
                    return refused!(NoThread, x[0], only(ReturnCode::EThreadLimit));
                };
                let id = thread.id();
                event!(ThreadStart { thread: id as u8, function: function.0 });
                (id, current.start::<CallWithArg>(thread, function, [x[1], x[2], x[3]].map(|x| x & 0xFFFF_FFFF)))
            }
            _ => return refused!(UnknownFunction, x[0], unknown(x)),
        };
        let (answer, suspended) = match stopped {
            Stopped::Done(code) => {
                event!(ThreadFinish { thread: thread as u8, code });
                if trace::ON {
                    let figures = current.partition().heap().figures();
                    let (used, peak, size) = (figures.allocated, figures.max_allocated, figures.size);
                    event!(Heap { used: used as u64, peak: peak as u64, size: size as u64 });
                }
                ([code, 0, 0, 0], false)
            }
            Stopped::Suspended(answer) => {
                event!(ThreadSuspend { thread: thread as u8, rpc: [answer[0], answer[1], answer[2]] });
                (answer, true)
            }
        };
        // A VM that was destroyed under its call: what is suspended can never go on.
        if current.leave() == Departure::Destroyed && suspended {
            return refused!(VmIsGoing, x[7], only(ReturnCode::ENotAvail));
        }
        answer
    }
}

/// CALL_WITH_ARG, and the other two that bring a message.
struct CallWithArg;

impl Work for CallWithArg {
    #[inline(always)]
    fn run(inside: Inside<'_>, function: FunctionId, arguments: [u64; 3]) -> ReturnCode {
        run(inside, function, arguments)
    }
}

/// Runs the call itself, on its thread.
fn run(inside: Inside<'_>, function: FunctionId, [a1, a2, a3]: [u64; 3]) -> ReturnCode {
    let tee = inside.tee();
    let (buffer, at) = match function {
        smc::OPTEE_SMC_CALL_WITH_REGD_ARG => {
            let shm = inside.partition().shm();
            let buffer = Cookie::new(from_halves(a1, a2)).and_then(|cookie| shm.enter(cookie));
            (buffer.map(Buffer::registered), a3 as usize)
        }
        _ => {
            // As OP-TEE has it: a message outside registered memory has a page of its own.
            let pa = from_halves(a1, a2);
            let aligned = pa.is_multiple_of(PAGE_SIZE as u64);
            let range = aligned.then(|| tee.claim(pa, PAGE_SIZE as u64)).flatten();
            (range.map(Buffer::contiguous), 0)
        }
    };
    let Some(buffer) = buffer else {
        return match function {
            smc::OPTEE_SMC_CALL_WITH_REGD_ARG => refused!(UnknownCookie, from_halves(a1, a2), ReturnCode::EBadAddr),
            _ => refused!(BadAddress, from_halves(a1, a2), ReturnCode::EBadAddr),
        };
    };
    let with_rpc = function != smc::OPTEE_SMC_CALL_WITH_ARG;
    let mut message = Message::new();
    let Ok(rpc_at) = message.fetch(tee, &buffer, at, with_rpc) else {
        return refused!(BadMessage, from_halves(a1, a2), ReturnCode::EBadAddr);
    };
    let call = Call::new(inside, rpc_at.map(|at| (&buffer, at)));
    let known = command::handle(&call, &mut message);
    call.finish();
    if known.is_err() {
        return ReturnCode::EBadCmd;
    }
    match message.reply(tee, &buffer, at) {
        Ok(()) => ReturnCode::Ok,
        Err(_) => refused!(BadAddress, from_halves(a1, a2), ReturnCode::EBadAddr),
    }
}
