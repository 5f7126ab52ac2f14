//! An undefined-instruction exception for a lower level, made by hand.

use super::sysreg;
use crate::context::World;

/// ESR of an exception with unknown reason, 32-bit instruction.
const ESR_UNKNOWN: u64 = 1 << 25;
/// PSTATE of a handler: EL2 or EL1, its own stack pointer, all masked.
const SPSR_EL2H: u64 = 0x3C9;
const SPSR_EL1H: u64 = 0x3C5;
/// HCR_EL2.TGE: exceptions of EL0 go to EL2.
const TGE: u64 = 1 << 27;

/// Makes the world that is in this CPU take an undefined-instruction exception instead of going on.
pub fn inject(from: World) {
    let pstate = sysreg::read!("spsr_el3");
    let elr = sysreg::read!("elr_el3");
    let aarch32 = pstate & 1 << 4 != 0;
    let level = if aarch32 { 0 } else { (pstate >> 2) & 0b11 };
    let to_el2 = from == World::Normal && (level == 2 || level == 0 && !aarch32 && sysreg::read!("hcr_el2") & TGE != 0);
    let target = if to_el2 { 2 } else { 1 };
    // Arm ARM D1.3.2: where in the target's vectors the exception belongs.
    let offset = match (aarch32, level == target, pstate & 1) {
        (true, ..) => 0x600,
        (false, false, _) => 0x400,
        (false, true, 1) => 0x200,
        (false, true, _) => 0x000,
    };
    let (vbar_el1, vbar_el2) = (sysreg::read!("vbar_el1"), sysreg::read!("vbar_el2"));
    // SAFETY: these are the registers that the exception itself would have written; the level they belong to is not
    // running, and expects them to change at an exception only, which this is.
    unsafe {
        if to_el2 {
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
