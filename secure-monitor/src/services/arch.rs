// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arm architecture calls (SMCCC 1.4 §7).
//!
//! Of the workaround calls the first and the third are offered, so that a normal world can use them and measure what
//! they cost ([`crate::world::predictor`]). The second is not: what it mitigates is a side channel of real pipelines,
//! and the monitor runs on QEMU's emulation. A port to silicon adds it here.

use super::Service;
use crate::world::call::{Answer, Call};
use crate::world::context::World;
use crate::world::cpu::Cpu;
use crate::world::predictor::Predictor;
use shared_abi::smccc::{
    self, FunctionId, NOT_SUPPORTED, OwningEntity, SMCCC_ARCH_FEATURES, SMCCC_ARCH_WORKAROUND_1,
    SMCCC_ARCH_WORKAROUND_3, SMCCC_VERSION, SUCCESS, in_x0,
};

/// What SMCCC_VERSION answers: 1.4.
const VERSION: u64 = smccc::VERSION as u64;

/// The family.
pub struct Arch;

impl Service for Arch {
    #[inline(always)]
    fn owns(id: FunctionId) -> bool {
        id.is_fast() && id.owner() == OwningEntity::Arch
    }

    /// Answers the version, by which everybody measures a monitor.
    #[inline(always)]
    fn frequent(&self, cpu: &mut Cpu, id: FunctionId) -> Option<World> {
        if id != SMCCC_VERSION {
            return None;
        }
        cpu.normal.answer(Answer::One(VERSION));
        Some(World::Normal)
    }

    /// Makes the predictor forget, which a hypervisor may ask for whenever a guest leaves.
    #[inline(always)]
    fn less_frequent(&self, cpu: &mut Cpu, id: FunctionId) -> bool {
        let offered = match id {
            SMCCC_ARCH_WORKAROUND_1 => cpu.predictor() != Predictor::Unknown,
            SMCCC_ARCH_WORKAROUND_3 => {
                // Where both are called the first is called more.
                core::hint::cold_path();
                cpu.predictor().of_history() != NOT_SUPPORTED
            }
            _ => false,
        };
        if offered {
            forget(cpu.predictor());
        }
        offered
    }

    fn answer(&self, call: &Call<'_>) -> Option<Answer> {
        let predictor = call.cpu.predictor();
        match call.id {
            SMCCC_VERSION => Some(Answer::One(VERSION)),
            SMCCC_ARCH_FEATURES => {
                let [_, asked, ..] = call.arguments();
                Some(Answer::One(in_x0(Self::feature(FunctionId(asked as u32), predictor))))
            }
            id @ (SMCCC_ARCH_WORKAROUND_1 | SMCCC_ARCH_WORKAROUND_3)
                if Self::feature(id, predictor) != NOT_SUPPORTED =>
            {
                forget(predictor);
                Some(Answer::Nothing)
            }
            _ => None,
        }
    }
}

impl Arch {
    /// Says what ARCH_FEATURES answers about a call.
    fn feature(id: FunctionId, predictor: Predictor) -> i32 {
        match id {
            SMCCC_VERSION | SMCCC_ARCH_FEATURES => SUCCESS,
            SMCCC_ARCH_WORKAROUND_1 => predictor.of_targets(),
            SMCCC_ARCH_WORKAROUND_3 => predictor.of_history(),
            _ => NOT_SUPPORTED,
        }
    }
}

/// Makes the predictor of the CPU this runs on forget, if that is how. The host's has nothing to forget.
#[inline(always)]
fn forget(predictor: Predictor) {
    #[cfg(target_os = "none")]
    if predictor == Predictor::ForgetsWithMmu {
        crate::arch::mmu::toggle();
    }
    #[cfg(not(target_os = "none"))]
    let _ = predictor;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::call::UNKNOWN;
    use shared_abi::smccc::*;

    fn call(id: FunctionId, x1: FunctionId, predictor: Predictor) -> Option<Answer> {
        let mut cpu = Cpu::new(0, 0, predictor);
        cpu.normal.gpr[1] = x1.0.into();
        Arch.answer(&Call { cpu: &cpu, from: World::Normal, id })
    }

    #[test]
    fn version_is_1_4() {
        assert_eq!(call(SMCCC_VERSION, FunctionId(0), Predictor::Unknown), Some(Answer::One(0x1_0004)));
    }

    #[test]
    fn features_names_what_is_there_and_nothing_else() {
        let feature = |id| call(SMCCC_ARCH_FEATURES, id, Predictor::Unknown);
        assert_eq!(feature(SMCCC_VERSION), Some(Answer::One(0)));
        assert_eq!(feature(SMCCC_ARCH_FEATURES), Some(Answer::One(0)));
        for absent in [
            SMCCC_ARCH_SOC_ID_32,
            SMCCC_ARCH_SOC_ID_64,
            SMCCC_ARCH_FEATURE_AVAILABILITY,
            SMCCC_ARCH_WORKAROUND_1,
            SMCCC_ARCH_WORKAROUND_2,
            SMCCC_ARCH_WORKAROUND_3,
            TRNG_VERSION,
        ] {
            assert_eq!(feature(absent), Some(UNKNOWN));
            assert_eq!(call(absent, FunctionId(0), Predictor::Unknown), None);
        }
    }

    #[test]
    fn workarounds_are_there_where_the_cpu_is_known_and_have_no_result() {
        let features = |predictor| {
            [SMCCC_ARCH_WORKAROUND_1, SMCCC_ARCH_WORKAROUND_3].map(|id| {
                let answer = call(SMCCC_ARCH_FEATURES, id, predictor).unwrap();
                let called = (answer != UNKNOWN).then_some(Answer::Nothing);
                assert_eq!(call(id, FunctionId(0), predictor), called);
                answer
            })
        };
        assert_eq!(features(Predictor::ForgetsWithMmu), [Answer::One(0); 2]);
        assert_eq!(features(Predictor::Harmless), [Answer::One(1); 2]);
        assert_eq!(features(Predictor::KeepsTargetsApart), [Answer::One(1), UNKNOWN]);
        assert_eq!(features(Predictor::Unknown), [UNKNOWN; 2]);
    }
}
