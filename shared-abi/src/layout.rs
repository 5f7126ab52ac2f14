// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the layers divide memory among themselves, by physical address, on QEMU's `virt` with
//! `secure=on,virtualization=on,gic-version=3`.
//!
//! Which memory there is says `hw/arm/virt.c`; how the secure SRAM and the flash are divided is ours, with the TEE
//! where OP-TEE's `qemu_armv8a` port lives so that either can stand there. The devices are the board's:
//! `firmware_support::board`.

/// A range of physical addresses: first byte and length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Address of the first byte.
    pub base: u64,
    /// Length in bytes.
    pub size: u64,
}

impl Range {
    /// Makes a range of `size` bytes from `base`.
    pub const fn new(base: u64, size: u64) -> Self {
        Self { base, size }
    }

    /// Returns the address after the last byte. Saturates, so that a range can never seem to end before it begins.
    pub const fn end(&self) -> u64 {
        self.base.saturating_add(self.size)
    }

    /// Says whether all of `len` bytes from `addr` lie inside. False when they wrap around the address space.
    pub const fn holds(&self, addr: u64, len: u64) -> bool {
        match addr.checked_add(len) {
            Some(end) => addr >= self.base && end <= self.end(),
            None => false,
        }
    }

    /// Says whether the two share a byte.
    pub const fn overlaps(&self, other: &Range) -> bool {
        self.size != 0 && other.size != 0 && self.base < other.end() && other.base < self.end()
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Secure NOR flash: the boot stage runs in place at its first byte, where every CPU leaves reset.
pub const FLASH: Range = Range::new(0, 64 * MIB);
/// The boot stage's share of the flash.
pub const FLASH_BOOT: Range = Range::new(0, 0x1_F000);
/// The manifest ([`crate::fip::Manifest`]) that says what every image of the package must hash to.
pub const FLASH_MANIFEST: Range = Range::new(0x1_F000, 0x1000);
/// The firmware image package, to the end of the flash.
pub const FLASH_FIP: Range = Range::new(0x4_0000, 64 * MIB - 0x4_0000);

/// Secure SRAM of the monitor.
pub const MONITOR: Range = Range::new(0x0E00_0000, MIB);
/// Of it, what the monitor's runtime occupies: image, data, stacks and tables.
pub const MONITOR_RUNTIME: Range = Range::new(0x0E00_0000, 128 * KIB);
/// Of it, the boot stage's data, stack and tables; free once the runtime has taken over.
pub const MONITOR_BOOT: Range = Range::new(0x0E02_0000, 896 * KIB);
/// Secure SRAM of the TEE core and its partitions. The TEE's entry is its first byte.
pub const TEE: Range = Range::new(0x0E10_0000, 15 * MIB);

/// Start of non-secure DRAM; how much there is says the device tree.
pub const DRAM_BASE: u64 = 0x4000_0000;
/// The machine's device tree, at the start of DRAM; the monitor patches it in place.
pub const DTB: Range = Range::new(DRAM_BASE, MIB);
/// Kept free, so that a real OP-TEE finds its reserved shared memory.
pub const OPTEE_RESERVED_SHM: Range = Range::new(0x4200_0000, 2 * MIB);
/// Where layers that are built to trace write their records ([`crate::trace`]), if the device tree reserves it.
pub const TRACE: Range = Range::new(0x4400_0000, 96 * MIB);
/// Where the package's normal-world image (BL33) is loaded and entered.
pub const BL33_BASE: u64 = 0x6000_0000;
/// Guest images are loaded from here on as modules.
pub const MODULES_BASE: u64 = 0x7000_0000;

/// CPUs the layers have room for.
pub const MAX_CPUS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_wraps_holds_nothing() {
        let all = Range::new(0, u64::MAX);
        assert!(!all.holds(u64::MAX, 2));
        assert!(TEE.holds(TEE.base, TEE.size));
        assert!(!TEE.holds(TEE.base, TEE.size + 1));
        assert!(!TEE.holds(TEE.base - 1, 1));
    }

    #[test]
    fn the_parts_of_the_map_do_not_overlap() {
        let parts = [FLASH, MONITOR, TEE, DTB, OPTEE_RESERVED_SHM, TRACE];
        for (i, a) in parts.iter().enumerate() {
            for b in &parts[i + 1..] {
                assert!(!a.overlaps(b), "{a:x?} overlaps {b:x?}");
            }
        }
        for (part, whole) in [
            (FLASH_BOOT, FLASH),
            (FLASH_MANIFEST, FLASH),
            (FLASH_FIP, FLASH),
            (MONITOR_RUNTIME, MONITOR),
            (MONITOR_BOOT, MONITOR),
        ] {
            assert!(whole.holds(part.base, part.size));
        }
        assert!(!FLASH_BOOT.overlaps(&FLASH_MANIFEST) && !FLASH_MANIFEST.overlaps(&FLASH_FIP));
        assert!(!MONITOR_RUNTIME.overlaps(&MONITOR_BOOT));
    }
}
