// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only AArch64 can say: the way in, exceptions, translation, devices, byte order, other CPUs, and *snippets*:
//! instructions that a check runs with registers of its choice.

pub mod boot;
pub mod cpu;
pub mod endianness;
pub mod exceptions;
pub mod mmio;
pub mod others;
pub mod psci;
pub mod snippet;
pub mod sysreg;
pub mod tables;

pub use cpu::catch;

use core::arch::asm;

/// Lets interrupts in (PSTATE.I and F).
pub fn unmask() {
    // SAFETY: what an interrupt runs is `Cpu::interruptible`'s business.
    unsafe { asm!("msr daifclr, #3", "isb", options(nostack)) };
}

/// Keeps interrupts out.
pub fn mask() {
    // SAFETY: nothing is interrupted any more.
    unsafe { asm!("msr daifset, #3", "isb", options(nostack)) };
}

/// Stands still until an interrupt is pending.
pub fn wait_for_interrupt() {
    // SAFETY: the CPU only stands still.
    unsafe { asm!("dsb sy", "wfi", options(nostack, preserves_flags)) };
}

/// Lets another CPU run where CPUs share one, as QEMU's do when it counts instructions.
pub fn relax() {
    // SAFETY: a hint changes nothing.
    unsafe { asm!("yield", options(nostack, preserves_flags)) };
}
