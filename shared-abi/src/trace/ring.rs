// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records in memory: a ring for each layer on each CPU.
//!
//! [`crate::layout::TRACE`] is cut into [`SLOT`]s, `layer * MAX_CPUS + cpu`. A slot begins with a header of [`HEADER`]
//! words:
//!
//! | word | what |
//! |---|---|
//! | 0 | [`MAGIC`], written last, when the ring is ready |
//! | 1 | layer in bits 7:0, CPU in 15:8, bytes of a record in 31:16, records of the ring in 63:32 |
//! | 2 | frequency of the counter in Hz |
//! | 3 | how many records have been written since the ring was made |
//!
//! and goes on with records; record `n` stands at `n % capacity`. The count is raised after the record is whole, so a
//! reader that looks at the count before and after copying knows which records it has whole: [`Reader`]. The writer is
//! `firmware_support::trace::ring`.

use super::Layer;
use super::record::{BYTES, Record, WORDS};
use crate::layout::{MAX_CPUS, Range, TRACE};

/// Bytes of one ring with its header.
pub const SLOT: u64 = 4 << 20;
/// Words of the header.
pub const HEADER: usize = 8;
/// Word 0 of a ring that is ready.
pub const MAGIC: u64 = u64::from_le_bytes(*b"TRIPTRC1");
/// Records that a ring holds.
pub const CAPACITY: usize = (SLOT as usize - HEADER * 8) / BYTES;

/// The word of the header that counts records.
pub const WRITTEN: usize = 3;

/// Says where the ring of a layer on a CPU lies in [`TRACE`]; `None` for a CPU beyond [`MAX_CPUS`].
pub const fn place(layer: Layer, cpu: usize) -> Option<Range> {
    if cpu >= MAX_CPUS {
        return None;
    }
    Some(Range::new(TRACE.base + (layer as u64 * MAX_CPUS as u64 + cpu as u64) * SLOT, SLOT))
}

const _: () = assert!(TRACE.size == Layer::ALL.len() as u64 * MAX_CPUS as u64 * SLOT);

/// What a ring's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who writes.
    pub layer: Layer,
    /// On which CPU.
    pub cpu: u8,
    /// Ticks of the records' times in a second.
    pub frequency: u64,
    /// Records written since the ring was made.
    pub written: u64,
}

impl Header {
    /// Reads a header. `None` while the ring is not ready, or if it is of another format.
    pub fn parse(words: &[u64; HEADER]) -> Option<Self> {
        let about = words[1];
        let same = about >> 16 & 0xFFFF == BYTES as u64 && about >> 32 == CAPACITY as u64;
        if words[0] != MAGIC || !same {
            return None;
        }
        let layer = Layer::from_number(about as u8)?;
        Some(Self { layer, cpu: (about >> 8) as u8, frequency: words[2], written: words[WRITTEN] })
    }
}

/// The reader's side: what has been read of one ring, wherever its bytes come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reader {
    /// Records that have been seen or given up.
    pub seen: u64,
    /// Records that were overwritten before they were read.
    pub lost: u64,
    /// Records that make no sense: only the ring's memory being written by others explains them.
    pub damaged: u64,
}

impl Reader {
    /// Reads what is new. `read(offset, buffer)` copies bytes of the slot from an offset on and says whether it could;
    /// `each` gets every record, oldest first. The header as it was after reading.
    pub fn poll(
        &mut self,
        mut read: impl FnMut(u64, &mut [u8]) -> bool,
        mut each: impl FnMut(Record),
    ) -> Option<Header> {
        let mut header = [0; HEADER * 8];
        if !read(0, &mut header) {
            return None;
        }
        let before = Header::parse(&words_of(&header))?;
        if before.written < self.seen {
            // The machine was reset, and the ring is a new one.
            *self = Self { lost: self.lost, damaged: self.damaged, seen: 0 };
        }
        let mut from = self.seen.max(before.written.saturating_sub(CAPACITY as u64));
        self.lost += from - self.seen;
        while from < before.written {
            // A piece at a time, none across the end of the ring.
            let index = from % CAPACITY as u64;
            let count = (before.written - from).min(CAPACITY as u64 - index).min(PIECE as u64);
            let mut bytes = [0; PIECE * BYTES];
            let piece = &mut bytes[..count as usize * BYTES];
            if !read((HEADER * 8) as u64 + index * BYTES as u64, piece) || !read(0, &mut header) {
                return None;
            }
            // The writer may have begun the record after the last that it counts: that one's place isn't whole. Nor may
            // the next be, as a host that reorders stores shows it.
            let after = Header::parse(&words_of(&header))?;
            let oldest = (after.written + 2).saturating_sub(CAPACITY as u64);
            for (number, bytes) in (from..).zip(piece.chunks_exact(BYTES)) {
                let words: [u64; WORDS] = words_of(bytes);
                match Record::from_words(&words) {
                    _ if number < oldest => self.lost += 1,
                    Some(record) if record.sequence == number as u32 => each(record),
                    _ => self.damaged += 1,
                }
            }
            from += count;
        }
        self.seen = before.written;
        Some(before)
    }
}

/// Records that are copied at once.
const PIECE: usize = 64;

fn words_of<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ring_has_a_place_of_its_own() {
        let places: Vec<_> =
            Layer::ALL.iter().flat_map(|layer| (0..MAX_CPUS).map(|cpu| place(*layer, cpu).unwrap())).collect();
        for (i, a) in places.iter().enumerate() {
            assert!(TRACE.holds(a.base, a.size));
            assert!(places[i + 1..].iter().all(|b| !a.overlaps(b)));
        }
        assert_eq!(place(Layer::Tee, MAX_CPUS), None);
    }
}
