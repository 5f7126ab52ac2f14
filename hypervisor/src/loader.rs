//! Where a VM's images go in its RAM: the device tree first, the kernel at the next 2 MiB, the RAM disk behind it.
#![forbid(unsafe_code)]

use crate::address::Ipa;
use crate::memory::{BLOCK, GUEST_RAM};
use alloc::format;
use alloc::string::String;
use shared_abi::image::ImageHeader;

/// The places of a VM's images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The device tree, which the guest gets in x0.
    pub dtb: Ipa,
    /// The kernel, and its entry: both kinds begin with an instruction.
    pub kernel: Ipa,
    /// The RAM disk.
    pub ramdisk: Option<Ipa>,
}

/// Places a kernel (its first bytes and its size) and a RAM disk of `ramdisk` bytes in `memory` bytes of RAM.
///
/// An arm64 `Image` says itself where it wants to be and how much memory it needs; anything else is taken for a flat
/// binary that runs where it is put. The error says what to do.
pub fn place(kernel: &[u8], kernel_size: u64, ramdisk: Option<u64>, memory: u64) -> Result<Placement, String> {
    let (offset, needs) = match ImageHeader::parse(kernel) {
        // Before 3.17 the header had no size, and the offset was 0x80000 whatever it said (booting.rst).
        Some(header) if header.image_size.get() == 0 => (0x8_0000, kernel_size),
        Some(header) => (header.text_offset.get(), header.image_size.get().max(kernel_size)),
        None => (0, kernel_size),
    };
    let start = BLOCK.checked_add(offset).filter(|_| offset < BLOCK);
    let start =
        start.ok_or_else(|| format!("has a kernel with a text_offset of {offset:#x}: at most 2 MiB are sensible"))?;
    let end = start.checked_add(needs);
    let (ramdisk_start, end) = match (end, ramdisk) {
        (Some(end), Some(size)) => {
            let start = end.checked_next_multiple_of(BLOCK);
            (start, start.and_then(|start| start.checked_add(size)))
        }
        (end, _) => (None, end),
    };
    match end {
        Some(end) if end <= memory => Ok(Placement {
            dtb: GUEST_RAM,
            kernel: Ipa(GUEST_RAM.0 + start),
            ramdisk: ramdisk_start.map(|start| Ipa(GUEST_RAM.0 + start)),
        }),
        Some(end) => {
            let needed = end.div_ceil(BLOCK) * (BLOCK / 1024);
            Err(format!("is too small for its images: memory is {} KiB, at least {needed} are needed", memory / 1024))
        }
        None => Err("has a kernel that claims more memory than there can be".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn image(text_offset: u64, image_size: u64) -> [u8; 64] {
        let mut header = [0; 64];
        header[8..16].copy_from_slice(&text_offset.to_le_bytes());
        header[16..24].copy_from_slice(&image_size.to_le_bytes());
        header[56..60].copy_from_slice(b"ARM\x64");
        header
    }

    #[test]
    fn linux_goes_to_the_next_two_megabytes_with_its_bss_before_the_ram_disk() {
        let placement = place(&image(0, 33 * MIB), 30 * MIB, Some(7 * MIB), 64 * MIB).unwrap();
        assert_eq!(placement.dtb, Ipa(0x4000_0000));
        assert_eq!(placement.kernel, Ipa(0x4020_0000));
        assert_eq!(placement.ramdisk, Some(Ipa(0x4000_0000 + 36 * MIB)));
    }

    #[test]
    fn a_text_offset_is_kept_and_a_flat_binary_has_none() {
        assert_eq!(place(&image(0x8_0000, MIB), MIB, None, 16 * MIB).unwrap().kernel, Ipa(0x4028_0000));
        assert_eq!(place(&[0; 8], 8, None, 16 * MIB).unwrap().kernel, Ipa(0x4020_0000));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_size_that_would() {
        let error = place(&image(0, 33 * MIB), 30 * MIB, Some(7 * MIB), 32 * MIB).unwrap_err();
        assert!(error.contains(&format!("at least {} are needed", 44 * 1024)), "{error}");
        assert!(place(&image(0, u64::MAX), 8, None, 64 * MIB).is_err());
        assert!(place(&image(u64::MAX, 8), 8, None, 64 * MIB).is_err());
        assert!(place(&image(0, u64::MAX - BLOCK), 8, None, 64 * MIB).is_err());
        assert!(place(&image(0, u64::MAX - 4 * MIB), 8, Some(u64::MAX), 64 * MIB).is_err());
    }
}
