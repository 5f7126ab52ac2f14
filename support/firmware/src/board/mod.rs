// SPDX-License-Identifier: MIT OR Apache-2.0
//! The board: which devices the machine has, where their registers are, by which interrupts they call. Said once for
//! each board, in a file of its own.
//!
//! How the layers divide memory among themselves is a contract of theirs: [`shared_abi::layout`].

mod virt;

use shared_abi::layout::Range;
pub use virt::VIRT;

/// The board that the firmware is built for.
pub const BOARD: Board = VIRT;

/// Bytes of one CPU's redistributor: two frames, `RD_base` and `SGI_base` (GICv3 §12.10).
pub const REDISTRIBUTOR: u64 = 128 << 10;

/// A device that interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its registers.
    pub registers: Range,
    /// Its interrupt, an SPI.
    pub spi: u32,
}

impl Device {
    /// Returns its interrupt by the number that the GIC has for it (GICv3 §2.2).
    pub const fn intid(&self) -> u32 {
        32 + self.spi
    }
}

/// A board's devices, as far as anybody drives them.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// GICv3 distributor.
    pub distributor: Range,
    /// GICv3 redistributors, [`REDISTRIBUTOR`] for each CPU.
    pub redistributors: Range,
    /// PL011 of the normal world; the hypervisor's.
    pub uart: Device,
    /// PL031 real-time clock, non-secure.
    pub rtc: Device,
    /// PL011 of the secure world; shared by monitor and TEE, which never run at once on one CPU and print whole lines.
    pub secure_uart: Range,
    /// PL061 of the secure world.
    pub secure_gpio: Range,
    /// Line of the PL061 whose rising edge switches the machine off.
    pub power_off_line: u32,
    /// Line of the PL061 whose rising edge resets the machine.
    pub reset_line: u32,
}

impl Board {
    /// Returns the devices of the secure world alone.
    pub const fn secure(&self) -> [Range; 2] {
        [self.secure_uart, self.secure_gpio]
    }

    /// Returns the devices of the normal world, and those that both have.
    pub const fn non_secure(&self) -> [Range; 4] {
        [self.uart.registers, self.rtc.registers, self.distributor, self.redistributors]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::layout::{DTB, FLASH, MAX_CPUS, MONITOR, OPTEE_RESERVED_SHM, TEE, TRACE};

    #[test]
    fn neither_two_devices_nor_a_device_and_memory_overlap() {
        let memory = [FLASH, MONITOR, TEE, DTB, OPTEE_RESERVED_SHM, TRACE];
        let parts = [&BOARD.secure()[..], &BOARD.non_secure(), &memory].concat();
        for (i, a) in parts.iter().enumerate() {
            for b in &parts[i + 1..] {
                assert!(!a.overlaps(b), "{a:x?} overlaps {b:x?}");
            }
        }
    }

    #[test]
    fn every_cpu_has_a_redistributor() {
        assert!(BOARD.redistributors.size >= MAX_CPUS as u64 * REDISTRIBUTOR);
    }
}
