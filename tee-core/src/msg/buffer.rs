// SPDX-License-Identifier: MIT OR Apache-2.0
//! Buffers of the normal world, however their bytes are spread.

use super::allegation::Allegation;
use crate::heap::OwnedBlock;
use crate::memory::ns_ram::NsRange;
use crate::memory::pages::PAGE_SIZE;
use crate::nexus::tee::Tee;
use crate::partition::shm::{InUse, frame};
use heapless::Vec;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Numbers of page frames, in order.
pub enum Frames<'p> {
    /// Of a small buffer: up to a page of bytes touches two pages at most. They need no memory from the heap.
    Few(Vec<u32, 2, u8>),
    /// Of a larger one.
    Many(OwnedBlock<'p, u32>),
}

impl Frames<'_> {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::Few(frames) => frames,
            Self::Many(frames) => frames,
        }
    }
}

/// Page frames of a temporary buffer, and where in the first one it starts.
pub struct Listed<'p> {
    frames: Frames<'p>,
    offset: usize,
    len: usize,
}

impl<'p> Listed<'p> {
    /// Describes `len` bytes in these frames, from `offset` in the first of them on.
    pub fn new(frames: Frames<'p>, offset: usize, len: usize) -> Self {
        Self { frames, offset, len }
    }
}

enum Backing<'p> {
    Null,
    Contiguous(NsRange),
    Listed(Listed<'p>),
    Registered(InUse<'p, 'p>),
}

/// Bytes of the normal world. They can be copied in and out, never referred to.
pub struct Buffer<'p> {
    memory: Backing<'p>,
    /// Where in the memory the buffer starts.
    at: usize,
    len: usize,
}

/// The bytes asked for are not in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

impl<'p> Buffer<'p> {
    /// Makes a buffer of no bytes, and no address either.
    pub const fn null() -> Self {
        Self { memory: Backing::Null, at: 0, len: 0 }
    }

    /// Makes a buffer of bytes that follow each other in memory.
    pub const fn contiguous(range: NsRange) -> Self {
        Self { memory: Backing::Contiguous(range), at: 0, len: range.len() }
    }

    /// Makes a buffer of bytes in listed pages.
    pub fn listed(pages: Listed<'p>) -> Self {
        Self { at: 0, len: pages.len, memory: Backing::Listed(pages) }
    }

    /// Makes a buffer of registered memory.
    pub fn registered(memory: InUse<'p, 'p>) -> Self {
        Self { at: 0, len: memory.len(), memory: Backing::Registered(memory) }
    }

    /// Gives `len` of its bytes from offset `at`.
    pub fn part(self, at: u64, len: u64) -> Result<Self, Lost> {
        let (at, len) = (usize::try_from(at).map_err(|_| Lost)?, usize::try_from(len).map_err(|_| Lost)?);
        if at.checked_add(len).ok_or(Lost)? > self.len {
            return Err(Lost);
        }
        Ok(Self { at: self.at + at, len, memory: self.memory })
    }

    /// Counts the bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Says whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Says whether there is no memory behind it at all.
    pub fn is_null(&self) -> bool {
        matches!(self.memory, Backing::Null)
    }

    /// Gives what is alleged to stand at offset `at`.
    pub fn allege<T: FromBytes + IntoBytes>(&self, at: usize) -> Result<Allegation<'_, 'p, T>, Lost> {
        let end = at.checked_add(size_of::<T>()).ok_or(Lost)?;
        if end > self.len { Err(Lost) } else { Ok(Allegation::new(self, at)) }
    }

    /// Writes a value at offset `at`.
    pub fn put<T: IntoBytes + Immutable>(&self, tee: &Tee, at: usize, value: &T) -> Result<(), Lost> {
        self.write(tee, at, value.as_bytes())
    }

    /// Copies bytes from offset `at` into the TEE. For data that is not looked at twice; see [`Buffer::allege`].
    #[inline]
    pub fn read(&self, tee: &Tee, at: usize, into: &mut [u8]) -> Result<(), Lost> {
        self.check(at, into.len())?;
        match &self.memory {
            // All messages are: one piece, of a length that the compiler knows.
            Backing::Contiguous(range) => {
                tee.machine().read(range.part(self.at + at, into.len()).ok_or(Lost)?, into);
                Ok(())
            }
            _ => self.read_pieces(tee, at, into),
        }
    }

    fn read_pieces(&self, tee: &Tee, at: usize, into: &mut [u8]) -> Result<(), Lost> {
        let mut done = 0;
        while done < into.len() {
            let piece = self.piece(tee, at + done, into.len() - done)?;
            tee.machine().read(piece, &mut into[done..done + piece.len()]);
            done += piece.len();
        }
        Ok(())
    }

    /// Copies bytes out of the TEE to offset `at`.
    #[inline]
    pub fn write(&self, tee: &Tee, at: usize, from: &[u8]) -> Result<(), Lost> {
        self.check(at, from.len())?;
        match &self.memory {
            Backing::Contiguous(range) => {
                tee.machine().write(range.part(self.at + at, from.len()).ok_or(Lost)?, from);
                Ok(())
            }
            _ => self.write_pieces(tee, at, from),
        }
    }

    fn write_pieces(&self, tee: &Tee, at: usize, from: &[u8]) -> Result<(), Lost> {
        let mut done = 0;
        while done < from.len() {
            let piece = self.piece(tee, at + done, from.len() - done)?;
            tee.machine().write(piece, &from[done..done + piece.len()]);
            done += piece.len();
        }
        Ok(())
    }

    fn check(&self, at: usize, len: usize) -> Result<(), Lost> {
        if at.checked_add(len).is_some_and(|end| end <= self.len) { Ok(()) } else { Err(Lost) }
    }

    /// Finds at most `max` bytes from offset `at` that follow each other in memory; at least one.
    fn piece(&self, tee: &Tee, at: usize, max: usize) -> Result<NsRange, Lost> {
        let at = self.at + at;
        let offset = match &self.memory {
            Backing::Null => return Err(Lost),
            Backing::Contiguous(range) => return range.part(at, max).ok_or(Lost),
            Backing::Listed(pages) => pages.offset,
            Backing::Registered(memory) => memory.offset(),
        };
        let (page, in_page) = ((offset + at) / PAGE_SIZE, (offset + at) % PAGE_SIZE);
        let frame = match &self.memory {
            Backing::Listed(pages) => frame(pages.frames.as_slice(), page),
            Backing::Registered(memory) => memory.frame(page),
            Backing::Null | Backing::Contiguous(_) => None,
        };
        let pa = u64::from(frame.ok_or(Lost)?) * PAGE_SIZE as u64 + in_page as u64;
        tee.claim(pa, max.min(PAGE_SIZE - in_page) as u64).ok_or(Lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::normal_world::{NormalWorld, RAM};

    #[test]
    fn what_is_beyond_a_part_is_out_of_reach() {
        let world = NormalWorld::new();
        let part = Buffer::contiguous(world.tee.claim(RAM.base, 16).unwrap()).part(4, 4).unwrap();
        for (at, len, is_there) in [
            (0, 4, true),
            (0, 5, false),
            (3, 1, true),
            (3, 2, false),
            (4, 0, true),
            (5, 0, false),
            (usize::MAX, 1, false),
        ] {
            let mut bytes = vec![7; len];
            assert_eq!(part.write(&world.tee, at, &bytes).is_ok(), is_there, "{len} at {at}");
            assert_eq!(part.read(&world.tee, at, &mut bytes).is_ok(), is_there, "{len} at {at}");
        }
        assert_eq!(world.get::<[u8; 16]>(RAM.base), [0, 0, 0, 0, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
