// SPDX-License-Identifier: MIT OR Apache-2.0
//! The TEE, by the ABI of TF-A's OP-TEE dispatcher ([`shared_abi::opteed`]).
//!
//! Every entry into the TEE is an errand that its return must fit; what comes out of turn breaks the contract, and the
//! TEE is not entered again on that CPU. Nothing of the TEE's registers but the results of a call reaches the normal
//! world.

use super::payload::SecurePayload;
use super::{Service, refuse};
use crate::complaints::complain;
use crate::trace::{Refusal, refused};
use crate::world::call::{Answer, UNKNOWN};
use crate::world::context::{Level, World};
use crate::world::cpu::Cpu;
use crate::world::next::{Next, Step, Verdict};
use crate::world::tee::{Errand, VectorTable};
use core::sync::atomic::{AtomicU64, Ordering};
use shared_abi::layout;
use shared_abi::opteed::{self, Vector};
use shared_abi::smccc::FunctionId;

/// The family, and the TEE's state.
pub struct Opteed {
    /// The TEE's vector table; 0 as long as there is no TEE to talk to.
    vectors: AtomicU64,
}

impl Service for Opteed {
    /// Takes the trusted OS's ids, as TF-A has them: owners 50 to 63, fast and yielding. Trusted applications (48, 49)
    /// have no calls of their own.
    #[inline(always)]
    fn owns(id: FunctionId) -> bool {
        id.is_of_trusted_os()
    }

    /// Sends a call to the TEE.
    #[inline(always)]
    fn frequent(&self, cpu: &mut Cpu, id: FunctionId) -> Option<World> {
        into_tee(cpu, id).then_some(World::Secure)
    }

    fn handle(&self, cpu: &mut Cpu, from: World, id: FunctionId) -> Next {
        match from {
            World::Normal if into_tee(cpu, id) => Next::Enter(World::Secure),
            World::Normal => refuse(cpu, from, why_not(id)),
            World::Secure if Self::out_of_tee(cpu) => Next::Enter(World::Normal),
            World::Secure if is_return(id) => self.returned(cpu, id),
            World::Secure => refuse(cpu, from, Refusal::UnknownFunction),
        }
    }
}

impl Opteed {
    /// Makes one that knows no TEE yet.
    pub const fn new() -> Self {
        Self { vectors: AtomicU64::new(0) }
    }

    /// Says whether the TEE has answered its first entry.
    pub fn is_ready(&self) -> bool {
        self.vectors().is_some()
    }

    /// Prepares the TEE's first entry, on the CPU that boots: x0 is the pageable part (none), x1 the size of its
    /// memory, x2 the device tree.
    pub fn prepare(cpu: &mut Cpu, entry: u64, dtb: u64) {
        cpu.secure.start(entry, Level::El1, &[0, layout::TEE.size, dtb]);
        cpu.tee.begin(Errand::Entry);
    }

    /// Sends a secure interrupt that came while the normal world ran to the TEE. `None` if there is none to take it.
    pub fn interrupt(cpu: &mut Cpu) -> Option<Next> {
        enter(cpu, Errand::Interrupt, Vector::Fiq).then_some(Next::Enter(World::Secure))
    }

    /// Brings the TEE's answer to a call into the normal world's registers. False, with nothing changed, if that is not
    /// what the TEE is calling for.
    #[inline(always)]
    pub fn out_of_tee(cpu: &mut Cpu) -> bool {
        const DONE: FunctionId = opteed::TEESMC_OPTEED_RETURN_CALL_DONE;
        if cpu.secure.gpr[0] as u32 != DONE.0 || cpu.tee.errand() != Errand::Call {
            return false;
        }
        let [_, x1, x2, x3, x4, ..] = cpu.secure.arguments(DONE);
        cpu.tee.returned();
        cpu.normal.answer(Answer::Four([x1, x2, x3, x4]));
        true
    }

    fn vectors(&self) -> Option<VectorTable> {
        VectorTable::new(self.vectors.load(Ordering::Acquire))
    }

