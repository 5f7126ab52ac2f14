// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the MMU is told: tables, barriers, invalidations. What is told when is decided in `nexus::{space, peephole}`.

use super::machine::Machine;
use aarch64_cpu::asm::barrier;
use core::arch::asm;

impl Machine {
    /// Writes an entry of a translation table.
    ///
    /// # Safety
    ///
    /// It must be an entry of a table that nobody else writes, and map what may be mapped there.
    #[inline(always)]
    pub unsafe fn set_entry(&self, at: *mut u64, entry: u64) {
        // SAFETY: promised by the caller.
        unsafe { at.write_volatile(entry) };
    }

    /// Sets the upper range's root table and ASID, from the next ISB on.
    ///
    /// # Safety
    ///
    /// It must be a root table, and nobody refer to what is not mapped any more.
    #[inline(always)]
    pub unsafe fn set_ttbr1(&self, value: u64) {
        // SAFETY: promised by the caller. Not `nomem`: accesses to the partition must not be moved across.
        unsafe { asm!("msr ttbr1_el1, {}", in(reg) value, options(nostack)) };
    }

    /// Makes what was written to tables seen by the walks of all CPUs that come after it.
    #[inline(always)]
    pub fn dsb_ishst(&self) {
        // SAFETY: a barrier. Not `nomem`: accesses must not be moved across.
        unsafe { asm!("dsb ishst", options(nostack)) };
    }

    /// Does what [`dsb_ishst`](Self::dsb_ishst) does, and waits for the invalidations on all CPUs.
    #[inline(always)]
    pub fn dsb_ish(&self) {
        // SAFETY: as above.
        unsafe { asm!("dsb ish", options(nostack)) };
    }

    /// Waits for the invalidations on this CPU.
    #[inline(always)]
    pub fn dsb_nsh(&self) {
        // SAFETY: as above.
        unsafe { asm!("dsb nsh", options(nostack)) };
    }

    /// Executes what follows with all that was done before.
    #[inline(always)]
    pub fn isb(&self) {
        barrier::isb(barrier::SY);
    }

    /// Makes all CPUs forget what they cached under an ASID.
    #[inline(always)]
    pub fn tlbi_aside1is(&self, asid: u64) {
        // SAFETY: what is forgotten is read again from the tables.
        unsafe { asm!("tlbi aside1is, {}", in(reg) asid << 48, options(nostack)) };
    }

    /// Makes this CPU forget what it cached for the page of an address, under whatever ASID.
    #[inline(always)]
    pub fn tlbi_vaae1(&self, va: usize) {
        // SAFETY: as above.
        unsafe { asm!("tlbi vaae1, {}", in(reg) va >> 12 & 0xFFF_FFFF_FFFF, options(nostack)) };
    }

    /// Returns what stands at an address of the upper range.
    #[inline(always)]
    pub fn at(&self, va: usize, _len: usize) -> *mut u8 {
        va as *mut u8
    }
}
