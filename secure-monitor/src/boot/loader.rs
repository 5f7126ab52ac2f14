// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the package in the flash to images in their places: each is copied once, and what stands there afterwards is
//! what is hashed.

use crate::digest::{Compress, sha256};
use core::fmt;
use shared_abi::fip::{self, Fip, Image, Manifest};
use shared_abi::layout::{BL33_BASE, MONITOR_RUNTIME, Range, TEE};

/// Why an image is not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The package itself is not right.
    Package(fip::Error),
    /// The package has no such image, and there is no going on without it.
    Missing,
    /// The manifest says nothing about it.
    Unknown,
    /// The manifest says another size.
    Size {
        /// Bytes the package has.
        found: u64,
        /// Bytes the manifest says.
        expected: u64,
    },
    /// It has no bytes.
    Empty,
    /// Its place is too small for it, or is no memory.
    TooLarge {
        /// Bytes it has.
        size: u64,
        /// Bytes there are.
        room: u64,
    },
    /// It is not what the manifest says.
    Hash,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package(error) => error.fmt(f),
            Self::Missing => f.write_str("not in the package"),
            Self::Unknown => f.write_str("unknown: the manifest has no entry for it"),
            Self::Size { found, expected } => write!(f, "has {found} bytes where the manifest says {expected}"),
            Self::Empty => f.write_str("is empty"),
            Self::TooLarge { size, room } => write!(f, "too large: {size} bytes, and room for {room}"),
            Self::Hash => f.write_str("wrong SHA-256"),
        }
    }
}

/// An image that may be copied: in the package, known to the manifest, and no larger than its place.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its bytes in the flash.
    pub source: &'a [u8],
    /// Where it goes.
    pub place: Range,
    expected: [u8; 32],
}

/// Says where `image` goes. The normal world's has what is left of the RAM range that holds its address.
pub fn place(image: Image, ram: &[Range]) -> Range {
    match image {
        Image::Bl31 => MONITOR_RUNTIME,
        Image::Bl32 => TEE,
        Image::Bl33 => {
            let room = ram.iter().find(|range| range.holds(BL33_BASE, 1)).map_or(0, |range| range.end() - BL33_BASE);
            Range::new(BL33_BASE, room)
        }
    }
}

/// Finds `image` and checks all that can be known before it is copied. `None` when the package does not have it.
pub fn find<'a>(
    package: &Fip<'a>,
    manifest: &Manifest,
    image: Image,
    place: Range,
) -> Option<Result<Candidate<'a>, Refusal>> {
    let source = match package.image(image)? {
        Ok(source) => source,
        Err(error) => return Some(Err(Refusal::Package(error))),
    };
    Some(check(source, manifest, image, place))
}

fn check<'a>(source: &'a [u8], manifest: &Manifest, image: Image, place: Range) -> Result<Candidate<'a>, Refusal> {
    let entry = manifest.entry(image).ok_or(Refusal::Unknown)?;
    let size = source.len() as u64;
    if size != entry.size {
        return Err(Refusal::Size { found: size, expected: entry.size });
    }
    if size == 0 {
        return Err(Refusal::Empty);
    }
    if size > place.size {
        return Err(Refusal::TooLarge { size, room: place.size });
    }
    Ok(Candidate { source, place: Range::new(place.base, size), expected: entry.sha256 })
}

impl Candidate<'_> {
    /// Copies the image to `destination`, its place, and checks what stands there then.
    ///
    /// # Panics
    ///
    /// When `destination` has another length than the image: that is this crate's mistake, not the image's.
    pub fn load(&self, destination: &mut [u8], compress: Compress) -> Result<(), Refusal> {
        destination.copy_from_slice(self.source);
        if sha256(destination, compress) == self.expected { Ok(()) } else { Err(Refusal::Hash) }
    }
}

#[cfg(test)]
mod tests;