    /// Ends an errand of the TEE's that is not a call, or what it was doing if it returns out of turn.
    fn returned(&self, cpu: &mut Cpu, id: FunctionId) -> Next {
        let [_, x1, ..] = cpu.secure.arguments(id);
        let errand = cpu.tee.returned();
        let verdict = match (id, errand) {
            (opteed::TEESMC_OPTEED_RETURN_ENTRY_DONE, Errand::Entry) => self.answered(cpu, x1),
            (opteed::TEESMC_OPTEED_RETURN_FIQ_DONE, Errand::Interrupt)
            | (opteed::TEESMC_OPTEED_RETURN_SYSTEM_OFF_DONE, Errand::Power(Step::SystemOff))
            | (opteed::TEESMC_OPTEED_RETURN_SYSTEM_RESET_DONE, Errand::Power(Step::SystemReset)) => Verdict::Done,
            (opteed::TEESMC_OPTEED_RETURN_ON_DONE, Errand::Power(Step::On))
            | (opteed::TEESMC_OPTEED_RETURN_OFF_DONE, Errand::Power(Step::Off))
            | (opteed::TEESMC_OPTEED_RETURN_SUSPEND_DONE, Errand::Power(Step::Suspend))
            | (opteed::TEESMC_OPTEED_RETURN_RESUME_DONE, Errand::Power(Step::Resume)) => {
                if x1 == 0 {
                    Verdict::Done
                } else {
                    complain(format_args!("cpu{}: the TEE answers {} with {x1:#x}", cpu.index(), name(id)));
                    Verdict::Failed
                }
            }
            _ => {
                complain(format_args!(
                    "cpu{}: the TEE says {} when asked for {errand:?}; it is not entered again here",
                    cpu.index(),
                    name(id)
                ));
                cpu.tee.gone();
                refused!(Refusal::BadState, id.0.into(), Verdict::Failed)
            }
        };
        self.end(cpu, errand, verdict)
    }

    /// Takes back a CPU on which the TEE has not come back in time: it was at `pc`.
    pub fn overdue(&self, cpu: &mut Cpu, pc: u64) -> Next {
        let errand = cpu.tee.returned();
        let (index, seconds) = (cpu.index(), errand.patience());
        match errand {
            Errand::Entry => complain(format_args!(
                "cpu{index}: the TEE does not come back from its first entry, and is at {pc:#x} after {seconds} s: \
                 the machine goes on without it"
            )),
            _ => complain(format_args!(
                "cpu{index}: the TEE does not begin here, and is at {pc:#x} after {seconds} s: the CPU stays off; \
                 a TEE made for more CPUs would begin, and a machine of fewer not ask"
            )),
        }
        cpu.tee.gone();
        refused!(Refusal::BadState, pc, self.end(cpu, errand, Verdict::Failed))
    }

    /// Ends an errand with this verdict on it.
    fn end(&self, cpu: &mut Cpu, errand: Errand, verdict: Verdict) -> Next {
        match errand {
            Errand::Entry => Next::Boot,
            Errand::Call => {
                cpu.normal.answer(UNKNOWN);
                Next::Enter(World::Normal)
            }
            Errand::None | Errand::Interrupt => Next::Enter(World::Normal),
            Errand::Power(step) => {
                self.follow(cpu, step, verdict);
                Next::Power(step, verdict)
            }
        }
    }

    /// Takes the TEE's vector table, with which it answers its first entry.
    fn answered(&self, cpu: &mut Cpu, table: u64) -> Verdict {
        let Some(vectors) = VectorTable::new(table) else {
            log::error!("the TEE's vector table {table:#x} is not in its memory");
            return refused!(Refusal::BadAddress, table, Verdict::Failed);
        };
        cpu.tee.ready(vectors);
        self.vectors.store(vectors.address(), Ordering::Release);
        Verdict::Done
    }

    /// Notes what a step makes of the TEE on this CPU.
    fn follow(&self, cpu: &mut Cpu, step: Step, verdict: Verdict) {
        match (step, verdict) {
            (Step::On, Verdict::Done) => {
                if let Some(vectors) = self.vectors() {
                    cpu.tee.ready(vectors);
                }
            }
            (Step::On | Step::Resume, Verdict::Failed) | (Step::Off, Verdict::Done) => cpu.tee.gone(),
            _ => {}
        }
    }
}

