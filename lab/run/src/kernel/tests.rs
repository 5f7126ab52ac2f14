// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::elf::tests::{Segment, elf};
use flate2::{Compression, write::GzEncoder};
use lz4_flex::frame::FrameEncoder;
use lzma_rust2::{LzmaOptions, LzmaWriter, XzOptions, XzWriter};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::Write;

/// Makes an Image that is not the same all over.
fn image() -> Vec<u8> {
    let mut image: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    image[..64].fill(0);
    image[56..60].copy_from_slice(b"ARM\x64");
    image
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    // As `scripts/xz_wrap.sh` has it for arm64.
    let mut options = XzOptions::with_preset(1);
    options.prepend_pre_filter(lzma_rust2::FilterType::BcjArm64, 0);
    let mut packer = XzWriter::new(Vec::new(), options).unwrap();
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn lzma(bytes: &[u8]) -> Vec<u8> {
    let mut packer = LzmaWriter::new_use_header(Vec::new(), &LzmaOptions::with_preset(1), None).unwrap();
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut packer = FrameEncoder::new(Vec::new());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// Packs as `lz4 -l` does, which is what the kernel uses.
fn lz4_legacy(bytes: &[u8]) -> Vec<u8> {
    let block = lz4_flex::block::compress(bytes);
    [&0x184C_2102_u32.to_le_bytes()[..], &(block.len() as u32).to_le_bytes(), &block].concat()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

fn zboot(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 0x400];
    file[..8].copy_from_slice(b"MZ\0\0zimg");
    file[8..12].copy_from_slice(&0x400u32.to_le_bytes());
    file[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    file[24..24 + kind.len()].copy_from_slice(kind.as_bytes());
    file[56..60].copy_from_slice(&0x8182_23CD_u32.to_le_bytes());
    // Behind the payload stands how long it is when it is unpacked, and the program that does it.
    [&file, payload, &[0x5A; 100]].concat()
}

#[test]
fn what_is_compressed_is_unpacked() {
    for (packed, format) in [
        (image(), None),
        (gzip(&image()), Some(Format::Gzip)),
        (xz(&image()), Some(Format::Xz)),
        (lzma(&image()), Some(Format::Lzma)),
        (lz4(&image()), Some(Format::Lz4)),
        (lz4_legacy(&image()), Some(Format::Lz4Legacy)),
        (zstd(&image()), Some(Format::Zstd)),
    ] {
        let kernel = unpack(packed).unwrap_or_else(|error| panic!("{format:?}: {error:#}"));
        assert_eq!((kernel.packed, kernel.place), (format.into_iter().collect(), None));
        assert!(kernel.bytes == image(), "{format:?}");
    }
}

#[test]
fn a_kernel_for_efi_is_unpacked_whatever_it_is_compressed_by() {
    for (kind, payload) in [
        ("gzip", gzip(&image())),
        ("lz4", lz4_legacy(&image())),
        ("lzma", lzma(&image())),
        ("xzkern", xz(&image())),
        ("zstd22", zstd(&image())),
    ] {
        let kernel = unpack(zboot(kind, &payload)).unwrap_or_else(|error| panic!("{kind}: {error:#}"));
        assert_eq!(kernel.packed, [Format::Zboot]);
        assert!(kernel.bytes == image(), "{kind}");
        // And once more around that.
        assert_eq!(unpack(gzip(&zboot(kind, &payload))).unwrap().packed, [Format::Gzip, Format::Zboot]);
    }
    let error = unpack(zboot("lzo", b"x")).unwrap_err().to_string();
    assert_eq!(error, "it is a kernel for EFI (zboot) compressed by lzo: unpack it to an arm64 Image");
    let mut cut = zboot("gzip", &gzip(&image()));
    cut.truncate(0x500);
    assert!(unpack(cut).unwrap_err().to_string().contains("cut short"));
}

#[test]
fn a_program_stands_where_it_was_linked_for() {
    let text =
        Segment { virtual_address: 0x4008_0000, physical_address: 0x4008_0000, data: b"\x1F\x20\x03\xD5", memory: 64 };
    let kernel = unpack(elf(0x4008_0000, &[text])).unwrap();
    assert_eq!(kernel.place, Some(Place { address: 0x4008_0000, entry: 0x4008_0000 }));
    assert_eq!((&kernel.bytes[..4], kernel.bytes.len()), (&b"\x1F\x20\x03\xD5"[..], 64));
    // Linux's own runs anywhere.
    let head: &'static [u8] = image()[..64].to_vec().leak();
    let vmlinux = Segment {
        virtual_address: 0xFFFF_8000_8000_0000,
        physical_address: 0xFFFF_8000_8000_0000,
        data: head,
        memory: 128,
    };
    let kernel = unpack(elf(0xFFFF_8000_8000_0000, &[vmlinux])).unwrap();
    assert_eq!((kernel.place, kernel.bytes.len(), kernel.packed), (None, 128, vec![Format::Elf]));
}

#[test]
fn what_cannot_be_unpacked_is_named() {
    let said = |file: &[u8]| format!("{:#}", unpack(file.to_vec()).unwrap_err());
    assert_eq!(said(b"BZh91AY"), "it is compressed by bzip2: unpack it to an arm64 Image");
    assert_eq!(said(b"\x89LZO\0\r\n\x1A\n"), "it is compressed by lzop: unpack it to an arm64 Image");
    assert_eq!(said(b"MZ\x90\0\x03"), "it is a program for EFI: VMs have no EFI");
    assert!(said(b"\x27\x05\x19\x56").contains("an image for U-Boot: take the kernel out of it"));
    assert!(said(b"\xD0\x0D\xFE\xED").contains("(FIT)"));
    let mut zimage = vec![0; 64];
    zimage[36..40].copy_from_slice(b"\x18\x28\x6F\x01");
    assert_eq!(said(&zimage), "it is a kernel for 32-bit Arm: VMs are 64-bit");
    assert!(said(b"\x7FELF").starts_with("it is an ELF file, but cannot be started: "));
}

#[test]
fn a_damaged_file_is_an_error_and_never_a_panic() {
    for packed in [gzip(&image()), xz(&image()), lzma(&image()), lz4(&image()), zstd(&image())] {
        assert!(unpack(packed[..packed.len() / 2].to_vec()).is_err());
        for at in (0..200).chain(packed.len() - 20..packed.len()) {
            let mut damaged = packed.clone();
            damaged[at] ^= 0x55;
            let _ = unpack(damaged);
        }
    }
    let mut onion = image();
    for _ in 0..5 {
        onion = gzip(&onion);
    }
    assert!(unpack(onion).unwrap_err().to_string().contains("more than 4 times"));
}
