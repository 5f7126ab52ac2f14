// SPDX-License-Identifier: MIT OR Apache-2.0
//! The flash image's contents: the firmware image package (FIP) of TF-A (`firmware_image_package.h`) and our manifest.
//!
//! The package says where images are, the manifest what they must hash to. The manifest stands beside the package in
//! the same flash, so it shows that an image is whole, not who made it: the flash is the root of trust.
//!
//! Both are read from memory that is taken as given but not believed: [`Fip::parse`] and [`Manifest::parse`] check
//! every bound. The writers are here too, so that one test holds reader and writer together.

use core::fmt;
use uuid::{Uuid, uuid};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An image the monitor knows what to do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// EL3 runtime firmware: the monitor's runtime.
    Bl31,
    /// Secure payload: the TEE.
    Bl32,
    /// Non-trusted firmware: the hypervisor.
    Bl33,
}

impl Image {
    /// Every image, in the order in which they are started.
    pub const ALL: [Self; 3] = [Self::Bl31, Self::Bl32, Self::Bl33];

    /// Returns the UUID that names the image in the package, its bytes in the order in which they stand there.
    pub const fn uuid(self) -> Uuid {
        match self {
            Self::Bl31 => uuid!("47d4086d-4cfe-9846-9b95-2950cbbd5a00"),
            Self::Bl32 => uuid!("05d0e189-53dc-1347-8d2b-500a4b7a3e38"),
            Self::Bl33 => uuid!("d6d0eea7-fcea-d54b-9782-9934f234b6e4"),
        }
    }

    /// Says what fiptool and the layers' logs call the image.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bl31 => "BL31 (monitor runtime)",
            Self::Bl32 => "BL32 (TEE)",
            Self::Bl33 => "BL33 (normal world)",
        }
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `fip_toc_header_t`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct TocHeader {
    name: u32,
    serial: u32,
    flags: u64,
}

/// `fip_toc_entry_t`. Offsets are from the package's first byte.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct TocEntry {
    uuid: [u8; 16],
    offset: u64,
    size: u64,
    flags: u64,
}

const TOC_NAME: u32 = 0xAA64_0001;
const TOC_SERIAL: u32 = 0x1234_5678;
const HEADER: usize = size_of::<TocHeader>();
const ENTRY: usize = size_of::<TocEntry>();
/// More entries than any package has: the search for the end is bounded.
const MAX_ENTRIES: usize = 64;

/// What is wrong with a package or a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It does not begin as a package does.
    NoPackage,
    /// The table of contents has no end within its bounds.
    NoEnd,
    /// The image reaches past the end of the package: it was cut short.
    Truncated {
        /// Where the image would end, from the package's first byte.
        end: u64,
        /// Bytes there are.
        len: u64,
    },
    /// It does not begin as a manifest does.
    NoManifest,
    /// The manifest has more entries than it has room for.
    TooManyEntries,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPackage => f.write_str("no firmware image package: its first word is not 0xaa640001"),
            Self::NoEnd => f.write_str("the package's table of contents has no end"),
            Self::Truncated { end, len } => {
                write!(f, "cut short: ends at {end:#x}, but the package has {len:#x} bytes")
            }
            Self::NoManifest => f.write_str("no manifest: its first bytes are not 'TRIPMAN1'"),
            Self::TooManyEntries => f.write_str("the manifest has more entries than fit"),
        }
    }
}

/// A firmware image package whose table of contents has an end.
pub struct Fip<'a> {
    bytes: &'a [u8],
    entries: usize,
}

impl<'a> Fip<'a> {
    /// Reads the table of contents of the package at the start of `bytes`, which may go on after the package.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let (header, _) = TocHeader::read_from_prefix(bytes).map_err(|_| Error::NoPackage)?;
        if header.name != TOC_NAME {
            return Err(Error::NoPackage);
        }
        for entries in 0..MAX_ENTRIES {
            let entry = entry_at(bytes, entries).ok_or(Error::NoEnd)?;
            if entry.uuid == [0; 16] {
                // The end marker's offset is the package's length.
                let len = usize::try_from(entry.offset).unwrap_or(usize::MAX);
                let bytes = bytes.get(..len).ok_or(Error::Truncated { end: entry.offset, len: bytes.len() as u64 })?;
                return Ok(Self { bytes, entries });
            }
        }
        Err(Error::NoEnd)
    }

    /// Returns the image's bytes; `None` when the package has no such image.
    pub fn image(&self, image: Image) -> Option<Result<&'a [u8], Error>> {
        (0..self.entries)
            .filter_map(|index| entry_at(self.bytes, index))
            .find(|entry| entry.uuid == *image.uuid().as_bytes())
            .map(|entry| {
                let end = entry.offset.saturating_add(entry.size);
                let cut = Error::Truncated { end, len: self.bytes.len() as u64 };
                let range =
                    usize::try_from(entry.offset).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX);
                self.bytes.get(range).ok_or(cut)
            })
    }
}

fn entry_at(bytes: &[u8], index: usize) -> Option<TocEntry> {
    let at = HEADER + index * ENTRY;
    TocEntry::read_from_bytes(bytes.get(at..at + ENTRY)?).ok()
}

/// Returns the bytes of a package of these images.
pub fn fip_size(images: &[(Image, &[u8])]) -> usize {
    images.iter().fold(toc_size(images.len()), |at, (_, bytes)| align(at) + bytes.len())
}

