// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;

const MIB: u64 = 1 << 20;
const ANYWHERE: Wish = Wish { dtb: DtbPlace::Base, kernel: None, entry: None };
const AS_QEMU: Wish = Wish { dtb: DtbPlace::AfterKernel, ..ANYWHERE };

fn image(text_offset: u64, image_size: u64) -> [u8; 64] {
    let mut header = [0; 64];
    header[8..16].copy_from_slice(&text_offset.to_le_bytes());
    header[16..24].copy_from_slice(&image_size.to_le_bytes());
    header[56..60].copy_from_slice(b"ARM\x64");
    header
}

fn ram(offset: u64) -> Ipa {
    Ipa(0x4000_0000 + offset)
}

#[test]
fn linux_goes_to_the_next_two_megabytes_with_its_bss_before_the_ram_disk() {
    let placement = place(&image(0, 33 * MIB), 30 * MIB, Some(7 * MIB), 64 * MIB, ANYWHERE).unwrap();
    assert_eq!(
        placement,
        Placement { dtb: ram(0), kernel: ram(2 * MIB), entry: ram(2 * MIB), ramdisk: Some(ram(36 * MIB)) }
    );
}

#[test]
fn a_text_offset_is_kept_and_a_flat_binary_has_none() {
    let kernel = |header: &[u8]| place(header, MIB, None, 16 * MIB, ANYWHERE).unwrap().kernel;
    assert_eq!(kernel(&image(0x8_0000, MIB)), ram(0x28_0000));
    assert_eq!(kernel(&image(0x1000, 0)), ram(0x28_0000), "before 3.17 the offset was that, whatever the header says");
    assert_eq!(kernel(&[0; 8]), ram(2 * MIB));
    assert!(
        place(&image(2 * MIB, MIB), MIB, None, 16 * MIB, ANYWHERE).unwrap_err().contains("text_offset of 0x200000")
    );
}

#[test]
fn what_does_not_fit_is_refused_with_the_size_that_would() {
    let error = place(&image(0, 33 * MIB), 30 * MIB, Some(7 * MIB), 32 * MIB, ANYWHERE).unwrap_err();
    assert!(error.contains(&format!("at least {} are needed", 44 * 1024)), "{error}");
    // To the byte.
    assert!(place(&image(0, 8 * MIB), 8, Some(2 * MIB), 12 * MIB, ANYWHERE).is_ok());
    assert!(place(&image(0, 8 * MIB), 8, Some(2 * MIB + 1), 12 * MIB, ANYWHERE).is_err());
    for size in [u64::MAX, u64::MAX - BLOCK, u64::MAX - 4 * MIB] {
        for wish in [ANYWHERE, AS_QEMU] {
            assert!(place(&image(0, size), 8, None, 64 * MIB, wish).is_err());
            assert!(place(&image(0, size), 8, Some(u64::MAX), 64 * MIB, wish).is_err());
        }
    }
    assert!(place(&image(u64::MAX, 8), 8, None, 64 * MIB, ANYWHERE).is_err());
}

#[test]
fn as_qemus_loader_has_it_the_tree_is_behind_kernel_and_ram_disk() {
    // A flat kernel in a large RAM, and in a small one.
    let flat = |ramdisk, memory| place(&[0; 8], MIB, ramdisk, memory, AS_QEMU).unwrap();
    let at = |dtb, ramdisk| Placement { dtb, kernel: ram(0x8_0000), entry: ram(0x8_0000), ramdisk };
    assert_eq!(flat(None, 512 * MIB), at(ram(128 * MIB), None));
    assert_eq!(flat(Some(3 * MIB), 512 * MIB), at(ram(132 * MIB), Some(ram(128 * MIB))));
    assert_eq!(flat(None, 16 * MIB), at(ram(8 * MIB), None));
    assert_eq!(flat(Some(1), 16 * MIB), at(ram(10 * MIB), Some(ram(8 * MIB))));
    // Images by their header, but for one that would lie over QEMU's own first instructions.
    let image = |offset| place(&image(offset, 4 * MIB), MIB, None, 64 * MIB, AS_QEMU).unwrap();
    assert_eq!((image(0x8_0000).kernel, image(0x8_0000).dtb), (ram(0x8_0000), ram(32 * MIB)));
    assert_eq!((image(0x1000).kernel, image(0xFFC).kernel), (ram(0x1000), ram(0x20_0FFC)));
    // Behind a kernel that reaches beyond the half.
    let large = place(&[0; 8], 40 * MIB, None, 64 * MIB, AS_QEMU).unwrap();
    assert_eq!(large.dtb, ram(42 * MIB));
    assert!(place(&[0; 8], 61 * MIB, None, 64 * MIB, AS_QEMU).is_ok());
    assert!(place(&[0; 8], 62 * MIB, None, 64 * MIB, AS_QEMU).unwrap_err().contains("at least 67584 are needed"));
}

#[test]
fn a_program_is_put_where_it_was_linked_for_and_entered_where_it_says() {
    let at = |kernel, entry| Wish { kernel: Some(Ipa(kernel)), entry: Some(Ipa(entry)), ..ANYWHERE };
    let placed = place(&[0; 8], 0x1000, Some(5), 16 * MIB, at(0x4008_0000, 0x4008_0040)).unwrap();
    assert_eq!((placed.dtb, placed.kernel, placed.entry), (ram(0), ram(0x8_0000), ram(0x8_0040)));
    assert_eq!(placed.ramdisk, Some(ram(2 * MIB)));
    // Over its tree, or outside of its RAM.
    let low = place(&[0; 8], 0x1000, None, 16 * MIB, at(0x4000_FFFC, 0x4000_FFFC)).unwrap_err();
    assert!(low.contains("its kernel at 0x4000fffc") && low.contains("triptych,dtb = \"after-kernel\""), "{low}");
    assert_eq!(place(&[0; 8], 8, None, 16 * MIB, at(0x4001_0000, 0x4001_0000)).unwrap().kernel, ram(0x1_0000));
    let behind = Wish { dtb: DtbPlace::AfterKernel, ..at(0x4000_0000, 0x4000_0000) };
    assert_eq!(place(&[0; 8], 0x1000, None, 16 * MIB, behind).unwrap().dtb, ram(8 * MIB));
    for address in [0, 0x3FFF_F000, 0x4100_0000, u64::MAX] {
        let error = place(&[0; 8], 0x1000, None, 16 * MIB, at(address, address)).unwrap_err();
        assert!(error.contains("its RAM is 0x40000000 to 0x41000000"), "{error}");
    }
    assert!(place(&[0; 8], 0x1001, None, 16 * MIB, at(0x40FF_F000, 0x40FF_F000)).unwrap_err().contains("too small"));
    for entry in [0x4007_FFFC, 0x4008_0002, 0x4008_1000, 0, u64::MAX] {
        let error = place(&[0; 8], 0x1000, None, 16 * MIB, at(0x4008_0000, entry)).unwrap_err();
        assert!(error.contains("no instruction"), "{entry:#x}: {error}");
    }
}

#[test]
fn a_kernel_that_does_not_say_what_it_is_is_named() {
    let named = |kernel: &[u8]| remark(kernel, &place(kernel, 64, None, 16 * MIB, ANYWHERE).unwrap());
    assert_eq!(named(&image(0, MIB)), None);
    let flat = named(&[0; 64]).unwrap();
    assert_eq!(flat, "its kernel has no arm64 Image header: it is started as code at 0x40200000");
    assert!(named(b"\x1F\x8B\x08\0").unwrap().contains("compressed by gzip, which does not run as it is"));
}
