// SPDX-License-Identifier: MIT OR Apache-2.0
//! Access by name to the system registers that `aarch64-cpu` does not have (it covers EL1 and EL2 well, EL3 in part).

/// Reads a system register, for registers whose reading has no side effect.
macro_rules! read {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading one of these registers changes nothing; the names are literals of this crate.
        unsafe {
            core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack, preserves_flags));
        }
        value
    }};
}
pub(crate) use read;

/// Writes a system register. Unsafe to use: the caller says why the value is right.
macro_rules! write {
    ($name:literal, $value:expr) => {
        core::arch::asm!(concat!("msr ", $name, ", {}"), in(reg) u64::from($value), options(nostack, preserves_flags))
    };
}
pub(crate) use write;
