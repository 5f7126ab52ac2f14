// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tree that the normal world gets: the machine's, with what the firmware has to say in its place.
//!
//! It is copied token by token from one piece of memory to another, for a model of it would need many times its size,
//! and how large it is only the machine knows (Devicetree Specification 0.4 §5: flattened format).

use super::Error;
use core::ops::Range;
use shared_abi::dtb::{MAGIC, VERSION};

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const END: u32 = 9;

/// The header's length; the reservations follow, aligned as they must be.
const HEADER: usize = 40;
/// Fields of the header.
const OFF_DT_STRUCT: usize = 8;
const OFF_DT_STRINGS: usize = 12;
const OFF_MEM_RSVMAP: usize = 16;
const BOOT_CPUID: Range<usize> = 28..32;
const SIZE_DT_STRINGS: usize = 32;
/// The oldest version of the format that what is written is compatible with.
const COMPATIBLE: u32 = 16;

/// Properties of the TEE's node that are the monitor's to say.
const SAID_OF_TEE: [&[u8]; 2] = [b"compatible", b"method"];
/// Names of the properties that are added.
const NAMES: [&[u8]; 3] = [b"compatible\0", b"method\0", b"enable-method\0"];

/// Writes a tree with PSCI, and with the TEE's node as well if `tee`, to `room`; everything else stays as it is, and so
/// does what a node for the TEE says besides. Returns its length.
pub fn complete(tree: &[u8], tee: bool, room: &mut [u8]) -> Result<usize, Error> {
    let strings = part(tree, OFF_DT_STRINGS, SIZE_DT_STRINGS)?;
    let (reservations, structure) = (reservations(tree)?, from(tree, OFF_DT_STRUCT)?);
    let space = room.len();
    let mut out = Output { room, at: HEADER };
    out.bytes(reservations);
    let start = out.at;
    let end = strings.len();
    let mut added = 0;
    // Where each name stands, or will.
    let names = NAMES.map(|name| {
        find(strings, name).unwrap_or_else(|| {
            added += name.len();
            end + added - name.len()
        })
    });
    let firmware = Firmware { tee, strings, names: names.map(|at| at as u32) };
    firmware.write(structure, &mut out)?;
    let strings_start = out.at;
    out.bytes(strings);
    for (name, _) in NAMES.iter().zip(names).filter(|(_, at)| *at >= end) {
        out.bytes(name);
    }
    let size = out.at;
    if size > space {
        return Err(Error::TooLarge { size, room: space });
    }
    out.at = 0;
    for field in [MAGIC, size as u32, start as u32, strings_start as u32, HEADER as u32, VERSION, COMPATIBLE] {
        out.word(field);
    }
    out.bytes(tree.get(BOOT_CPUID).ok_or(Error::Unreadable)?);
    out.word((size - strings_start) as u32);
    out.word((strings_start - start) as u32);
    Ok(size)
}

/// Returns the tree from the place on that a field of the header names.
fn from(tree: &[u8], field: usize) -> Result<&[u8], Error> {
    tree.get(word(tree, field)? as usize..).ok_or(Error::Unreadable)
}

fn part(tree: &[u8], offset: usize, size: usize) -> Result<&[u8], Error> {
    from(tree, offset)?.get(..word(tree, size)? as usize).ok_or(Error::Unreadable)
}

/// Finds the memory reservations, with the two zeroes that end them.
fn reservations(tree: &[u8]) -> Result<&[u8], Error> {
    let from = from(tree, OFF_MEM_RSVMAP)?;
    let last = from.chunks_exact(16).position(|entry| entry.iter().all(|byte| *byte == 0));
    from.get(..(last.ok_or(Error::Unreadable)? + 1) * 16).ok_or(Error::Unreadable)
}

/// Finds a name among the strings, or at the end of one.
fn find(strings: &[u8], name: &[u8]) -> Option<usize> {
    let mut end = 0;
    strings.split_inclusive(|byte| *byte == 0).find_map(|there| {
        end += there.len();
        there.ends_with(name).then(|| end - name.len())
    })
}

/// What the firmware says.
struct Firmware<'a> {
    tee: bool,
    strings: &'a [u8],
    /// Where [`NAMES`] stand among the strings.
    names: [u32; 3],
}

