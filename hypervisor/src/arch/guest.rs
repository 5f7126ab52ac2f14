//! What of the guest that has just left is looked at when it accesses a device: its byte order, and if need be its code and
//! its stack pointer.

use super::sysreg::{self, isb, read, write};
use crate::address::{Ipa, Pa};
use crate::mediator::GuestMemory;
use crate::trap::syndrome;
use core::sync::atomic::Ordering;

const AARCH32: u64 = 1 << 4;
const MODE: u64 = 0xF;
const EL1H: u64 = 5;

/// Whether its data is big-endian.
#[inline(always)]
pub fn is_big_endian() -> bool {
    syndrome::is_big_endian(sysreg::spsr(), read!("sctlr_el1"))
}

/// The A64 instruction that was interrupted, if it can be read: it stands in `ram` and is mapped.
pub fn instruction(ram: &impl GuestMemory) -> Option<u32> {
    const FAULT: u64 = 1;
    let (pc, pstate) = (sysreg::elr(), sysreg::spsr());
    if pstate & AARCH32 != 0 || !pc.is_multiple_of(4) {
        return None;
    }
    // PAR_EL1 is the guest's.
    let kept = read!("par_el1");
    if pstate & MODE == 0 {
        // SAFETY: The translation of an address by the guest's tables and stage 2 changes PAR_EL1 alone.
        unsafe { core::arch::asm!("at s12e0r, {}", in(reg) pc, options(nostack, preserves_flags)) };
    } else {
        // SAFETY: As above.
        unsafe { core::arch::asm!("at s12e1r, {}", in(reg) pc, options(nostack, preserves_flags)) };
    }
    isb();
    let par = read!("par_el1");
    write!("par_el1", kept);
    if par & FAULT != 0 {
        return None;
    }
    let page = ram.ipa(Pa(par & 0xF_FFFF_FFFF_F000))?;
    let word = Ipa(page.0 | pc & 0xFF8);
    let pair = ram.words(word, 1)?.first()?.load(Ordering::Relaxed);
    Some((pair >> (8 * (pc & 4))) as u32)
}

/// The stack pointer that the guest used: its mode says which one.
pub fn stack_pointer() -> u64 {
    if sysreg::spsr() & MODE == EL1H { read!("sp_el1") } else { read!("sp_el0") }
}

/// Sets it.
pub fn set_stack_pointer(value: u64) {
    if sysreg::spsr() & MODE == EL1H {
        write!("sp_el1", value);
    } else {
        write!("sp_el0", value);
    }
}
