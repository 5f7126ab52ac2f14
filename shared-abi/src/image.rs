//! The header of an arm64 `Image` (Linux `Documentation/arch/arm64/booting.rst`).

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

    /// The header at the start of `image`, if the image is one.
    pub fn parse(image: &[u8]) -> Option<&Self> {
        let (header, _) = Self::ref_from_prefix(image).ok()?;
        (header.magic.get() == Self::MAGIC).then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
