// SPDX-License-Identifier: MIT OR Apache-2.0
//! An undefined-instruction exception for a lower level, made by hand.

use super::sysreg;
use crate::world::context::World;
use crate::world::injection::Target;

/// ESR of an exception with unknown reason, 32-bit instruction.
const ESR_UNKNOWN: u64 = 1 << 25;
/// PSTATE of a handler: EL2 or EL1, its own stack pointer, all masked.
const SPSR_EL2H: u64 = 0x3C9;
const SPSR_EL1H: u64 = 0x3C5;

/// Makes the world that is in this CPU take an undefined-instruction exception instead of going on.
pub fn inject(from: World) {
    let pstate = sysreg::read!("spsr_el3");
    let elr = sysreg::read!("elr_el3");
    let Target { el2, offset } = Target::of(from, pstate, sysreg::read!("hcr_el2"));
    let (vbar_el1, vbar_el2) = (sysreg::read!("vbar_el1"), sysreg::read!("vbar_el2"));
    // SAFETY: these are the registers that the exception itself would have written; the level they belong to is not
    // running, and expects them to change at an exception only, which this is.
    unsafe {
        if el2 {
            sysreg::write!("esr_el2", ESR_UNKNOWN);
            sysreg::write!("elr_el2", elr);
            sysreg::write!("spsr_el2", pstate);
            sysreg::write!("elr_el3", vbar_el2 + offset);
            sysreg::write!("spsr_el3", SPSR_EL2H);
        } else {
            sysreg::write!("esr_el1", ESR_UNKNOWN);
            sysreg::write!("elr_el1", elr);
            sysreg::write!("spsr_el1", pstate);
            sysreg::write!("elr_el3", vbar_el1 + offset);
            sysreg::write!("spsr_el3", SPSR_EL1H);
        }
    }
}
