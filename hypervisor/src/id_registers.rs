// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest reads in the CPU's ID registers (Arm ARM D19.2, op0 3, op1 0, CRn 0, CRm 1 to 7).
//!
//! A list of what is kept, field by field: a feature that a later CPU brings is hidden until somebody has made sure
//! that its registers are switched. What is switched or harmless is kept. Hidden are, by name: EL2 and EL3, RAS, SVE,
//! SME, MTE, MPAM, AMU, PMU, trace, SPE, LS64, TME, MOPS, and everything that HCRX_EL2 would have to enable.
#![forbid(unsafe_code)]

/// Fields of a register that are kept, each the lesser of the host's and a limit.
type Kept = &'static [(u32, u64)];

/// Whatever the host has.
const ALL: u64 = 0xF;

const PFR0: Kept = &[
    (0, ALL), // EL0: AArch64, perhaps AArch32
    (4, 1),   // EL1: AArch64
    (16, ALL),
    (20, ALL), // FP, AdvSIMD
    (24, 1),   // GIC: system registers
    (48, ALL), // DIT
    (56, 1),   // CSV2, without SCXTNUM
    (60, ALL), // CSV3
];
const PFR1: Kept = &[(0, ALL), (4, ALL)]; // BT, SSBS
const DFR0: Kept = &[(0, 6), (12, ALL), (20, ALL), (28, ALL), (36, ALL)]; // DebugVer, BRPs, WRPs, CTX_CMPs, DoubleLock
const ISAR0: Kept = &[
    (4, ALL),
    (8, ALL),
    (12, ALL),
    (16, ALL),
    (20, ALL), // AES to Atomic
    (28, ALL),
    (32, ALL),
    (36, ALL),
    (40, ALL),
    (44, ALL),
    (48, ALL),
    (52, ALL),
    (56, ALL),
    (60, ALL), // RDM to RNDR
];
const ISAR1: Kept = &[
    (0, ALL),
    (4, ALL),
    (8, ALL),
    (12, ALL),
    (16, ALL),
    (20, ALL),
    (24, ALL),
    (28, ALL),
    (32, ALL),
    (36, ALL),
    (40, ALL),
    (44, ALL),
    (48, ALL),
    (52, ALL), // DPB to I8MM; not XS, LS64
];
// RPRES, GPA3, APA3, BC, PAC_frac, CLRBHB
const ISAR2: Kept = &[(4, ALL), (8, ALL), (12, ALL), (20, ALL), (24, ALL), (28, ALL)];
const MMFR0: Kept = &[
    (0, 1), // PARange: 36 bits
    (4, ALL),
    (8, ALL),
    (16, ALL), // ASIDBits, BigEnd, BigEndEL0
    (20, 1),
    (24, ALL), // TGran16, TGran64; TGran4 apart
    (44, ALL), // ExS
];
const MMFR1: Kept = &[(0, ALL), (12, ALL), (20, ALL), (24, ALL), (36, ALL), (44, ALL), (48, ALL)];
const MMFR2: Kept =
    &[(0, ALL), (4, ALL), (8, ALL), (16, ALL), (20, ALL), (28, ALL), (32, ALL), (48, ALL), (52, ALL), (60, ALL)];

/// Returns what a guest reads where the host has `host`, in the register CRm, op2.
pub fn sanitize(crm: u32, op2: u32, host: u64) -> u64 {
    match (crm, op2) {
        // AArch32 at EL0 is described by registers of its own. No RAS and AMU, GIC by system registers, no PMU.
        (1, 0) => host & !0xF0F0_0000,
        (1, 1) => host & !0xF000_FFF0 | 1 << 28,
        (1, 2) => host & !0xFF00_0000 & !(0xF << 4),
        (1, 3) => 0,
        (1..=3, _) => host,
        (4, 0) => keep(PFR0, host),
        (4, 1) => keep(PFR1, host),
        (5, 0) => keep(DFR0, host),
        (6, 0) => keep(ISAR0, host),
        (6, 1) => keep(ISAR1, host),
        (6, 2) => keep(ISAR2, host),
        // TGran4 is 0 if there are 4 KiB pages, 0xF if not; 1 would add 52-bit addresses.
        (7, 0) => keep(MMFR0, host) | if host >> 28 & 0xF == 0xF { 0xF << 28 } else { 0 },
        (7, 1) => keep(MMFR1, host),
        (7, 2) => keep(MMFR2, host),
        _ => 0,
    }
}

fn keep(kept: Kept, host: u64) -> u64 {
    kept.iter().fold(0, |value, (shift, limit)| value | (host >> shift & 0xF).min(*limit) << shift)
}

/// The registers as guests read them, CRm 1 to 7.
pub struct IdRegisters([[u64; 8]; 7]);

impl IdRegisters {
    /// Makes them from the host's, which `read` gives.
    pub fn new(read: impl Fn(u32, u32) -> u64) -> Self {
        Self(core::array::from_fn(|crm| {
            core::array::from_fn(|op2| {
                let (crm, op2) = (crm as u32 + 1, op2 as u32);
                sanitize(crm, op2, read(crm, op2))
            })
        }))
    }

    /// Returns one of them; 0 beyond.
    pub fn get(&self, crm: u32, op2: u32) -> u64 {
        self.0.get((crm as usize).wrapping_sub(1)).and_then(|row| row.get(op2 as usize)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_switched_is_hidden() {
        let all = 0x1111_1111_1111_1111;
        let pfr0 = sanitize(4, 0, all);
        for hidden in [8, 12, 28, 32, 36, 40, 44, 52] {
            assert_eq!(pfr0 >> hidden & 0xF, 0, "field {hidden} of ID_AA64PFR0_EL1");
        }
        assert_eq!(sanitize(4, 1, all), 0x11);
        assert_eq!(sanitize(4, 4, all), 0);
        assert_eq!(sanitize(4, 5, all), 0);
        assert_eq!(sanitize(5, 0, all) >> 8 & 0xF, 0);
        assert_eq!(sanitize(6, 1, all) >> 60, 0);
        assert_eq!(sanitize(7, 3, all), 0);
        assert_eq!(sanitize(7, 1, all) >> 8 & 0xF, 0);
    }

    #[test]
    fn what_a_guest_needs_is_kept() {
        // Cortex-A57 and its ID_AA64MMFR0_EL1: 44 bits, 4 and 64 KiB pages, 16-bit ASIDs.
        assert_eq!(sanitize(7, 0, 0x1124), 0x0121);
        assert_eq!(sanitize(4, 0, 0x0100_2222), 0x0100_0012);
        assert_eq!(sanitize(6, 0, 0x1_1120), 0x1_1120);
        // No FP is 0xF, not a large number of features.
        assert_eq!(sanitize(4, 0, 0xFF_0011) >> 16, 0xFF);
    }

    #[test]
    fn a_register_beyond_the_space_is_zero() {
        let registers = IdRegisters::new(|_, _| u64::MAX);
        assert_eq!(registers.get(0, 0), 0);
        assert_eq!(registers.get(8, 0), 0);
        assert_eq!(registers.get(4, 8), 0);
        assert_eq!(registers.get(2, 0), u64::MAX);
    }
}
