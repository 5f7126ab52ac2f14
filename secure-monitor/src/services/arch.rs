//! Arm architecture calls (SMCCC 1.4 §7).
//!
//! Of the workaround calls the first is offered, so that a normal world can use it and measure what it costs
//! ([`crate::predictor`]). The others are not: what they mitigate are side channels of real pipelines, and the monitor runs
//! on QEMU's emulation. A port to silicon adds them here.

use crate::dispatch::{Service, UNKNOWN};
use crate::predictor::Predictor;
use shared_abi::smccc::{
    self, FunctionId, Owner, SMCCC_ARCH_FEATURES, SMCCC_ARCH_WORKAROUND_1, SMCCC_VERSION, SUCCESS, in_x0,
};

/// What SMCCC_VERSION answers: 1.4.
pub const VERSION: u64 = smccc::VERSION as u64;

/// The family.
pub struct Arch;

impl Service for Arch {
    #[inline(always)]
    fn owns(id: FunctionId) -> bool {
        id.is_fast() && id.owner() == Owner::Arch
    }
}

impl Arch {
    /// The results x0 to x3. `x1` is the one argument that any of the calls has, `predictor` this CPU's.
    pub fn call(id: FunctionId, x1: u32, predictor: Predictor) -> [u64; 4] {
        match id {
            SMCCC_VERSION => [VERSION, 0, 0, 0],
            SMCCC_ARCH_FEATURES => match FunctionId(x1) {
                SMCCC_VERSION | SMCCC_ARCH_FEATURES => [in_x0(SUCCESS), 0, 0, 0],
                SMCCC_ARCH_WORKAROUND_1 => [in_x0(predictor.feature()), 0, 0, 0],
                _ => UNKNOWN,
            },
            SMCCC_ARCH_WORKAROUND_1 if predictor != Predictor::Unknown => {
                predictor.forget();
                [0; 4]
            }
            _ => UNKNOWN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::smccc::*;

    #[test]
    fn version_is_1_4() {
        assert_eq!(Arch::call(SMCCC_VERSION, 0, Predictor::Unknown), [0x1_0004, 0, 0, 0]);
    }

    #[test]
    fn features_names_what_is_there_and_nothing_else() {
        assert_eq!(Arch::call(SMCCC_ARCH_FEATURES, SMCCC_VERSION.0, Predictor::Unknown)[0], 0);
        assert_eq!(Arch::call(SMCCC_ARCH_FEATURES, SMCCC_ARCH_FEATURES.0, Predictor::Unknown)[0], 0);
        for absent in [
            SMCCC_ARCH_SOC_ID_32,
            SMCCC_ARCH_SOC_ID_64,
            SMCCC_ARCH_FEATURE_AVAILABILITY,
            SMCCC_ARCH_WORKAROUND_1,
            SMCCC_ARCH_WORKAROUND_2,
            SMCCC_ARCH_WORKAROUND_3,
            TRNG_VERSION,
        ] {
            assert_eq!(Arch::call(SMCCC_ARCH_FEATURES, absent.0, Predictor::Unknown), UNKNOWN);
            assert_eq!(Arch::call(absent, 0, Predictor::Unknown), UNKNOWN);
        }
    }

    #[test]
    fn the_first_workaround_is_there_where_the_cpu_is_known() {
        let id = SMCCC_ARCH_WORKAROUND_1;
        for (predictor, feature) in [(Predictor::Harmless, 1), (Predictor::ForgetsWithMmu, 0)] {
            assert_eq!(Arch::call(SMCCC_ARCH_FEATURES, id.0, predictor), [feature, 0, 0, 0]);
            assert_eq!(Arch::call(id, 0, predictor), [0; 4]);
        }
    }
}
