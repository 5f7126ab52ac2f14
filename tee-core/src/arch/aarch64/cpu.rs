// SPDX-License-Identifier: MIT OR Apache-2.0
//! The CPU that executes this.

use crate::arch::affinity;
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTPCT_EL0, DAIF, ID_AA64ISAR0_EL1, MPIDR_EL1, Readable, Writeable};
use core::marker::PhantomData;
use shared_abi::layout::MAX_CPUS;

/// Bytes from one CPU's stack to the next: a guard page and the stack above it.
pub const STACK_STRIDE: usize = 12 * 1024;
/// Of these, the guard page.
pub const STACK_GUARD: usize = 4096;

/// Returns this CPU's number, from 0. QEMU's `virt` with a GICv3 numbers up to 16 CPUs in affinity level 0, and the
/// entry code lets no CPU in whose number is not less than [`MAX_CPUS`].
pub fn index() -> usize {
    affinity::number(MPIDR_EL1.get()) & (MAX_CPUS - 1)
}

const _: () = assert!(MAX_CPUS.is_power_of_two());

/// Returns an index that was found to be less than `len` so that it is less for a CPU as well that executes ahead of
/// that comparison: there it may be 0 instead (CSDB; Arm's "Cache Speculation Side-channels", variant 1). For indices
/// that the normal world chooses.
#[inline(always)]
pub fn confined(index: usize, len: usize) -> usize {
    let confined: usize;
    // SAFETY: a comparison and a selection; the hint keeps what depends on them from being guessed.
    unsafe {
        core::arch::asm!(
            "cmp {index}, {len}",
            "csel {confined}, {index}, xzr, lo",
            "hint #20",
            index = in(reg) index,
            len = in(reg) len,
            confined = lateout(reg) confined,
            options(pure, nomem, nostack)
        );
    }
    confined
}

/// Returns the time, in ticks since the machine started.
#[inline(always)]
pub fn ticks() -> u64 {
    CNTPCT_EL0.get()
}

/// Returns how many ticks a second has.
#[inline(always)]
pub fn frequency() -> u64 {
    CNTFRQ_EL0.get()
}

/// Says whether the CPU has RNDR (Arm ARM D24.2.61, field RNDR).
pub fn has_rndr() -> bool {
    ID_AA64ISAR0_EL1.get() >> 60 != 0
}

/// Interrupts are masked on this CPU for as long as it lives; then they are as before.
pub struct Masked {
    before: u64,
    here: PhantomData<*const ()>,
}

impl Masked {
    /// Masks IRQ and FIQ.
    #[inline(always)]
    pub fn new() -> Self {
        let before = DAIF.get();
        // SAFETY: masking interrupts only delays them. Not `nomem`: accesses must not move out of the masked part.
        unsafe { core::arch::asm!("msr daifset, #3", options(nostack)) };
        Self { before, here: PhantomData }
    }

    /// Masks SErrors as well.
    #[inline(always)]
    pub fn all() -> Self {
        let before = DAIF.get();
        // SAFETY: as above.
        unsafe { core::arch::asm!("msr daifset, #7", options(nostack)) };
        Self { before, here: PhantomData }
    }
}

impl Drop for Masked {
    #[inline(always)]
    fn drop(&mut self) {
        core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
        DAIF.set(self.before);
    }
}

/// Stops this CPU for good.
pub fn stop() -> ! {
    // SAFETY: masking interrupts only delays them.
    unsafe { core::arch::asm!("msr daifset, #15", options(nostack)) };
    loop {
        aarch64_cpu::asm::wfi();
    }
}
