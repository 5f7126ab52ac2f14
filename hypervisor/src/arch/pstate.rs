//! A guest's PSTATE, as SPSR_EL2 has it (Arm ARM C5.2.20).
#![forbid(unsafe_code)]

/// Whether a guest's data is big-endian, given its PSTATE and SCTLR_EL1 (E0E, EE).
#[inline(always)]
pub fn is_big_endian(pstate: u64, sctlr: u64) -> bool {
    const EITHER: u64 = 1 << 25 | 1 << 24;
    const E: u64 = 1 << 9;
    // AArch32 says so itself, at EL0 only.
    (sctlr & EITHER != 0 || is_aarch32(pstate))
        && match (is_aarch32(pstate), pstate & MODE == 0) {
            (true, _) => pstate & E != 0,
            (false, true) => sctlr & 1 << 24 != 0,
            (false, false) => sctlr & 1 << 25 != 0,
        }
}

/// Whether it is AArch32 that a guest executes, given its PSTATE.
pub fn is_aarch32(pstate: u64) -> bool {
    pstate & AARCH32 != 0
}

const AARCH32: u64 = 1 << 4;
const MODE: u64 = 0xF;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_has_its_byte_order() {
        const EE: u64 = 1 << 25;
        const E0E: u64 = 1 << 24;
        let (el0, el1, aarch32) = (0, 5, 1 << 4);
        assert!(is_big_endian(el1, EE) && !is_big_endian(el1, E0E) && !is_big_endian(el1, 0));
        assert!(is_big_endian(el0, E0E) && !is_big_endian(el0, EE));
        assert!(is_big_endian(aarch32 | 1 << 9, 0) && !is_big_endian(aarch32, E0E | EE));
    }
}
