// SPDX-License-Identifier: MIT OR Apache-2.0
//! Branch predictors that one exception level can train for another, and what the firmware does about them when asked:
//! SMCCC_ARCH_WORKAROUND_1 (SMCCC 1.4 §7.6) where targets of branches are trained (CVE-2017-5715, "Spectre v2"), and
//! SMCCC_ARCH_WORKAROUND_3 (§7.8) where the history of branches is (CVE-2022-23960, "Spectre-BHB"). Where both are
//! needed one action does both.
//!
//! The calls are an offer to the normal world. The monitor does not do it for itself at each entry, as firmware on
//! silicon must: QEMU predicts nothing, and it would cost every call.

use shared_abi::smccc::{NOT_SUPPORTED, SUCCESS};

/// MIDR_EL1's implementer and part numbers of the CPUs that are known by name here.
pub const ARM: u64 = 0x41;
/// Cortex-A53.
pub const CORTEX_A53: u64 = 0xD03;
/// Cortex-A57.
pub const CORTEX_A57: u64 = 0xD07;
/// Cortex-A72.
pub const CORTEX_A72: u64 = 0xD08;

/// How a CPU's branch predictor is made to forget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Predictor {
    /// Nobody here knows: the calls are not offered.
    #[default]
    Unknown,
    /// It need not forget: what is trained in one context is not used in another.
    Harmless,
    /// Targets that are trained in one context are not used in another, says the CPU. Of history it says nothing, and
    /// what helps against that differs from CPU to CPU.
    KeepsTargetsApart,
    /// By switching EL3's MMU off and on, which also clears the history.
    ForgetsWithMmu,
}

/// What ARCH_FEATURES answers where the call does nothing because nothing is needed.
const NOT_NEEDED: i32 = 1;

impl Predictor {
    /// Finds the predictor of the CPU that MIDR_EL1 names. `csv2` is the field of ID_AA64PFR0_EL1 in which newer CPUs
    /// say themselves what they keep apart: from 3 on (FEAT_CSV2_3) history as well.
    pub const fn of(midr: u64, csv2: u64) -> Self {
        let (implementer, part) = (midr >> 24 & 0xFF, midr >> 4 & 0xFFF);
        match (implementer, part) {
            // Cortex-A53, A35, A55: in order, and not affected (Arm's advisories on both).
            (ARM, 0xD03..=0xD05) => Self::Harmless,
            _ if csv2 >= 3 => Self::Harmless,
            _ if csv2 != 0 => Self::KeepsTargetsApart,
            (ARM, CORTEX_A57 | CORTEX_A72) => Self::ForgetsWithMmu,
            _ => Self::Unknown,
        }
    }

    /// Says what ARCH_FEATURES answers about SMCCC_ARCH_WORKAROUND_1.
    pub const fn of_targets(self) -> i32 {
        match self {
            Self::Unknown => NOT_SUPPORTED,
            Self::Harmless | Self::KeepsTargetsApart => NOT_NEEDED,
            Self::ForgetsWithMmu => SUCCESS,
        }
    }

    /// Says what ARCH_FEATURES answers about SMCCC_ARCH_WORKAROUND_3.
    pub const fn of_history(self) -> i32 {
        match self {
            Self::Unknown | Self::KeepsTargetsApart => NOT_SUPPORTED,
            Self::Harmless => NOT_NEEDED,
            Self::ForgetsWithMmu => SUCCESS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_is_known_by_its_name_or_speaks_for_itself() {
        let arm = |part: u64| 0x410F_0000 | part << 4 | 3;
        assert_eq!(Predictor::of(arm(0xD07), 0), Predictor::ForgetsWithMmu);
        assert_eq!(Predictor::of(arm(0xD08), 0), Predictor::ForgetsWithMmu);
        // Cortex-A72 from r1p0 on says so.
        assert_eq!(Predictor::of(arm(0xD08), 1), Predictor::KeepsTargetsApart);
        assert_eq!(Predictor::of(arm(0xD03), 0), Predictor::Harmless);
        assert_eq!(Predictor::of(arm(0xD05), 1), Predictor::Harmless);
        assert_eq!(Predictor::of(arm(0xD4F), 3), Predictor::Harmless);
        assert_eq!(Predictor::of(arm(0xD0A), 0), Predictor::Unknown);
        assert_eq!(Predictor::of(0x430F_0D07_u64 << 4, 0), Predictor::Unknown);
    }
}
