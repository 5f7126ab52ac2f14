//! From a function id to the service that owns it, and from its answer to what the CPU does next.

use crate::context::{Context, Cpu, World};
use crate::predictor::Predictor;
use crate::services::arch;
use crate::services::opteed::{self, Opteed};
use crate::services::psci::{self, Psci};
use crate::trace::{Refusal, refused};
use shared_abi::psci as abi;
use shared_abi::smccc::{self, FunctionId, NOT_SUPPORTED, in_x0};

/// What the CPU does when a handler is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Goes on in this world; the one that came is kept.
    Enter(World),
    /// Begins the normal world anew in the context prepared for it. The TEE is kept if it came from there.
    BeginNormal,
    /// Begins the TEE anew on this CPU; nothing else is worth keeping.
    BeginSecure,
    /// Goes on in the TEE, where it came from, but at another of its entries.
    Redirect,
    /// Waits for an interrupt, then goes on where the call came from.
    Standby,
    /// Waits for an interrupt, then [`Monitor::woken`].
    PowerDown,
    /// Off, until it is switched on again.
    Park,
    /// The TEE has answered its first entry; the normal world is to begin.
    Boot,
    /// Switches the machine off.
    SystemOff,
    /// Resets the machine.
    SystemReset,
}

/// A family of calls: it owns a range of function ids and answers them.
pub trait Service {
    /// Whether the id is one of the family's. Ids of the range that it does not know are the family's to refuse.
    fn owns(id: FunctionId) -> bool;
}

/// The monitor's services.
pub struct Monitor {
    /// Power.
    pub psci: Psci,
    /// The TEE.
    pub tee: Opteed,
}

/// The answer to what nobody serves: x0 is -1, and no other result register keeps anything.
pub const UNKNOWN: [u64; 4] = [in_x0(NOT_SUPPORTED), 0, 0, 0];

impl Monitor {
    /// Services that find nobody there: no CPUs, no TEE. `wake` is how a waiting CPU is told to look.
    pub const fn new(wake: fn(u64)) -> Self {
        Self { psci: Psci::new(wake), tee: Opteed::new() }
    }

    /// Handles the SMC whose registers are in the context of `from`.
    pub fn smc(&self, cpu: &mut Cpu, from: World) -> Next {
        let frequent = match from {
            World::Normal => self.frequent_of_normal_world(cpu),
            World::Secure => self.frequent_of_tee(cpu),
        };
        match frequent {
            Some(to) => Next::Enter(to),
            None => self.rare(cpu, from),
        }
    }

    /// The calls whose cost counts, of the normal world: into the TEE, and the two versions by which everybody measures
    /// a monitor. `None`, with nothing changed, for every other.
    #[inline(always)]
    pub fn frequent_of_normal_world(&self, cpu: &mut Cpu) -> Option<World> {
        let id = function(cpu.normal.gpr[0] as u32)?;
        if Opteed::owns(id) {
            return opteed::into_tee(cpu, id).then_some(World::Secure);
        }
        let version = match id {
            smccc::SMCCC_VERSION => arch::VERSION,
            abi::PSCI_VERSION => psci::VERSION,
            _ => return None,
        };
        cpu.normal.answer([version, 0, 0, 0]);
        Some(World::Normal)
    }

    /// What a hypervisor may call whenever a guest leaves: frequent where it is called at all, and looked for after the
    /// others so that those do not pay for it. Whether it was that.
    #[inline(always)]
    pub fn forgetting(&self, cpu: &mut Cpu) -> bool {
        let called = function(cpu.normal.gpr[0] as u32) == Some(smccc::SMCCC_ARCH_WORKAROUND_1);
        let served = called && cpu.predictor != Predictor::Unknown;
        if served {
            cpu.predictor.forget();
            cpu.normal.answer([0; 4]);
        }
        served
    }

    /// The frequent calls of the TEE: the return from a call.
    #[inline(always)]
    pub fn frequent_of_tee(&self, cpu: &mut Cpu) -> Option<World> {
        opteed::out_of_tee(cpu).then_some(World::Normal)
    }

    /// Every call, by who owns its id.
    pub fn rare(&self, cpu: &mut Cpu, from: World) -> Next {
        let Some(id) = function(cpu.context(from).gpr[0] as u32) else { return unknown(cpu, from) };
        match from {
            _ if arch::Arch::owns(id) => {
                let results = arch::Arch::call(id, cpu.context(from).gpr[1] as u32, cpu.predictor);
                // That a feature is not there is an answer.
                if results == UNKNOWN && id != smccc::SMCCC_ARCH_FEATURES {
                    refused!(Refusal::UnknownFunction, id.0.into(), ());
                }
                cpu.context(from).answer(results);
                Next::Enter(from)
            }
            // A call into the TEE that was not frequent is one that cannot be made.
            World::Secure if Opteed::owns(id) => self.returned(cpu, id),
            // Power is the normal world's to switch.
            World::Normal if Psci::owns(id) => self.power(cpu, id),
            _ => unknown(cpu, from),
        }
    }
}

/// Nobody's call.
fn unknown(cpu: &mut Cpu, from: World) -> Next {
    let context = cpu.context(from);
    context.answer(refused!(why_unknown(context.gpr[0] as u32, from), context.gpr[0], UNKNOWN));
    Next::Enter(from)
}

