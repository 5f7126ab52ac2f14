//! From a function id to the service that owns it, and from its answer to what the CPU does next.

use crate::context::{Answer, Context, Cpu, World};
use crate::predictor::Predictor;
use crate::services::arch;
use crate::services::opteed::{self, Opteed};
use crate::services::psci::{self, Psci};
use crate::services::standard::Standard;
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
    /// The same after a suspension: what may have woken the CPU is still to be handled, so timers and interrupts stay.
    ResumeNormal,
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

/// The answer to what nobody serves: x0 is -1.
pub const UNKNOWN: Answer = Answer::One(in_x0(NOT_SUPPORTED));

impl Monitor {
    /// Services that find nobody there: no CPUs, no TEE. `wake` is how a waiting CPU is told to look.
    pub const fn new(wake: fn(u64)) -> Self {
        Self { psci: Psci::new(wake), tee: Opteed::new() }
    }

    /// Handles the SMC whose registers are in the context of `from`.
    pub fn smc(&self, cpu: &mut Cpu, from: World) -> Next {
        let frequent = match from {
            World::Secure => self.frequent_of_tee(cpu),
            World::Normal => function(cpu.normal.gpr[0] as u32).and_then(|id| {
                self.frequent_of_normal_world(cpu, id).or_else(|| self.less_frequent(cpu, id).then_some(World::Normal))
            }),
        };
        match frequent {
            Some(to) => Next::Enter(to),
            None => self.rare(cpu, from),
        }
    }

    /// The calls whose cost counts, of the normal world: into the TEE, and the two versions by which everybody measures
    /// a monitor. `None`, with nothing changed, for every other.
    #[inline(always)]
    pub fn frequent_of_normal_world(&self, cpu: &mut Cpu, id: FunctionId) -> Option<World> {
        if Opteed::owns(id) {
            return opteed::into_tee(cpu, id).then_some(World::Secure);
        }
        let version = match id {
            smccc::SMCCC_VERSION => arch::VERSION,
            abi::PSCI_VERSION => psci::VERSION,
            _ => return None,
        };
        cpu.normal.answer(Answer::One(version));
        Some(World::Normal)
    }

