// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exceptions that a guest is given: what its EL1 registers become when it takes one (Arm ARM D1.3).
#![forbid(unsafe_code)]

/// What a guest did that it can't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// Ran an instruction, or named a register, that it does not have.
    Undefined,
    /// Touched an address behind which there is nothing: synchronous external abort, with FAR_EL1.
    DataAbort {
        /// The virtual address.
        far: u64,
        /// It was a store.
        write: bool,
        /// Its MMU did, when it walked its tables.
        walk: bool,
    },
    /// Fetched from such an address.
    InstructionAbort {
        /// The virtual address.
        far: u64,
        /// Its MMU did, when it walked its tables.
        walk: bool,
    },
}

/// The registers of EL1, and of EL2 for the guest, that say where it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// ELR_EL2: the program counter.
    pub pc: u64,
    /// SPSR_EL2: PSTATE.
    pub pstate: u64,
    /// ELR_EL1.
    pub elr: u64,
    /// SPSR_EL1.
    pub spsr: u64,
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1, if the exception sets it.
    pub far: Option<u64>,
}

const AARCH32: u64 = 1 << 4;
const MODE: u64 = 0xF;
const EL0T: u64 = 0;
const EL1T: u64 = 4;
const EL1H: u64 = 5;
const DAIF: u64 = 0xF << 6;
const NZCV: u64 = 0xF << 28;
const SSBS: u64 = 1 << 12;
const PAN: u64 = 1 << 22;
const DIT: u64 = 1 << 24;
const TCO: u64 = 1 << 25;
// AArch32's DIT stands elsewhere.
const DIT32: u64 = 1 << 21;

const SCTLR_SPAN: u64 = 1 << 23;
const SCTLR_DSSBS: u64 = 1 << 44;

const IL: u64 = 1 << 25;
/// It was cache maintenance or an address translation.
const CM: u64 = 1 << 8;
/// Synchronous external abort, not on a walk; and on one, at an unknown level.
const EXTERNAL: u64 = 0x10;
const EXTERNAL_ON_WALK: u64 = 0x14;

/// Takes the exception at EL1: `pc` and `pstate` as they were when the guest left for EL2 with the syndrome `esr`,
/// its VBAR_EL1 and SCTLR_EL1.
pub fn take(exception: Exception, pc: u64, pstate: u64, esr: u64, vbar: u64, sctlr: u64) -> Registers {
    let below = pstate & AARCH32 != 0 || pstate & MODE == EL0T;
    let vector = match pstate & (AARCH32 | MODE) {
        EL1T => 0x000,
        EL1H => 0x200,
        EL0T => 0x400,
        _ => 0x600,
    };
    let mut new = pstate & (NZCV | PAN | TCO) | DAIF | EL1H;
    new |= if pstate & AARCH32 == 0 { pstate & DIT } else { (pstate & DIT32) << 3 };
    if sctlr & SCTLR_SPAN == 0 {
        new |= PAN;
    }
    if sctlr & SCTLR_DSSBS != 0 {
        new |= SSBS;
    }
    // The classes of aborts from the same level are one above those from below.
    let same = u64::from(!below);
    let status = |walk| if walk { EXTERNAL_ON_WALK } else { EXTERNAL };
    let (syndrome, far) = match exception {
        Exception::Undefined => (esr & IL, None),
        Exception::DataAbort { far, write, walk } => {
            ((0x24 + same) << 26 | esr & (IL | CM) | u64::from(write) << 6 | status(walk), Some(far))
        }
        Exception::InstructionAbort { far, walk } => ((0x20 + same) << 26 | IL | status(walk), Some(far)),
    };
    Registers { pc: vbar + vector, pstate: new, elr: pc, spsr: pstate, esr: syndrome, far }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VBAR: u64 = 0xFFFF_8000_0001_0000;
    const SCTLR: u64 = SCTLR_SPAN;

    #[test]
    fn an_undefined_instruction_goes_to_the_vector_of_its_level() {
        for (pstate, vector) in [(EL1T, 0), (EL1H, 0x200), (EL0T, 0x400), (AARCH32, 0x600)] {
            let registers = take(Exception::Undefined, 0x1000, pstate, IL, VBAR, SCTLR);
            assert_eq!(registers.pc, VBAR + vector);
            assert_eq!((registers.elr, registers.spsr, registers.esr), (0x1000, pstate, IL));
            assert_eq!(registers.pstate, DAIF | EL1H);
            assert_eq!(registers.far, None);
        }
    }

    #[test]
    fn an_abort_says_what_was_touched_and_from_where() {
        let abort = Exception::DataAbort { far: 0xDEAD, write: true, walk: false };
        assert_eq!(take(abort, 0, EL1H, IL, VBAR, SCTLR).esr, 0x25 << 26 | IL | 1 << 6 | 0x10);
        assert_eq!(take(abort, 0, EL0T, IL, VBAR, SCTLR).esr, 0x24 << 26 | IL | 1 << 6 | 0x10);
        assert_eq!(take(abort, 0, EL0T, IL, VBAR, SCTLR).far, Some(0xDEAD));
        assert_eq!(take(abort, 0, EL1H, IL | CM, VBAR, SCTLR).esr, 0x25 << 26 | IL | 1 << 8 | 1 << 6 | 0x10);
        let fetch = Exception::InstructionAbort { far: 8, walk: true };
        assert_eq!(take(fetch, 8, EL1H, IL, VBAR, SCTLR).esr, 0x21 << 26 | IL | 0x14);
    }

    #[test]
    fn pstate_is_as_on_any_exception_to_el1() {
        let pstate = EL0T | NZCV | DIT | SSBS | 1 << 21; // and SS
        let new = take(Exception::Undefined, 0, pstate, 0, VBAR, 0).pstate;
        assert_eq!(new, NZCV | DIT | PAN | DAIF | EL1H);
        let new = take(Exception::Undefined, 0, EL0T, 0, VBAR, SCTLR_SPAN | SCTLR_DSSBS).pstate;
        assert_eq!(new, SSBS | DAIF | EL1H);
    }
}