impl Firmware<'_> {
    /// Copies the structure block that `structure` begins with, with what is added, and without what is replaced.
    fn write(&self, structure: &[u8], out: &mut Output<'_>) -> Result<(), Error> {
        let [compatible, method, enable_method] = self.names;
        let (mut at, mut depth) = (0, 0_usize);
        // The root's child that this is in; whether the properties of a CPU's node, or of the TEE's, are being read;
        // whether the TEE's node is written; the depth of a node that is left out.
        let (mut top, mut cpu, mut own, mut tee, mut left_out) = (&[][..], false, false, !self.tee, None);
        loop {
            let token = Token::read(structure, at)?;
            at += token.length;
            if matches!(token.kind, TokenKind::Begin(_) | TokenKind::End) && core::mem::take(&mut cpu) {
                out.property(enable_method, b"psci\0");
            }
            match token.kind {
                TokenKind::Begin(name) => {
                    depth += 1;
                    if depth == 2 {
                        top = name;
                    }
                    if depth == 2 && name == b"psci" && left_out.is_none() {
                        left_out = Some(depth);
                    }
                    own = depth == 3 && top == b"firmware" && name == b"optee" && !tee;
                    if own {
                        tee = true;
                        out.bytes(token.bytes);
                        self.say_tee(out);
                        continue;
                    }
                    cpu = depth == 3 && top == b"cpus" && (name == b"cpu" || name.starts_with(b"cpu@"));
                }
                TokenKind::Property(name) if cpu && self.name(name) == Some(b"enable-method") => continue,
                TokenKind::Property(name) if own && SAID_OF_TEE.iter().any(|said| self.name(name) == Some(said)) => {
                    continue;
                }
                TokenKind::Property(_) => {}
                TokenKind::End => {
                    own = false;
                    let in_firmware = depth == 2 && top == b"firmware";
                    if (in_firmware || depth == 1) && !core::mem::replace(&mut tee, true) {
                        if !in_firmware {
                            out.begin(b"firmware\0");
                        }
                        out.begin(b"optee\0");
                        self.say_tee(out);
                        out.word(END_NODE);
                        if !in_firmware {
                            out.word(END_NODE);
                        }
                    }
                    if depth == 1 {
                        out.begin(b"psci\0");
                        out.property(compatible, b"arm,psci-1.0\0arm,psci-0.2\0");
                        out.property(method, b"smc\0");
                        out.word(END_NODE);
                    }
                    let this = depth;
                    depth = depth.checked_sub(1).ok_or(Error::Unreadable)?;
                    if left_out == Some(this) {
                        left_out = None;
                        continue;
                    }
                }
                TokenKind::Last => {
                    out.word(END);
                    return if depth == 0 { Ok(()) } else { Err(Error::Unreadable) };
                }
            }
            if left_out.is_none() {
                out.bytes(token.bytes);
            }
        }
    }

    /// Writes what the TEE's node says wherever the monitor passes calls on to a TEE (Linux
    /// `Documentation/devicetree/bindings/arm/firmware/linaro,optee-tz.yaml`).
    fn say_tee(&self, out: &mut Output<'_>) {
        let [compatible, method, _] = self.names;
        out.property(compatible, b"linaro,optee-tz\0");
        out.property(method, b"smc\0");
    }

    /// Reads the name that stands at this place among the strings.
    fn name(&self, at: u32) -> Option<&[u8]> {
        self.strings.get(at as usize..)?.split(|byte| *byte == 0).next()
    }
}

/// A token of the structure block (Devicetree Specification 0.4 §5.4.1).
struct Token<'a> {
    kind: TokenKind<'a>,
    /// All of it, padded.
    bytes: &'a [u8],
    length: usize,
}

enum TokenKind<'a> {
    /// A node of this name begins.
    Begin(&'a [u8]),
    /// A property whose name stands there.
    Property(u32),
    End,
    Last,
}

impl<'a> Token<'a> {
    fn read(structure: &'a [u8], at: usize) -> Result<Self, Error> {
        let rest = structure.get(at..).ok_or(Error::Unreadable)?;
        let (kind, length) = match word(rest, 0)? {
            BEGIN_NODE => {
                let name = rest[4..].split(|byte| *byte == 0).next().unwrap_or(&[]);
                (TokenKind::Begin(name), 4 + name.len() + 1)
            }
            PROP => (TokenKind::Property(word(rest, 8)?), (word(rest, 4)? as usize).saturating_add(12)),
            END_NODE => (TokenKind::End, 4),
            END => (TokenKind::Last, 4),
            _ => return Err(Error::Unreadable),
        };
        let length = length.checked_next_multiple_of(4).ok_or(Error::Unreadable)?;
        Ok(Self { kind, bytes: rest.get(..length).ok_or(Error::Unreadable)?, length })
    }
}

fn word(bytes: &[u8], at: usize) -> Result<u32, Error> {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Error::Unreadable)?;
    Ok(u32::from_be_bytes(*bytes))
}

/// Where the tree is written. What does not fit is counted.
struct Output<'a> {
    room: &'a mut [u8],
    at: usize,
}

impl Output<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        if let Some(there) = self.room.get_mut(self.at..end) {
            there.copy_from_slice(bytes);
        }
        self.at = end;
    }

    fn word(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    fn padding(&mut self) {
        self.bytes(&[0; 3][..self.at.next_multiple_of(4) - self.at]);
    }

    /// Writes a node's beginning; its name ends with a zero.
    fn begin(&mut self, name: &[u8]) {
        self.word(BEGIN_NODE);
        self.bytes(name);
        self.padding();
    }

    fn property(&mut self, name: u32, value: &[u8]) {
        self.word(PROP);
        self.word(value.len() as u32);
        self.word(name);
        self.bytes(value);
        self.padding();
    }
}
