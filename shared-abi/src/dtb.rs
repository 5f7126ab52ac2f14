// SPDX-License-Identifier: MIT OR Apache-2.0
//! A flattened device tree, checked before anybody reads it (Devicetree Specification 0.4 §5).
//!
//! The crates that the layers read trees with take a tree at its word. `fdt` 0.1.5 panics over a string without an end,
//! a property behind a child, a `#size-cells` of two bytes; and at an `FDT_NOP` between two nodes, which QEMU leaves
//! where it took one out, it stops looking or panics. So each layer has each tree checked here first, whoever vouches
//! for it: what is wrong with one is said instead of crashed over, and all layers read the same in it.

use core::fmt;

/// What a tree begins with.
pub const MAGIC: u32 = 0xD00D_FEED;
/// The version that has all fields of the header; anything later says which older reader it suits.
pub const VERSION: u32 = 17;

// Fields of the header (§5.2).
const TOTAL: usize = 4;
const OFF_STRUCTURE: usize = 8;
const OFF_STRINGS: usize = 12;
const OFF_RESERVATIONS: usize = 16;
const SIZE_STRINGS: usize = 32;
const SIZE_STRUCTURE: usize = 36;
const HEADER: usize = 40;

// Tokens (§5.4.1).
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// Nodes within each other, the root included. QEMU's trees have 7; a reader may need stack for each.
pub const MAX_DEPTH: usize = 16;

/// What is wrong with a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// No tree begins there.
    Absent,
    /// It is of another version of the format than 17.
    Version,
    /// Its parts do not lie beside each other in it.
    Parts,
    /// It is longer than its place.
    Cut {
        /// Bytes that it uses.
        size: usize,
        /// Bytes there are.
        room: usize,
    },
    /// Nodes and properties are not within each other as they must be, or not to the end.
    Structure,
    /// Nodes are within each other more than [`MAX_DEPTH`] deep.
    Depth,
    /// A name is none: of a node, or of a property.
    Name,
    /// A property has a value that one of its name cannot have.
    Value,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("there is none"),
            Self::Version => f.write_str("it is not of version 17 of the format"),
            Self::Parts => f.write_str("its parts overlap, or lie outside of it"),
            Self::Cut { size, room } => write!(f, "it has {size} bytes, and there is room for {room}"),
            Self::Structure => f.write_str("its nodes and properties are damaged, or cut short"),
            Self::Depth => write!(f, "its nodes are nested more than {MAX_DEPTH} deep"),
            Self::Name => f.write_str("the name of a node or a property is damaged"),
            Self::Value => f.write_str("a #address-cells, #size-cells or compatible has no value that it could have"),
        }
    }
}

/// A tree that is whole: values of this type come from [`Checked::new`] only.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a>(&'a [u8]);

impl<'a> Checked<'a> {
    /// Checks the tree at the start of `area`, and brings it into the one form that all of its readers understand, in
    /// place: without tokens that mean nothing, and claiming no byte behind the last that it uses. (QEMU hands over a
    /// tree that it read from a file with as much space again.) A tree that is refused is left as it was.
    pub fn new(area: &'a mut [u8]) -> Result<Self, Malformed> {
        let parts = Parts::find(area)?;
        let strings = area.get(parts.strings.clone()).ok_or(Malformed::Parts)?;
        let structure = area.get(parts.structure.clone()).ok_or(Malformed::Parts)?;
        let Outline { length, nops } = outline(structure, strings)?;
        let structure = area.get_mut(parts.structure).ok_or(Malformed::Parts)?;
        let length = if nops == 0 { length } else { strip(&mut structure[..length]) };
        put(area, SIZE_STRUCTURE, length as u32);
        put(area, TOTAL, parts.used as u32);
        Ok(Self(area.get(..parts.used).ok_or(Malformed::Parts)?))
    }

    /// Returns its bytes, from the header to the last one that it uses.
    pub const fn bytes(&self) -> &'a [u8] {
        self.0
    }
}

/// Where a tree's parts are, and how many bytes it uses.
struct Parts {
    structure: core::ops::Range<usize>,
    strings: core::ops::Range<usize>,
    used: usize,
}

impl Parts {
    fn find(area: &[u8]) -> Result<Self, Malformed> {
        let room = area.len();
        let Some(header) = area.get(..HEADER) else { return Err(Malformed::Absent) };
        let field =
            |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
        if field(0) != MAGIC as usize {
            return Err(Malformed::Absent);
        }
        let (version, suits) = (field(20), field(24));
        if version < VERSION as usize || suits > VERSION as usize {
            return Err(Malformed::Version);
        }
        // None of these sums wraps: all were numbers of 32 bits.
        let structure = field(OFF_STRUCTURE)..field(OFF_STRUCTURE) + field(SIZE_STRUCTURE);
        let strings = field(OFF_STRINGS)..field(OFF_STRINGS) + field(SIZE_STRINGS);
        let total = field(TOTAL);
        let blocks = structure.end.max(strings.end);
        if blocks > total || !structure.start.is_multiple_of(4) || !field(OFF_RESERVATIONS).is_multiple_of(8) {
            return Err(Malformed::Parts);
        }
        if blocks > room {
            return Err(Malformed::Cut { size: blocks, room });
        }
        let reservations =
            field(OFF_RESERVATIONS)..reservations_end(&area[..total.min(room)], field(OFF_RESERVATIONS))?;
        let apart = |a: &core::ops::Range<usize>, b: &core::ops::Range<usize>| a.end <= b.start || b.end <= a.start;
        let all = [&(0..HEADER), &reservations, &structure, &strings];
        if all.iter().enumerate().any(|(n, a)| all[n + 1..].iter().any(|b| !apart(a, b))) {
            return Err(Malformed::Parts);
        }
        let used = blocks.max(reservations.end);
        Ok(Self { structure, strings, used })
    }
}

