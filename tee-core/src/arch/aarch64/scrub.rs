// SPDX-License-Identifier: MIT OR Apache-2.0
//! Zeroing pages.

use super::machine::Machine;
use crate::memory::pages::PAGE_SIZE;
use core::arch::asm;

impl Machine {
    /// Zeroes the page at this physical address, which `reach` runs a function on.
    ///
    /// # Safety
    ///
    /// The page must be secure RAM of the TEE that nothing else uses.
    #[inline(always)]
    pub unsafe fn zero(&self, _pa: u64, reach: impl FnOnce(fn(&mut [u64; PAGE_SIZE / 8]))) {
        reach(zero);
    }
}

/// Zeroes by DC ZVA, whole cache lines at a time, where it is allowed (Arm ARM D24.2.36).
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
