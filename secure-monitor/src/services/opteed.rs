//! The TEE, by the ABI of TF-A's OP-TEE dispatcher ([`shared_abi::opteed`]).
//!
//! Every entry into the TEE is an errand that its return must fit; what comes out of turn breaks the contract, and the
//! TEE is not entered again on that CPU. Nothing of the TEE's registers but the results of a call reaches the normal
//! world.

use crate::complaints::complain;
use crate::context::{Answer, Cpu, Errand, World};
use crate::dispatch::{Monitor, Next, Service, UNKNOWN, arguments};
use crate::trace::{Refusal, refused};
use core::sync::atomic::{AtomicU64, Ordering};
use shared_abi::layout;
use shared_abi::opteed::{self, Vector};
use shared_abi::smccc::FunctionId;

/// PSTATE at the TEE's entries: EL1 with its own stack pointer, all interrupts masked.
const SPSR_EL1H: u64 = 0x3C5;

/// The family, and the TEE's state.
pub struct Opteed {
    /// The TEE's vector table; 0 as long as there is no TEE to talk to.
    vectors: AtomicU64,
}

impl Service for Opteed {
    /// The trusted OS, as TF-A has it: owners 50 to 63, fast and yielding. Trusted applications (48, 49) have no calls
    /// of their own.
    #[inline(always)]
    fn owns(id: FunctionId) -> bool {
        // `id.owner()` would first tell the other sixty-three apart.
        (id.0 >> 24) & 0x3F >= 50
    }
}

/// What the TEE's return means for the normal world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// As asked.
    Done,
    /// The TEE refused, or broke the contract and is gone.
    Failed,
}

impl Opteed {
    /// No TEE.
    pub const fn new() -> Self {
        Self { vectors: AtomicU64::new(0) }
    }

    /// Whether the TEE has answered its first entry.
    pub fn is_ready(&self) -> bool {
        self.vectors.load(Ordering::Relaxed) != 0
    }

    /// Prepares the TEE's first entry, on the CPU that boots: x0 is the pageable part (none), x1 the size of its
    /// memory, x2 the device tree.
    pub fn prepare(&self, cpu: &mut Cpu, entry: u64, dtb: u64) {
        cpu.secure.start(entry, SPSR_EL1H, &[0, layout::TEE.size, dtb]);
        cpu.errand = Errand::Entry;
    }
}

/// Points the TEE of this CPU to one of its entries. False if there is none to enter.
#[inline(always)]
fn aim(cpu: &mut Cpu, vector: Vector, errand: Errand) -> bool {
    if cpu.tee_vectors == 0 {
        return false;
    }
    cpu.secure.elr = cpu.tee_vectors + vector.offset();
    cpu.errand = errand;
    true
}

impl Default for Opteed {
    fn default() -> Self {
        Self::new()
    }
}

/// Sends a call of the normal world to the TEE. False, with nothing changed, if there is none on this CPU, or if the
/// call is what the TEE says to the monitor: that is nobody else's to say.
///
/// OP-TEE's ABI is SMC32 throughout, its answers are 32 bits, and so it could not say of an SMC64 function that it does
/// not know it: that is -1 in all of X0 (SMCCC 1.4 §5.2). The monitor says it.
#[inline(always)]
pub(crate) fn into_tee(cpu: &mut Cpu, id: FunctionId) -> bool {
    let vector = if id.is_fast() { Vector::Fast } else { Vector::Yield };
    if is_return(id) || id.is_64() || !aim(cpu, vector, Errand::Call) {
        return false;
    }
    let arguments = arguments(id, &cpu.normal);
    cpu.secure.gpr[..8].copy_from_slice(&arguments);
    true
}

/// Brings the TEE's answer to a call into the normal world's registers. False, with nothing changed, if that is not
/// what the TEE is calling for.
#[inline(always)]
pub(crate) fn out_of_tee(cpu: &mut Cpu) -> bool {
    const DONE: FunctionId = opteed::TEESMC_OPTEED_RETURN_CALL_DONE;
    if cpu.secure.gpr[0] as u32 != DONE.0 || cpu.errand != Errand::Call {
        return false;
    }
    let [_, x1, x2, x3, x4, ..] = arguments(DONE, &cpu.secure);
    cpu.errand = Errand::None;
    cpu.normal.answer(Answer::Four([x1, x2, x3, x4]));
    true
}

