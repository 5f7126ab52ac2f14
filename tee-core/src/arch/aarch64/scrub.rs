//! Zeroing pages.

use super::peephole;
use crate::nexus::pages::{PAGE_SIZE, Page};
use core::arch::asm;

/// Zeroes a page if it may hold something.
pub fn scrub(page: &mut Page) {
    if page.is_dirty() {
        // SAFETY: whoever has the page is its only user, and it is borrowed mutably.
        unsafe { peephole::with(page.pa(), zero) };
        page.mark_clean();
    }
}

/// By DC ZVA, whole cache lines at a time, where it is allowed (Arm ARM D24.2.36).
fn zero(page: &mut [u64; PAGE_SIZE / 8]) {
    let dczid: u64;
    // SAFETY: reads an identification register.
    unsafe { asm!("mrs {}, dczid_el0", out(reg) dczid, options(nomem, nostack)) };
    let block = 4usize << (dczid & 0xF);
    if dczid & 0x10 != 0 || block > PAGE_SIZE {
        page.fill(0);
        return;
    }
    let start = page.as_mut_ptr() as usize;
    // SAFETY: the blocks are aligned and lie in the page, which is normal memory.
    unsafe {
        asm!(
            "2:", "dc zva, {at}", "add {at}, {at}, {block}", "cmp {at}, {end}", "b.lo 2b",
            at = inout(reg) start => _, block = in(reg) block, end = in(reg) start + PAGE_SIZE, options(nostack)
        );
    }
}
