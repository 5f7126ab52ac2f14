// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two worlds that overwrite each other's registers.
//!
//! One image, started twice: as the TEE (secure EL1) and in the hypervisor's place (EL2). Both write a number of their
//! own into every register of EL1 and EL0 that the worlds share. The normal world then calls the TEE, twice; whenever
//! one of them goes on it looks which registers still hold its number. In the end the normal world prints two masks, a
//! bit for each of [`REGISTERS`] that was not kept, and powers off:
//!
//! ```text
//! [probe] not kept: normal world 0x00000000, TEE 0x00000000
//! ```
//!
//! What is not kept is the monitor's doing alone: nobody else runs. It is how the course judges a list of registers
//! (docs/course/03-world-switch.md), and a test of our monitor's own.
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]
#![deny(unreachable_pub)]

/// Calls a macro with every register: its bit, its name, the number of the normal world, the number of the TEE.
///
/// The MMU of EL1 is off in both worlds, so none of the numbers acts; in SCTLR_EL1 and CPACR_EL1 only bits change that
/// nobody here uses. What a register reserves as 0 or 1 it is given so (Arm ARM, chapter of the system registers).
#[macro_export]
macro_rules! registers {
    ($then:ident) => {
        $then! {
            0 "sctlr_el1" "0x30d10800" "0x30d40800";
            1 "cpacr_el1" "0x100000" "0x300000";
            2 "ttbr0_el1" "0x11111000" "0x22222000";
            3 "ttbr1_el1" "0x33333000" "0x44444000";
            4 "tcr_el1" "0x100010" "0x190019";
            5 "mair_el1" "0xff44" "0x04ff";
            6 "vbar_el1" "0x12345800" "0x65432800";
            7 "contextidr_el1" "0x1111" "0x2222";
            8 "sp_el0" "0xaaaa0000" "0x55550000";
            9 "sp_el1" "0xbbbb0000" "0x66660000";
            10 "tpidr_el1" "0x1010" "0x2020";
            11 "tpidr_el0" "0x1011" "0x2021";
            12 "tpidrro_el0" "0x1012" "0x2022";
            13 "cntkctl_el1" "1" "2";
            14 "elr_el1" "0x77770000" "0x88880000";
            15 "spsr_el1" "0x3c5" "0x3c4";
            16 "esr_el1" "0x56000001" "0x96000002";
            17 "far_el1" "0x9999" "0xaaaa";
            18 "par_el1" "0x809" "0x80b";
            19 "csselr_el1" "2" "1";
        }
    };
}

/// The first registers are kept for both worlds. The TEE does not look at the others: they mean something only between
/// an exception and its return, and it is never left there.
pub const KEPT_FOR_BOTH: usize = 14;

macro_rules! names {
    ($($bit:literal $name:literal $normal:literal $secure:literal;)*) => {
        /// The registers, by their bit in the masks.
        pub const REGISTERS: [&str; [$($bit),*].len()] = [$($name),*];
    };
}
registers!(names);

#[cfg(test)]
mod tests {
    macro_rules! check {
        ($($bit:literal $name:literal $normal:literal $secure:literal;)*) => {
            #[test]
            fn every_register_has_its_bit_and_two_numbers() {
                let bits = [$($bit),*];
                assert!(bits.iter().enumerate().all(|(n, bit)| n == *bit));
                $(assert_ne!($normal, $secure, $name);)*
            }
        };
    }
    registers!(check);
}
