// SPDX-License-Identifier: MIT OR Apache-2.0
//! Accesses to devices, one plain instruction each.

use core::arch::asm;

/// Everything below is devices (docs/chain.md).
const RAM: u64 = 0x4000_0000;

/// Device memory is nobody's: no Rust object is there, and no device of the guest contract reads or writes RAM.
fn check(address: u64) -> u64 {
    assert!(address < RAM, "{address:#x} is no device");
    address
}

macro_rules! access {
    ($read:ident, $write:ident, $type:ty, $load:literal, $store:literal, $size:literal) => {
        /// Loads so many bits.
        pub fn $read(address: u64) -> $type {
            let value: u64;
            // SAFETY: `check`: the load touches no object.
            unsafe {
                asm!(
                    concat!($load, " {0:", $size, "}, [{1}]"),
                    out(reg) value,
                    in(reg) check(address),
                    options(nostack, preserves_flags)
                );
            }
            value as $type
        }

        /// Stores so many bits.
        pub fn $write(address: u64, value: $type) {
            // SAFETY: as above.
            unsafe {
                asm!(
                    concat!($store, " {0:", $size, "}, [{1}]"),
                    "dsb sy",
                    in(reg) u64::from(value),
                    in(reg) check(address),
                    options(nostack, preserves_flags)
                );
            }
        }
    };
}

access!(read8, write8, u8, "ldrb", "strb", "w");
access!(read16, write16, u16, "ldrh", "strh", "w");
access!(read32, write32, u32, "ldr", "str", "w");
access!(read64, write64, u64, "ldr", "str", "x");