    /// What is frequent where it is called at all, and looked for after the others so that those do not pay for it:
    /// what a hypervisor may call whenever a guest leaves, and what one asks again and again who waits for a CPU.
    /// Whether it was one of these; nothing has changed if not.
    #[inline(always)]
    pub fn less_frequent(&self, cpu: &mut Cpu, id: FunctionId) -> bool {
        match id {
            smccc::SMCCC_ARCH_WORKAROUND_1 if cpu.predictor != Predictor::Unknown => cpu.predictor.forget(),
            // Both forms, whose ids differ in one bit.
            _ if id.0 | abi::PSCI_AFFINITY_INFO_64.0 & !abi::PSCI_AFFINITY_INFO_32.0
                == abi::PSCI_AFFINITY_INFO_64.0 =>
            {
                let [_, target, 0, ..] = arguments(id, &cpu.normal) else { return false };
                let Some(info) = self.psci.affinity_info(target) else { return false };
                cpu.normal.answer(Answer::One(info));
            }
            smccc::SMCCC_ARCH_WORKAROUND_3 if cpu.predictor.of_history() != NOT_SUPPORTED => cpu.predictor.forget(),
            _ => return false,
        }
        true
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
            _ if Standard::owns(id) => {
                cpu.context(from).answer(Standard::call(id));
                Next::Enter(from)
            }
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

/// The function id in w0. Bit 16 only says that SVE state is dead (SMCCC 1.4 §2.5) and is not part of what is asked
/// for; bits 23:17 of a fast call must be zero.
#[inline(always)]
pub fn function(w0: u32) -> Option<FunctionId> {
    const FAST: u32 = 1 << 31;
    const SVE_HINT: u32 = 1 << 16;
    const RESERVED: u32 = 0x00FE_0000;
    let malformed = w0 & FAST != 0 && w0 & RESERVED != 0;
    (!malformed).then_some(FunctionId(w0 & !SVE_HINT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::psci::{Cpus, Ram};
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
    fn nobody_serves_an_unknown_id_and_the_answer_is_minus_one_and_all_else_as_it_was() {
        for from in [World::Normal, World::Secure] {
            for id in [
                0x8000_7777u64,
                0x8100_0000,
                0x8200_0000,
                0x8300_0000,
                0x8400_0016,
                0x8400_FF02,
                0x8500_0000,
                0x8600_FF01,
                0x8700_0000,
                0xB000_0000,
                0xC400_FF01,
                0x0400_FF01,
            ] {
                let mut cpu = asked(id, from);
                let before = cpu.context(from).gpr;
                assert_eq!(monitor().smc(&mut cpu, from), Next::Enter(from));
                assert_eq!(cpu.context(from).gpr[0], u64::MAX, "{id:#x}");
                assert_eq!(cpu.context(from).gpr[1..], before[1..], "{id:#x}");
            }
        }
    }

    #[test]
    fn what_is_no_result_is_as_the_caller_left_it() {
        for (id, results) in [
            (0x8000_0000u64, 1),
            (0x8000_0001, 1),
            (0x8000_7777, 1),
            (0x8400_0000, 1),
            (0x8400_000A, 1),
            (0xB200_0001, 1),
            (0x3200_0004, 1),
            (0x8400_FF00, 1),
            (0x8400_FF01, 4),
            (0x8400_FF03, 2),
        ] {
            let mut cpu = asked(id, World::Normal);
            let before = cpu.normal.gpr;
            monitor().smc(&mut cpu, World::Normal);
            assert_ne!(cpu.normal.gpr[results - 1], before[results - 1], "{id:#x}");
            assert_eq!(cpu.normal.gpr[results..], before[results..], "{id:#x}");
        }
    }

    #[test]
    fn forgetting_has_no_result() {
        let mut cpu = asked(smccc::SMCCC_ARCH_WORKAROUND_1.0.into(), World::Normal);
        cpu.predictor = Predictor::Harmless;
        let before = cpu.normal.gpr;
        assert_eq!(monitor().smc(&mut cpu, World::Normal), Next::Enter(World::Normal));
        assert_eq!(cpu.normal.gpr, before);
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
    fn only_a_fast_id_has_reserved_bits_and_one_with_them_does_not_reach_the_tee() {
        let call = |id: u32| {
            let mut cpu = asked(id.into(), World::Normal);
            cpu.tee_vectors = shared_abi::layout::TEE.base;
            (monitor().smc(&mut cpu, World::Normal), cpu.normal.gpr[0])
        };
        assert_eq!(call(0xB200_0001).0, Next::Enter(World::Secure));
        for bit in 17..24 {
            assert_eq!(call(0xB200_0001 | 1 << bit), (Next::Enter(World::Normal), u64::MAX));
            assert_eq!(call(0x3200_0001 | 1 << bit).0, Next::Enter(World::Secure), "yielding");
        }
    }

    #[test]
    fn what_is_frequent_is_answered_before_anybody_asks_whose_it_is() {
        let known = || Cpu { predictor: Predictor::Harmless, ..Cpu::default() };
        for id in [smccc::SMCCC_VERSION, psci::PSCI_VERSION] {
            assert_eq!(monitor().frequent_of_normal_world(&mut known(), id), Some(World::Normal), "{id}");
        }
        let monitor = monitor();
        let cpus = [0].into_iter().collect();
        monitor.psci.set_cpus(Cpus::new(cpus, Ram::default(), 0));
        for id in [
            psci::PSCI_AFFINITY_INFO_32,
            psci::PSCI_AFFINITY_INFO_64,
            smccc::SMCCC_ARCH_WORKAROUND_1,
            smccc::SMCCC_ARCH_WORKAROUND_3,
        ] {
            assert!(monitor.less_frequent(&mut known(), id), "{id}");
        }
        // These differ from one of them in a bit or two, and their arguments would do.
        for id in [0xC400_0000, 0xC400_0005, 0xC000_0004, 0xC000_0000, 0x4400_0004, 0x0400_0004, 0x8000_0004, 0] {
            let mut cpu = known();
            assert!(!monitor.less_frequent(&mut cpu, FunctionId(id)), "{id:#x}");
            assert_eq!(cpu.normal.gpr, [0; 31], "{id:#x}");
        }
    }

    #[test]
    fn forgetting_is_refused_where_it_is_not_offered() {
        use Predictor::*;
        for (predictor, offered) in [
            (Unknown, [false, false]),
            (KeepsTargetsApart, [true, false]),
            (Harmless, [true, true]),
            (ForgetsWithMmu, [true, true]),
        ] {
            for (id, offered) in
                [smccc::SMCCC_ARCH_WORKAROUND_1, smccc::SMCCC_ARCH_WORKAROUND_3].into_iter().zip(offered)
            {
                let mut cpu = asked(id.0.into(), World::Normal);
                cpu.predictor = predictor;
                assert_eq!(monitor().smc(&mut cpu, World::Normal), Next::Enter(World::Normal));
                assert_eq!(cpu.normal.gpr[0], if offered { id.0.into() } else { u64::MAX }, "{predictor:?} {id}");
            }
        }
    }

    #[test]
    fn bits_above_the_id_in_x0_do_not_matter() {
        let mut cpu = asked(0xDEAD_0000_8000_0000, World::Normal);
        monitor().smc(&mut cpu, World::Normal);
        assert_eq!(cpu.normal.gpr[0], 0x1_0004);
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
