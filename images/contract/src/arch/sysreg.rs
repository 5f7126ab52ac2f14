// SPDX-License-Identifier: MIT OR Apache-2.0
//! System registers by name.

/// Reads a system register.
macro_rules! read {
    ($name:expr) => {{
        let value: u64;
        // SAFETY: reading a system register changes no memory. ICC_IAR0_EL1 and ICC_IAR1_EL1 acknowledge an interrupt,
        // which nothing that the compiler knows depends on; a register that is not there is an exception, which the
        // vectors note or end the check with.
        unsafe {
            core::arch::asm!("isb", concat!("mrs {}, ", $name), out(reg) value, options(nostack, preserves_flags));
        }
        value
    }};
}

/// Writes a system register that governs interrupts, timers, debugging or an exception that has been taken; those that
/// govern translation, the vectors and the stack are `arch`'s own business.
macro_rules! write {
    ($name:expr, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: as the macro says; such a register changes no memory.
        unsafe {
            core::arch::asm!(concat!("msr ", $name, ", {}"), "isb", in(reg) value, options(nostack, preserves_flags));
        }
    }};
}

pub(crate) use {read, write};
