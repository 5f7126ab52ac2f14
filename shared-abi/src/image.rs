// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel's file is: an arm64 `Image`, by its header (Linux `Documentation/arch/arm64/booting.rst`), or
//! something that has to be unpacked first.

use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, little_endian::U32, little_endian::U64};

/// The 64 bytes an arm64 `Image` begins with. All numbers are little-endian.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ImageHeader {
    /// Two instructions: the first one branches over the header.
    pub code: [U32; 2],
    /// Where to put the image, in bytes from a 2 MiB boundary.
    pub text_offset: U64,
    /// Memory the image needs from its first byte on, in bytes, its bss included. 0 in kernels before 3.17.
    pub image_size: U64,
    /// Bit 0: big-endian. Bits 2:1: page size. Bit 3: may stand anywhere in memory.
    pub flags: U64,
    /// Reserved.
    pub reserved: [U64; 3],
    /// [`ImageHeader::MAGIC`].
    pub magic: U32,
    /// Offset of a PE header, or 0.
    pub pe_offset: U32,
}

impl ImageHeader {
    /// `ARM\x64`.
    pub const MAGIC: u32 = 0x644D_5241;

    /// Reads the header at the start of `image`, if the image is one.
    pub fn parse(image: &[u8]) -> Option<&Self> {
        let (header, _) = Self::ref_from_prefix(image).ok()?;
        (header.magic.get() == Self::MAGIC).then_some(header)
    }
}

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An arm64 `Image`: it runs as it is.
    Image,
    /// Nothing that is known: a program that begins with its first instruction, perhaps.
    Flat,
    /// An ELF file.
    Elf,
    /// A kernel that unpacks itself under EFI (`CONFIG_EFI_ZBOOT`): Linux
    /// `drivers/firmware/efi/libstub/zboot-header.S`.
    Zboot,
    /// Another program for EFI.
    Efi,
    /// A kernel for 32-bit Arm.
    Arm32,
    /// U-Boot's legacy image.
    UImage,
    /// A device tree, or U-Boot's image in the form of one.
    Tree,
    /// Compressed by gzip.
    Gzip,
    /// Compressed by zstd.
    Zstd,
    /// Compressed by xz.
    Xz,
    /// Compressed by lzma, in its own form.
    Lzma,
    /// Compressed by lz4, in the legacy form, which is the kernel's.
    Lz4Legacy,
    /// Compressed by lz4.
    Lz4,
    /// Compressed by bzip2.
    Bzip2,
    /// Compressed by lzop.
    Lzop,
}

impl Format {
    /// By these, at these places. The first that fits counts.
    const SIGNS: [(usize, &'static [u8], Self); 16] = [
        // Also an EFI program, if it begins with an instruction that spells `MZ`.
        (56, b"ARM\x64", Self::Image),
        (0, b"MZ\0\0zimg", Self::Zboot),
        (0, b"MZ", Self::Efi),
        (0, b"\x7FELF", Self::Elf),
        (36, b"\x18\x28\x6F\x01", Self::Arm32),
        (0, b"\x27\x05\x19\x56", Self::UImage),
        (0, b"\xD0\x0D\xFE\xED", Self::Tree),
        (0, b"\x1F\x8B\x08", Self::Gzip),
        (0, b"\x28\xB5\x2F\xFD", Self::Zstd),
        (0, b"\xFD7zXZ\0", Self::Xz),
        (0, b"\x5D\0\0", Self::Lzma),
        (0, b"\x02\x21\x4C\x18", Self::Lz4Legacy),
        (0, b"\x04\x22\x4D\x18", Self::Lz4),
        (0, b"BZh", Self::Bzip2),
        (0, b"\x89LZO\0\r\n\x1A\n", Self::Lzop),
        (0, b"", Self::Flat),
    ];

    /// Says what these bytes, the file's first 64 or more, are the beginning of.
    pub fn of(file: &[u8]) -> Self {
        let fits = |at: usize, sign: &[u8]| file.get(at..).is_some_and(|rest| rest.starts_with(sign));
        Self::SIGNS.iter().find(|(at, sign, _)| fits(*at, sign)).map_or(Self::Flat, |(.., format)| *format)
    }

    /// Says whether its first byte can be an instruction of a kernel for this machine.
    pub const fn runs(self) -> bool {
        matches!(self, Self::Image | Self::Flat)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "an arm64 Image",
            Self::Flat => "no format that is known",
            Self::Elf => "an ELF file",
            Self::Zboot => "a kernel that unpacks itself under EFI (zboot)",
            Self::Efi => "a program for EFI",
            Self::Arm32 => "a kernel for 32-bit Arm",
            Self::UImage => "an image for U-Boot",
            Self::Tree => "a device tree, or U-Boot's image in the form of one (FIT)",
            Self::Gzip => "compressed by gzip",
            Self::Zstd => "compressed by zstd",
            Self::Xz => "compressed by xz",
            Self::Lzma => "compressed by lzma",
            Self::Lz4Legacy | Self::Lz4 => "compressed by lz4",
            Self::Bzip2 => "compressed by bzip2",
            Self::Lzop => "compressed by lzop",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_first_bytes() {
        let at = |place: usize, sign: &[u8]| {
            let mut file = [0; 80];
            file[place..place + sign.len()].copy_from_slice(sign);
            Format::of(&file)
        };
        for (place, sign, format) in Format::SIGNS {
            assert_eq!(at(place, sign), format);
        }
        assert_eq!(at(1, b"\x7FELF"), Format::Flat);
        assert_eq!(Format::of(b"\x1F\x8B"), Format::Flat);
        assert_eq!(Format::of(&[]), Format::Flat);
        // A kernel with its EFI stub is an Image all the same.
        let mut stub = [0; 64];
        stub[..2].copy_from_slice(b"MZ");
        stub[56..60].copy_from_slice(b"ARM\x64");
        assert_eq!(Format::of(&stub), Format::Image);
        assert!(Format::Flat.runs() && !Format::Gzip.runs());
    }

    #[test]
    fn only_a_whole_header_with_the_magic_is_one() {
        assert_eq!(size_of::<ImageHeader>(), 64);
        let mut image = [0u8; 64];
        assert!(ImageHeader::parse(&image).is_none());
        image[56..60].copy_from_slice(b"ARM\x64");
        image[16] = 7;
        assert_eq!(ImageHeader::parse(&image).unwrap().image_size.get(), 7);
        assert!(ImageHeader::parse(&image[..63]).is_none());
    }
}