impl SecurePayload for Opteed {
    fn tell(&self, cpu: &mut Cpu, step: Step) -> Option<Next> {
        let vector = match step {
            Step::On => {
                // The one entry that is taken with the MMU off, and on every CPU if on any.
                cpu.secure.start(self.vectors()?.entry(Vector::CpuOn), Level::El1, &[]);
                cpu.tee.begin(Errand::Power(step));
                return Some(Next::BeginSecure);
            }
            Step::Off => Vector::CpuOff,
            Step::Suspend => Vector::CpuSuspend,
            Step::Resume => Vector::CpuResume,
            Step::SystemOff => Vector::SystemOff,
            Step::SystemReset => Vector::SystemReset,
        };
        // The TEE is what runs on a CPU that wakes up, if it was told of the suspension.
        let next = if step == Step::Resume { Next::Redirect } else { Next::Enter(World::Secure) };
        enter(cpu, Errand::Power(step), vector).then_some(next)
    }
}

/// Points the TEE of this CPU to an entry whose arguments are all 0: x0 of `cpu_suspend` and `cpu_resume` is the
/// deepest power level, and the CPU's own, 0, is the only one. False, with nothing changed, if there is no TEE to
/// enter.
fn enter(cpu: &mut Cpu, errand: Errand, vector: Vector) -> bool {
    let there = aim(cpu, errand, vector);
    if there {
        cpu.secure.gpr[..8].fill(0);
    }
    there
}

/// Points the TEE of this CPU to one of its entries. False, with nothing changed, if there is no TEE to enter.
#[inline(always)]
fn aim(cpu: &mut Cpu, errand: Errand, vector: Vector) -> bool {
    let entry = cpu.tee.send(errand, vector);
    if let Some(entry) = entry {
        cpu.secure.elr = entry;
    }
    entry.is_some()
}

/// Sends a call of the normal world to the TEE. False, with nothing changed, if there is none on this CPU, or if the
/// call is what the TEE says to the monitor: that is nobody else's to say.
///
/// OP-TEE's ABI is SMC32 throughout, its answers are 32 bits, and so it could not say of an SMC64 function that it does
/// not know it: that is -1 in all of X0 (SMCCC 1.4 §5.2). The monitor says it.
#[inline(always)]
fn into_tee(cpu: &mut Cpu, id: FunctionId) -> bool {
    let vector = if id.is_fast() { Vector::Fast } else { Vector::Yield };
    if is_return(id) || id.is_64() || !aim(cpu, Errand::Call, vector) {
        return false;
    }
    let arguments = cpu.normal.arguments(id);
    cpu.secure.gpr[..8].copy_from_slice(&arguments);
    true
}

/// Says why a call of the normal world does not reach the TEE.
fn why_not(id: FunctionId) -> Refusal {
    if is_return(id) {
        Refusal::NotForCaller
    } else if id.is_64() {
        Refusal::UnknownFunction
    } else {
        Refusal::NoTee
    }
}

/// Names an id by which the TEE returns, as the ABI does. Of all function ids' names the monitor needs no others.
fn name(id: FunctionId) -> &'static str {
    opteed::NAMES.iter().find(|(known, _)| *known == id).map_or("an unknown return", |(_, name)| name)
}

/// Says whether the id is one of those by which the TEE returns: the first nine of sixteen that differ in four bits.
#[inline(always)]
const fn is_return(id: FunctionId) -> bool {
    const FIRST: u32 = opteed::TEESMC_OPTEED_RETURN_ENTRY_DONE.0;
    const LAST: u32 = opteed::TEESMC_OPTEED_RETURN_SYSTEM_RESET_DONE.0;
    const { assert!(FIRST & 0xF == 0 && LAST == FIRST + 8) };
    id.0 ^ FIRST <= LAST - FIRST
}

#[cfg(test)]
mod tests;