/// Why nobody serves a call.
fn why_unknown(w0: u32, from: World) -> Refusal {
    match (function(w0), from) {
        (Some(id), World::Normal) if Opteed::owns(id) => opteed::why_not(id),
        (Some(id), World::Secure) if Psci::owns(id) => Refusal::NotForCaller,
        _ => Refusal::UnknownFunction,
    }
}

/// The id and arguments of a call. Of an SMC32 call bits 63:32 are not part of any argument, whatever the caller left
/// there (SMCCC 1.4 §3.1).
#[inline(always)]
pub fn arguments(id: FunctionId, context: &Context) -> [u64; 8] {
    let mask = if id.is_64() { u64::MAX } else { 0xFFFF_FFFF };
    let [_, x1, x2, x3, x4, x5, x6, x7, ..] = context.gpr;
    [u64::from(id.0), x1 & mask, x2 & mask, x3 & mask, x4 & mask, x5 & mask, x6 & mask, x7 & mask]
}

/// The function id in w0. Bit 16 only says that SVE state is dead (SMCCC 1.4 §2.5) and is not part of what is asked for;
/// bits 23:17 of a fast call must be zero.
#[inline(always)]
fn function(w0: u32) -> Option<FunctionId> {
    const FAST: u32 = 1 << 31;
    const SVE_HINT: u32 = 1 << 16;
    const RESERVED: u32 = 0x00FE_0000;
    let malformed = w0 & FAST != 0 && w0 & RESERVED != 0;
    (!malformed).then_some(FunctionId(w0 & !SVE_HINT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::{psci, smccc};

    fn monitor() -> Monitor {
        Monitor::new(|_| {})
    }

    fn asked(w0: u64, from: World) -> Cpu {
        let mut cpu = Cpu::default();
        for (n, register) in cpu.context(from).gpr.iter_mut().enumerate() {
            *register = 0x1111_0000_0000_0000 + n as u64;
        }
        cpu.context(from).gpr[0] = w0;
        cpu
    }

    #[test]
    fn nobody_serves_an_unknown_id_and_the_answer_is_minus_one_with_nothing_beside() {
        for id in
            [0x8000_7777u64, 0x8100_0000, 0x8200_0000, 0x8300_0000, 0x8500_0000, 0x8600_FF01, 0x8700_0000, 0xB000_0000]
        {
            let mut cpu = asked(id, World::Normal);
            assert_eq!(monitor().smc(&mut cpu, World::Normal), Next::Enter(World::Normal));
            assert_eq!(cpu.normal.gpr[..4], [u64::MAX, 0, 0, 0], "{id:#x}");
        }
    }

    #[test]
    fn x4_to_x30_are_as_the_caller_left_them() {
        for id in [0x8000_0000u64, 0x8000_7777, 0x8400_0000, 0x8400_000A, 0xC400_0004, 0xB200_0001, 0x3200_0004] {
            let mut cpu = asked(id, World::Normal);
            let before = cpu.normal.gpr;
            monitor().smc(&mut cpu, World::Normal);
            assert_eq!(cpu.normal.gpr[4..], before[4..], "{id:#x}");
        }
    }

    #[test]
    fn the_sve_hint_is_not_part_of_a_fast_id_and_other_reserved_bits_are_refused() {
        let mut cpu = asked(u64::from(smccc::SMCCC_VERSION.0) | 1 << 16, World::Normal);
        monitor().smc(&mut cpu, World::Normal);
        assert_eq!(cpu.normal.gpr[0], 0x1_0004);
        for bit in 17..24 {
            let mut cpu = asked(u64::from(smccc::SMCCC_VERSION.0) | 1 << bit, World::Normal);
            monitor().smc(&mut cpu, World::Normal);
            assert_eq!(cpu.normal.gpr[0], u64::MAX);
        }
    }

    #[test]
    fn bits_above_the_id_in_x0_do_not_matter() {
        let mut cpu = asked(0xDEAD_0000_8000_0000, World::Normal);
        monitor().smc(&mut cpu, World::Normal);
        assert_eq!(cpu.normal.gpr[..4], [0x1_0004, 0, 0, 0]);
    }

    #[test]
    fn the_tee_may_ask_the_architecture_but_not_switch_power() {
        let mut cpu = asked(smccc::SMCCC_VERSION.0.into(), World::Secure);
        assert_eq!(monitor().smc(&mut cpu, World::Secure), Next::Enter(World::Secure));
        assert_eq!(cpu.secure.gpr[0], 0x1_0004);
        let mut cpu = asked(psci::PSCI_SYSTEM_OFF.0.into(), World::Secure);
        assert_eq!(monitor().smc(&mut cpu, World::Secure), Next::Enter(World::Secure));
        assert_eq!(cpu.secure.gpr[0], u64::MAX);
    }

    #[test]
    fn smc32_arguments_are_32_bits_in_x1_to_x7() {
        let mut context = Context::default();
        context.gpr[..8].fill(0xFFFF_FFFF_0000_0001);
        let narrow = arguments(FunctionId(0xB200_0001), &context);
        assert_eq!(narrow, [0xB200_0001, 1, 1, 1, 1, 1, 1, 1]);
        let wide = arguments(FunctionId(0xF200_0001), &context);
        assert_eq!(wide[1..], [0xFFFF_FFFF_0000_0001; 7]);
    }
}