/// Writes a package of these images to `out`, whose length must be [`fip_size`]'s.
///
/// # Panics
///
/// When `out` is too short.
pub fn write_fip(images: &[(Image, &[u8])], out: &mut [u8]) {
    out[..HEADER].copy_from_slice(TocHeader { name: TOC_NAME, serial: TOC_SERIAL, flags: 0 }.as_bytes());
    let mut at = toc_size(images.len());
    let put_entry = |index: usize, entry: TocEntry, out: &mut [u8]| {
        out[HEADER + index * ENTRY..][..ENTRY].copy_from_slice(entry.as_bytes());
    };
    for (index, (image, bytes)) in images.iter().enumerate() {
        at = align(at);
        let entry = TocEntry { uuid: image.uuid().into_bytes(), offset: at as u64, size: bytes.len() as u64, flags: 0 };
        put_entry(index, entry, out);
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    }
    put_entry(images.len(), TocEntry { uuid: [0; 16], offset: at as u64, size: 0, flags: 0 }, out);
}

const fn toc_size(images: usize) -> usize {
    HEADER + (images + 1) * ENTRY
}

/// Images begin at cache lines, so that copying and hashing them is aligned.
const fn align(at: usize) -> usize {
    at.next_multiple_of(64)
}

/// What one image must be.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ManifestEntry {
    /// The image's UUID, as in the package.
    pub uuid: [u8; 16],
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

/// `manifest` in the flash: an eight-byte magic, the number of entries, the entries.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Manifest {
    magic: [u8; 8],
    count: u64,
    entries: [ManifestEntry; Manifest::CAPACITY],
}

impl Manifest {
    const MAGIC: [u8; 8] = *b"TRIPMAN1";
    /// Entries a manifest has room for.
    pub const CAPACITY: usize = 8;

    /// Makes a manifest of these entries.
    ///
    /// # Panics
    ///
    /// When there are more than [`Manifest::CAPACITY`].
    pub fn new(entries: &[ManifestEntry]) -> Self {
        let mut all = [ManifestEntry { uuid: [0; 16], size: 0, sha256: [0; 32] }; Self::CAPACITY];
        all[..entries.len()].copy_from_slice(entries);
        Self { magic: Self::MAGIC, count: entries.len() as u64, entries: all }
    }

    /// Reads the manifest at the start of `bytes`, copied out of them.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let (manifest, _) = Self::read_from_prefix(bytes).map_err(|_| Error::NoManifest)?;
        if manifest.magic != Self::MAGIC {
            return Err(Error::NoManifest);
        }
        if manifest.count > Self::CAPACITY as u64 {
            return Err(Error::TooManyEntries);
        }
        Ok(manifest)
    }

    /// Returns the entry of `image`.
    pub fn entry(&self, image: Image) -> Option<&ManifestEntry> {
        // `parse` and `new` bound the count.
        self.entries[..self.count as usize].iter().find(|entry| entry.uuid == *image.uuid().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGES: &[(Image, &[u8])] = &[(Image::Bl31, b"runtime"), (Image::Bl32, b""), (Image::Bl33, &[7; 1000])];

    fn package() -> Vec<u8> {
        let mut out = vec![0; fip_size(IMAGES)];
        write_fip(IMAGES, &mut out);
        out
    }

    #[test]
    fn what_was_packed_is_found_even_with_flash_after_it() {
        let mut flash = package();
        flash.extend([0xFF; 100]);
        let fip = Fip::parse(&flash).unwrap();
        for (image, bytes) in IMAGES {
            assert_eq!(fip.image(*image).unwrap().unwrap(), *bytes);
        }
    }

    #[test]
    fn the_header_is_the_one_fiptool_writes() {
        assert_eq!(package()[..8], [0x01, 0x00, 0x64, 0xAA, 0x78, 0x56, 0x34, 0x12]);
        assert_eq!((HEADER, ENTRY), (16, 40));
    }

    #[test]
    fn a_package_cut_anywhere_is_refused_and_never_read_past_its_end() {
        let whole = package();
        for len in 0..whole.len() {
            assert!(Fip::parse(&whole[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn an_image_that_reaches_past_the_end_is_refused() {
        for (offset, size) in [(u64::MAX, 2), (1000, u64::MAX), (0, 1 << 40), (1 << 40, 0)] {
            let mut bytes = package();
            bytes[HEADER + 16..HEADER + 24].copy_from_slice(&offset.to_le_bytes());
            bytes[HEADER + 24..HEADER + 32].copy_from_slice(&size.to_le_bytes());
            let fip = Fip::parse(&bytes).unwrap();
            assert!(matches!(fip.image(Image::Bl31), Some(Err(Error::Truncated { .. }))), "{offset:x} {size:x}");
        }
    }

    #[test]
    fn a_table_without_an_end_is_refused() {
        let mut bytes = vec![1; 1 << 16];
        bytes[..8].copy_from_slice(&package()[..8]);
        assert!(matches!(Fip::parse(&bytes), Err(Error::NoEnd)));
    }

    #[test]
    fn a_manifest_says_what_was_put_in_and_no_more() {
        let entry = ManifestEntry { uuid: Image::Bl33.uuid().into_bytes(), size: 5, sha256: [9; 32] };
        let mut bytes = Manifest::new(&[entry]).as_bytes().to_vec();
        let read = Manifest::parse(&bytes).unwrap();
        assert_eq!(read.entry(Image::Bl33).unwrap().sha256, [9; 32]);
        assert!(read.entry(Image::Bl31).is_none());
        bytes[8..16].copy_from_slice(&9u64.to_le_bytes());
        assert_eq!(Manifest::parse(&bytes).unwrap_err(), Error::TooManyEntries);
        bytes[0] ^= 1;
        assert_eq!(Manifest::parse(&bytes).unwrap_err(), Error::NoManifest);
        assert_eq!(Manifest::parse(&bytes[..100]).unwrap_err(), Error::NoManifest);
    }

    #[test]
    fn the_manifest_fits_its_place_in_the_flash() {
        assert!(size_of::<Manifest>() as u64 <= crate::layout::FLASH_MANIFEST.size);
    }
}
