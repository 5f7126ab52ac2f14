// SPDX-License-Identifier: MIT OR Apache-2.0
//! Registered shared memory: what the normal world calls by a cookie.

use crate::arch::confined;
use crate::heap::{Block, Heap};
use crate::sync::{Lock, Waits};
use heapless::index_map::FnvIndexMap;

/// Buffers a VM can have registered at a time.
pub const MAX_BUFFERS: usize = 128;

/// The normal world's name for a buffer: any number but 0. Linux uses its own kernel addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cookie(core::num::NonZeroU64);

impl Cookie {
    /// Makes the cookie of this number; `None` for 0, which names no buffer.
    pub const fn new(number: u64) -> Option<Self> {
        match core::num::NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

/// Finds the `n`th page frame. The normal world chooses `n`, and what is found is an address to be accessed.
pub fn frame(frames: &[u32], n: usize) -> Option<u32> {
    if n < frames.len() { frames.get(confined(n, frames.len())).copied() } else { None }
}

/// What is registered: numbers of non-secure page frames that were checked, in order.
pub struct Registration<'p> {
    frames: Block<'p, u32>,
    offset: usize,
    len: usize,
}

impl<'p> Registration<'p> {
    /// Describes `len` bytes in these frames, from `offset` in the first of them on.
    pub fn new(frames: Block<'p, u32>, offset: usize, len: usize) -> Self {
        Self { frames, offset, len }
    }

    /// Lists the frames.
    pub fn frames(&self) -> &[u32] {
        self.frames.as_slice()
    }

    /// Gives the list's memory back.
    pub fn free(self, heap: &Heap<'p>) {
        heap.free(self.frames);
    }
}

struct Record<'p> {
    buffer: Registration<'p>,
    /// Calls that use it.
    users: u16,
}

type Table<'p> = FnvIndexMap<Cookie, Record<'p>, MAX_BUFFERS>;

/// The registered buffers of the partition of this brand, whose page lists are in its heap.
pub struct SharedMemory<'p>(Lock<Table<'p>>);

/// Why a buffer cannot be registered, or its registration not be ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// The cookie names a buffer already.
    Known,
    /// The cookie names none.
    Unknown,
    /// A call uses the buffer.
    Busy,
    /// There are too many.
    Full,
}

/// A call's use of a registered buffer; it stays registered meanwhile.
pub struct InUse<'m, 'p> {
    memory: &'m SharedMemory<'p>,
    cookie: Cookie,
    offset: usize,
    len: usize,
}

impl<'p> SharedMemory<'p> {
    /// Makes a table with nothing registered.
    pub const fn new() -> Self {
        Self(Lock::new(FnvIndexMap::new()))
    }

    /// Registers a buffer. Handed back with the reason if it cannot be.
    pub fn register(&self, cookie: Cookie, buffer: Registration<'p>) -> Result<(), (Refused, Registration<'p>)> {
        self.0.with(|table| {
            if table.contains_key(&cookie) {
                return Err((Refused::Known, buffer));
            }
            match table.insert(cookie, Record { buffer, users: 0 }) {
                Ok(_) => Ok(()),
                Err((_, record)) => Err((Refused::Full, record.buffer)),
            }
        })
    }

    /// Ends a registration; the page list goes back to the heap.
    pub fn unregister(&self, cookie: Cookie, heap: &Heap<'p>) -> Result<(), Refused> {
        let record = self.0.with(|table| match table.get(&cookie) {
            None => Err(Refused::Unknown),
            Some(record) if record.users != 0 => Err(Refused::Busy),
            Some(_) => table.swap_remove(&cookie).ok_or(Refused::Unknown),
        })?;
        record.buffer.free(heap);
        Ok(())
    }

    /// Counts how often calls waited for the lock.
    pub fn waits(&self) -> &Waits {
        self.0.waits()
    }

    /// Uses a registered buffer.
    pub fn enter(&self, cookie: Cookie) -> Option<InUse<'_, 'p>> {
        self.0.with(|table| {
            let record = table.get_mut(&cookie)?;
            // At most a few for each thread.
            record.users = record.users.saturating_add(1);
            Some(InUse { memory: self, cookie, offset: record.buffer.offset, len: record.buffer.len })
        })
    }
}

impl InUse<'_, '_> {
    /// Returns where in its first page the buffer starts.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the buffer's length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Says whether the buffer is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Finds the buffer's `n`th page frame.
    pub fn frame(&self, n: usize) -> Option<u32> {
        self.memory.0.with(|table| frame(table.get(&self.cookie)?.buffer.frames.as_slice(), n))
    }
}

impl Drop for InUse<'_, '_> {
    fn drop(&mut self) {
        self.memory.0.with(|table| {
            if let Some(record) = table.get_mut(&self.cookie) {
                record.users = record.users.saturating_sub(1);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::tests::with_heap;

    fn buffer<'h>(heap: &Heap<'h>) -> Registration<'h> {
        Registration::new(heap.allocate(2).unwrap(), 0x10, 0x1000)
    }

    #[test]
    fn a_cookie_names_one_buffer() {
        with_heap(|heap| {
            let memory = SharedMemory::new();
            let cookie = Cookie::new(0xFFFF_0000_1234_5000).unwrap();
            memory.register(cookie, buffer(heap)).map_err(|(why, _)| why).unwrap();
            let (why, second) = memory.register(cookie, buffer(heap)).err().unwrap();
            assert_eq!(why, Refused::Known);
            second.free(heap);
            assert_eq!(memory.unregister(cookie, heap), Ok(()));
            assert_eq!(memory.unregister(cookie, heap), Err(Refused::Unknown));
            assert_eq!(heap.figures().allocated, 0);
        });
    }

    #[test]
    fn a_buffer_in_use_stays() {
        with_heap(|heap| {
            let memory = SharedMemory::new();
            let cookie = Cookie::new(1).unwrap();
            memory.register(cookie, buffer(heap)).map_err(|(why, _)| why).unwrap();
            let using = memory.enter(cookie).unwrap();
            assert_eq!(memory.unregister(cookie, heap), Err(Refused::Busy));
            assert_eq!((using.frame(1), using.frame(2)), (Some(0), None));
            assert_eq!((using.offset(), using.len(), using.is_empty()), (0x10, 0x1000, false));
            drop(using);
            assert_eq!(memory.unregister(cookie, heap), Ok(()));
        });
    }

    #[test]
    fn there_is_a_bound_on_buffers() {
        with_heap(|heap| {
            let memory = SharedMemory::new();
            for n in 1..=MAX_BUFFERS as u64 {
                let cookie = Cookie::new(n << 12).unwrap();
                memory.register(cookie, buffer(heap)).map_err(|(why, _)| why).unwrap();
            }
            let (why, _) = memory.register(Cookie::new(7).unwrap(), buffer(heap)).err().unwrap();
            assert_eq!(why, Refused::Full);
        });
    }
}
