// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cache maintenance.

use core::arch::asm;

/// Cleans and invalidates `len` bytes from `addr` to the point of coherency: a CPU with its caches off, or another
/// world's mapping, sees what was written, and who reads them next reads what memory has.
pub fn flush(addr: u64, len: u64) {
    let line = line_size();
    let mut at = addr & !(line - 1);
    while at < addr.saturating_add(len) {
        // SAFETY: what is in the line goes to memory before it is given up, so no memory that software sees changes;
        // the caller passes mapped memory, and a fault would be reported by the vectors.
        unsafe { asm!("dc civac, {}", in(reg) at, options(nostack, preserves_flags)) };
        at += line;
    }
    // SAFETY: a barrier.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
}

/// Forgets all instructions fetched before, so that code just written is what runs.
pub fn invalidate_instructions() {
    // SAFETY: instruction caches hold no data to lose.
    unsafe { asm!("ic iallu", "dsb sy", "isb", options(nostack, preserves_flags)) };
}

/// Reads how many bytes the smallest data cache line has (CTR_EL0.DminLine: log2 of its words).
fn line_size() -> u64 {
    4 << ((super::sysreg::read!("ctr_el0") >> 16) & 0xF)
}