/// Says where the list of reserved memory ends: with an entry of zeroes (§5.3.2).
fn reservations_end(tree: &[u8], from: usize) -> Result<usize, Malformed> {
    let list = tree.get(from..).ok_or(Malformed::Parts)?;
    let last = list.as_chunks::<16>().0.iter().position(|entry| *entry == [0; 16]);
    Ok(from + (last.ok_or(Malformed::Parts)? + 1) * 16)
}

/// What there is in a structure block: its length up to its `FDT_END`, and how many tokens of it mean nothing.
struct Outline {
    length: usize,
    nops: usize,
}

/// Follows a structure block, token by token, to its end.
fn outline(structure: &[u8], strings: &[u8]) -> Result<Outline, Malformed> {
    // What property names may be made of, and what comes between them; all of them have an end.
    if !strings.iter().all(|byte| *byte == 0 || is_name(*byte)) || strings.last().is_some_and(|last| *last != 0) {
        return Err(Malformed::Name);
    }
    let words = structure.as_chunks::<4>().0;
    let word = |at: usize| words.get(at).map(|word| u32::from_be_bytes(*word)).ok_or(Malformed::Structure);
    let (mut at, mut depth, mut nops) = (0, 0, 0);
    // Whether a property may come: not behind a child. Whether the root has ended.
    let (mut property_may, mut complete) = (false, false);
    loop {
        let token = word(at)?;
        at += 1;
        match token {
            BEGIN_NODE if complete => return Err(Malformed::Structure),
            BEGIN_NODE => {
                at += node_name(words.get(at..).ok_or(Malformed::Structure)?, depth == 0)?;
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Malformed::Depth);
                }
                property_may = true;
            }
            PROP if property_may => {
                let (length, name) = (word(at)? as usize, word(at + 1)? as usize);
                let value = (at + 2) * 4;
                let value = structure.get(value..value + length).ok_or(Malformed::Structure)?;
                property(strings.get(name..).ok_or(Malformed::Name)?, value)?;
                at += 2 + length.div_ceil(4);
            }
            END_NODE if depth != 0 => {
                depth -= 1;
                complete = depth == 0;
                property_may = false;
            }
            NOP => nops += 1,
            END if complete => return Ok(Outline { length: at * 4, nops }),
            _ => return Err(Malformed::Structure),
        }
    }
}

/// Says whether a name is printable, and no separator of paths: `fdt` would take an alias of that name for a path, and
/// follow it for ever.
const fn is_name(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'/'
}

/// Words that a node's name takes, its end included. The root's is empty, and no other one's.
fn node_name(words: &[[u8; 4]], root: bool) -> Result<usize, Malformed> {
    for (n, word) in words.iter().enumerate() {
        let length = word.iter().position(|byte| *byte == 0);
        if !word[..length.unwrap_or(4)].iter().all(|byte| is_name(*byte)) {
            return Err(Malformed::Name);
        }
        if length.is_some() {
            let empty = n == 0 && word[0] == 0;
            return if empty == root { Ok(n + 1) } else { Err(Malformed::Name) };
        }
    }
    Err(Malformed::Structure)
}

/// Checks the values that readers rely on without a look of their own. `name` begins with the property's name.
fn property(name: &[u8], value: &[u8]) -> Result<(), Malformed> {
    let right = match name.first() {
        None | Some(0) => return Err(Malformed::Name),
        Some(b'#') if name.starts_with(b"#address-cells\0") || name.starts_with(b"#size-cells\0") => value.len() == 4,
        Some(b'c') if name.starts_with(b"compatible\0") => value.last() == Some(&0) && value.is_ascii(),
        Some(_) => true,
    };
    if right { Ok(()) } else { Err(Malformed::Value) }
}

/// Takes the tokens that mean nothing out of a structure block that was followed to its end. How long it is then.
fn strip(structure: &mut [u8]) -> usize {
    let words = structure.as_chunks_mut::<4>().0;
    let (mut from, mut to) = (0, 0);
    while let Some(token) = words.get(from).map(|word| u32::from_be_bytes(*word)) {
        let length = match token {
            NOP => {
                from += 1;
                continue;
            }
            BEGIN_NODE => 2 + words[from + 1..].iter().take_while(|word| !word.contains(&0)).count(),
            PROP => 3 + words.get(from + 1).map_or(0, |length| u32::from_be_bytes(*length).div_ceil(4) as usize),
            _ => 1,
        };
        words.copy_within(from..from + length, to);
        from += length;
        to += length;
    }
    to * 4
}

fn put(tree: &mut [u8], at: usize, number: u32) {
    if let Some(field) = tree.get_mut(at..at + 4) {
        field.copy_from_slice(&number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
