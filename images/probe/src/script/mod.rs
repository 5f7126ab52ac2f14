// SPDX-License-Identifier: MIT OR Apache-2.0
//! The script in its compact form: what the lab writes and the probe plays. Both use these types.
//!
//! [`Script::parse`] goes through all of it once and refuses what is damaged, so that the player never meets a step
//! that it can't play. Nothing is copied: a script is a view of the bytes it was handed over in.

mod check;
pub mod expression;
pub mod step;
pub mod wire;

use step::Step;
use wire::{Damage, List, Reader, Record};
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The first bytes of a script.
pub const MAGIC: [u8; 8] = *b"TRIPROBE";
/// The version of this form. Whoever changes a record raises it.
pub const VERSION: u32 = 2;
/// Bytes that a script may name buffers in (link.ld).
pub const ARENA: u32 = 0x40_0000;
/// Largest script, in bytes: the room behind the image (link.ld), and small beside a device tree's megabyte.
pub const LARGEST: usize = 0x4_0000;
/// Variables of a script. All CPUs see the same ones.
pub const VARIABLES: usize = 64;
/// Barriers of a script.
pub const BARRIERS: usize = 16;
/// Loops and lists that may be played inside each other.
pub const NESTING: usize = 6;
/// Most samples of a measurement.
pub const SAMPLES: usize = 255;

/// What a script begins with.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    version: U32,
    /// Of the whole script, the header included.
    size: U32,
}

/// A script.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Script<'a> {
    /// The scenario's files: where steps say that they come from.
    pub files: List<'a, &'a str>,
    /// The variables' names.
    pub variables: List<'a, &'a str>,
    /// How many bytes of the arena are used.
    pub arena: u32,
    /// Whether the machine is switched off at the end.
    pub power_off: bool,
    /// Lists of steps. The first one is the boot CPU's.
    pub lists: List<'a, Steps<'a>>,
}

/// A list of steps.
pub type Steps<'a> = List<'a, Step<'a>>;

impl<'a> Script<'a> {
    /// Says whether these bytes begin as a script; how long it says it is.
    pub fn size(bytes: &[u8]) -> Option<usize> {
        let (header, _) = Header::ref_from_prefix(bytes).ok()?;
        (header.magic == MAGIC).then_some(header.size.get() as usize)
    }

    /// Reads the script at the start of these bytes, found undamaged to its last step.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Damage> {
        let size = Self::size(bytes).ok_or(Damage::Magic)?;
        let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| Damage::Truncated)?;
        if header.version.get() != VERSION {
            return Err(Damage::Version(header.version.get()));
        }
        let body = bytes.get(size_of::<Header>()..size).ok_or(Damage::Truncated)?;
        let mut reader = Reader::new(body);
        let script = Self {
            files: reader.get()?,
            variables: reader.get()?,
            arena: reader.get()?,
            power_off: reader.get()?,
            lists: reader.get()?,
        };
        check::check(&script)?;
        Ok(script)
    }

    /// Writes it, header included.
    pub fn write(&self, out: &mut impl Extend<u8>) {
        let mut length = Length(size_of::<Header>());
        self.write_body(&mut length);
        let header = Header { magic: MAGIC, version: VERSION.into(), size: U32::new(length.0 as u32) };
        out.extend(header.as_bytes().iter().copied());
        self.write_body(out);
    }

    fn write_body(&self, out: &mut impl Extend<u8>) {
        self.files.write(out);
        self.variables.write(out);
        self.arena.write(out);
        self.power_off.write(out);
        self.lists.write(out);
    }
}

/// Counts bytes instead of keeping them.
struct Length(usize);

impl Extend<u8> for Length {
    fn extend<T: IntoIterator<Item = u8>>(&mut self, bytes: T) {
        self.0 += bytes.into_iter().count();
    }
}