impl Monitor {
    /// The TEE returns from an errand that is not a call, or out of turn.
    pub(crate) fn returned(&self, cpu: &mut Cpu, id: FunctionId) -> Next {
        let [_, x1, ..] = arguments(id, &cpu.secure);
        if !is_return(id) {
            cpu.secure.answer(refused!(Refusal::UnknownFunction, id.0.into(), UNKNOWN));
            return Next::Enter(World::Secure);
        }
        let errand = core::mem::take(&mut cpu.errand);
        let outcome = match (id, errand) {
            (opteed::TEESMC_OPTEED_RETURN_ENTRY_DONE, Errand::Entry) => {
                if x1 != 0 && layout::TEE.holds(x1, Vector::TABLE_SIZE) && x1.is_multiple_of(4) {
                    cpu.tee_vectors = x1;
                    self.tee.vectors.store(x1, Ordering::Release);
                    Outcome::Done
                } else {
                    log::error!("the TEE's vector table {x1:#x} is not in its memory");
                    refused!(Refusal::BadAddress, x1, Outcome::Failed)
                }
            }
            (opteed::TEESMC_OPTEED_RETURN_FIQ_DONE, Errand::Interrupt)
            | (opteed::TEESMC_OPTEED_RETURN_SYSTEM_OFF_DONE, Errand::SystemOff)
            | (opteed::TEESMC_OPTEED_RETURN_SYSTEM_RESET_DONE, Errand::SystemReset) => Outcome::Done,
            (opteed::TEESMC_OPTEED_RETURN_ON_DONE, Errand::CpuOn)
            | (opteed::TEESMC_OPTEED_RETURN_OFF_DONE, Errand::CpuOff)
            | (opteed::TEESMC_OPTEED_RETURN_SUSPEND_DONE, Errand::Suspend)
            | (opteed::TEESMC_OPTEED_RETURN_RESUME_DONE, Errand::Resume) => {
                if x1 == 0 {
                    Outcome::Done
                } else {
                    complain(format_args!("cpu{}: the TEE answers {} with {x1:#x}", cpu.index, name(id)));
                    Outcome::Failed
                }
            }
            _ => {
                complain(format_args!(
                    "cpu{}: the TEE says {} when asked for {errand:?}; it is not entered again here",
                    cpu.index,
                    name(id)
                ));
                cpu.tee_vectors = 0;
                refused!(Refusal::BadState, id.0.into(), Outcome::Failed)
            }
        };
        self.after(cpu, errand, outcome)
    }

    /// What follows an errand, whether the TEE ran it, refused it, or is not there.
    fn after(&self, cpu: &mut Cpu, errand: Errand, outcome: Outcome) -> Next {
        let failed = outcome == Outcome::Failed;
        match errand {
            Errand::Entry => Next::Boot,
            Errand::Call => {
                cpu.normal.answer(UNKNOWN);
                Next::Enter(World::Normal)
            }
            Errand::None | Errand::Interrupt => Next::Enter(World::Normal),
            Errand::CpuOn => {
                cpu.tee_vectors = if failed { 0 } else { self.tee.vectors.load(Ordering::Acquire) };
                self.psci.started(cpu)
            }
            Errand::CpuOff if failed => self.psci.denied(cpu),
            Errand::CpuOff => {
                cpu.tee_vectors = 0;
                self.psci.stopped(cpu)
            }
            Errand::Suspend if failed => self.psci.denied(cpu),
            Errand::Suspend => Next::PowerDown,
            Errand::Resume => {
                if failed {
                    cpu.tee_vectors = 0;
                }
                self.psci.resumed(cpu)
            }
            Errand::SystemOff => Next::SystemOff,
            Errand::SystemReset => Next::SystemReset,
        }
    }

    /// Tells the TEE, if it is there, and goes on with what the errand is about.
    pub(crate) fn tell_tee(&self, cpu: &mut Cpu, errand: Errand) -> Next {
        let vector = match errand {
            Errand::CpuOff => Vector::CpuOff,
            Errand::Suspend => Vector::CpuSuspend,
            Errand::SystemOff => Vector::SystemOff,
            Errand::SystemReset => Vector::SystemReset,
            _ => return self.after(cpu, errand, Outcome::Done),
        };
        if aim(cpu, vector, errand) {
            // x0 of `cpu_suspend` is the deepest power level, and the CPU's own, 0, is the only one.
            cpu.secure.gpr[..8].fill(0);
            Next::Enter(World::Secure)
        } else {
            self.after(cpu, errand, Outcome::Done)
        }
    }

    /// A CPU was switched on: the TEE first, at the one entry that is taken with the MMU off, then the normal world.
    pub fn switched_on(&self, cpu: &mut Cpu) -> Next {
        let vectors = self.tee.vectors.load(Ordering::Acquire);
        if vectors == 0 {
            return self.psci.started(cpu);
        }
        cpu.secure.start(vectors + Vector::CpuOn.offset(), SPSR_EL1H, &[]);
        cpu.errand = Errand::CpuOn;
        Next::BeginSecure
    }

    /// A suspended CPU woke up: the TEE first, if it was told of the suspension.
    pub fn woken(&self, cpu: &mut Cpu) -> Next {
        if aim(cpu, Vector::CpuResume, Errand::Resume) {
            cpu.secure.gpr[..8].fill(0);
            Next::Redirect
        } else {
            self.psci.resumed(cpu)
        }
    }

    /// A secure interrupt came while the normal world ran. `None` if there is no TEE to take it.
    pub fn secure_interrupt(&self, cpu: &mut Cpu) -> Option<Next> {
        aim(cpu, Vector::Fiq, Errand::Interrupt).then(|| {
            cpu.secure.gpr[..8].fill(0);
            Next::Enter(World::Secure)
        })
    }
}

/// Why a call of the normal world does not reach the TEE.
pub(crate) fn why_not(id: FunctionId) -> Refusal {
    if is_return(id) {
        Refusal::NotForCaller
    } else if id.is_64() {
        Refusal::UnknownFunction
    } else {
        Refusal::NoTee
    }
}

/// What the ABI calls an id by which the TEE returns. Of all function ids' names the monitor needs no others.
fn name(id: FunctionId) -> &'static str {
    opteed::NAMES.iter().find(|(known, _)| *known == id).map_or("an unknown return", |(_, name)| name)
}

/// Whether the id is one of those by which the TEE returns.
#[inline(always)]
fn is_return(id: FunctionId) -> bool {
    id.0.wrapping_sub(opteed::TEESMC_OPTEED_RETURN_ENTRY_DONE.0) <= 8
}

#[cfg(test)]
mod tests;
