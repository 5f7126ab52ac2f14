// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest's PSTATE, as SPSR_EL2 has it (Arm ARM C5.2.20).
#![forbid(unsafe_code)]

/// Says whether a guest's data is big-endian, given its PSTATE and SCTLR_EL1 (E0E, EE).
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

/// Says whether it is AArch32 that a guest executes, given its PSTATE.
pub fn is_aarch32(pstate: u64) -> bool {
    pstate & AARCH32 != 0
}

const SS: u64 = 1 << 21;

/// Says whether it may change by an instruction that trapped and was done for the guest ([`after_instruction`]).
#[inline(always)]
pub fn may_change(pstate: u64) -> bool {
    // Both bits in one place: one instruction less at every exit than a mask of two.
    (pstate | pstate << (SS.trailing_zeros() - AARCH32.trailing_zeros())) & SS != 0
}

/// Returns PSTATE as it is then: the guest's single step was that (Arm ARM D2.12.4), and an IT block of AArch32's T32
/// has gone on (ITAdvance, Arm ARM J1). Without a call, for which every exit would keep registers.
#[inline(always)]
pub fn after_instruction(pstate: u64) -> u64 {
    let pstate = pstate & !SS;
    if pstate & AARCH32 != 0 { after_t32(pstate) } else { pstate }
}

/// Returns what IT's two parts in PSTATE are after an instruction of T32. IT's bits 7 to 5 are the condition that the
/// block has, 4 to 0 what follows of it; nothing does if 2 to 0 are zero. Its bits 7 to 2 are PSTATE's 15 to 10, the
/// others 26 and 25. Outside of a block, and for A32, all are zero.
#[inline(always)]
fn after_t32(pstate: u64) -> u64 {
    let it = (pstate >> 10 & 0x3F) << 2 | pstate >> 25 & 3;
    let next = if it & 7 == 0 { 0 } else { it & 0xE0 | it << 1 & 0x1F };
    pstate & !(0x3F << 10 | 3 << 25) | next >> 2 << 10 | (next & 3) << 25
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

    #[test]
    fn an_it_block_goes_on_with_each_instruction() {
        const T32: u64 = 1 << 5 | 1 << 4;
        let with = |it: u64| T32 | (it >> 2) << 10 | (it & 3) << 25;
        // ITETT EQ: EQ, NE, EQ, EQ.
        let mut pstate = with(0b0000_1001) | 1 << 9 | 0xF << 28;
        for next in [0b0001_0010, 0b0000_0100, 0b0000_1000, 0] {
            pstate = after_instruction(pstate);
            assert_eq!(pstate, with(next) | 1 << 9 | 0xF << 28, "{next:#b}");
        }
        assert_eq!(after_instruction(pstate), pstate);
    }

    #[test]
    fn a_step_is_over_and_nothing_else_changes() {
        for (pstate, may) in [(5, false), (0x3C5 | 0xF << 28, false), (1 << 21 | 5, true), (1 << 4, true)] {
            assert_eq!(may_change(pstate), may, "{pstate:#x}");
        }
        assert_eq!(after_instruction(1 << 21 | 0xF << 28 | 0x3C5), 0xF << 28 | 0x3C5);
        assert_eq!(after_instruction(0xF << 28 | 3 << 25 | 0x3F << 10 | 5), 0xF << 28 | 3 << 25 | 0x3F << 10 | 5);
    }
}
