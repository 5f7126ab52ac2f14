// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where an exception goes that the monitor makes for a lower level.

use super::context::World;

/// HCR_EL2.TGE: exceptions of EL0 go to EL2.
const TGE: u64 = 1 << 27;
/// HCR_EL2.RW: EL1 is AArch64.
const RW: u64 = 1 << 31;
/// `M[4]` of PSTATE: AArch32.
const AARCH32: u64 = 1 << 4;

/// Who takes an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// EL2, and not EL1.
    pub el2: bool,
    /// Where in its vectors the exception belongs (Arm ARM D1.3.2).
    pub offset: u64,
}

impl Target {
    /// Finds the level that takes an exception of a world that ran with `pstate`: always one that the monitor can
    /// return to.
    ///
    /// A return to EL1 is illegal when EL1 is AArch32 or HCR_EL2.TGE is 1, and it would be the monitor that faults then
    /// (Arm ARM D1.4.3). In the first case, whose exceptions have another form, EL2 takes it instead: it made EL1 so.
    pub fn of(from: World, pstate: u64, hcr_el2: u64) -> Self {
        let aarch32 = pstate & AARCH32 != 0;
        let level = if aarch32 { 0 } else { (pstate >> 2) & 0b11 };
        let not_el1 = level == 2 || level == 0 && hcr_el2 & TGE != 0 || aarch32 && hcr_el2 & RW == 0;
        // The TEE has no EL2 above it, and its EL1 is AArch64 (SCR_EL3).
        let el2 = from == World::Normal && not_el1;
        let offset = match (aarch32, level == 1 + u64::from(el2), pstate & 1) {
            (true, ..) => 0x600,
            (false, false, _) => 0x400,
            (false, true, 1) => 0x200,
            (false, true, _) => 0x000,
        };
        Self { el2, offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EL0T: u64 = 0b0000;
    const EL1T: u64 = 0b0100;
    const EL1H: u64 = 0b0101;
    const EL2H: u64 = 0b1001;
    const USER32: u64 = 0b1_0000;
    const SUPERVISOR32: u64 = 0b1_0011;

    #[test]
    fn an_exception_arrives_where_the_hardware_would_have_taken_it() {
        let normal = |pstate, hcr| Target::of(World::Normal, pstate, hcr);
        assert_eq!(normal(EL2H, RW), Target { el2: true, offset: 0x200 });
        assert_eq!(normal(EL1H, RW), Target { el2: false, offset: 0x200 });
        assert_eq!(normal(EL1T, RW), Target { el2: false, offset: 0x000 });
        assert_eq!(normal(EL0T, RW), Target { el2: false, offset: 0x400 });
        assert_eq!(normal(EL0T, RW | TGE), Target { el2: true, offset: 0x400 });
        assert_eq!(normal(USER32, RW), Target { el2: false, offset: 0x600 });
    }

    #[test]
    fn the_monitor_never_returns_to_an_el1_that_it_cannot_return_to() {
        for pstate in [USER32, SUPERVISOR32] {
            assert_eq!(Target::of(World::Normal, pstate, 0), Target { el2: true, offset: 0x600 });
        }
        assert_eq!(Target::of(World::Normal, USER32, RW | TGE), Target { el2: true, offset: 0x600 });
    }

    #[test]
    fn what_el2_configured_means_nothing_to_the_tee() {
        for hcr in [0, TGE, RW | TGE] {
            assert_eq!(Target::of(World::Secure, EL1H, hcr), Target { el2: false, offset: 0x200 });
            assert_eq!(Target::of(World::Secure, USER32, hcr), Target { el2: false, offset: 0x600 });
        }
    }
}
