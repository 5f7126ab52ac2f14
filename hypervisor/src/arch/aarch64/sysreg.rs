// SPDX-License-Identifier: MIT OR Apache-2.0
//! System registers by name: those that are copied by the dozen, and those that `aarch64-cpu`, whose fields the set-up
//! is written in, does not have.

/// Reads a system register.
macro_rules! read {
    ($name:expr) => {{
        let value: u64;
        // SAFETY: of the registers that this crate's calls name, reading changes nothing, but for ICC_IAR1_EL1, which
        // acknowledges an interrupt: no memory, and nothing that the compiler knows.
        unsafe {
            core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack, preserves_flags));
        }
        value
    }};
}

/// Writes a system register that governs a guest, a trap, a timer or an interrupt, or TPIDR_EL2, and never EL2's own
/// translation or stack.
macro_rules! write {
    ($name:expr, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: as the macro says: EL2's own translation and stack do not depend on these registers;
        // who reads TPIDR_EL2 answers for it.
        unsafe { core::arch::asm!(concat!("msr ", $name, ", {}"), in(reg) value, options(nostack, preserves_flags)) };
    }};
}

pub(crate) use {read, write};

/// Waits for what was written to take effect.
#[inline(always)]
pub fn isb() {
    // SAFETY: a barrier changes nothing.
    unsafe { core::arch::asm!("isb", options(nostack, preserves_flags)) };
}

/// Waits until other CPUs see what was written.
#[inline(always)]
pub fn publish() {
    // SAFETY: a barrier changes nothing.
    unsafe { core::arch::asm!("dsb ishst", options(nostack, preserves_flags)) };
}
