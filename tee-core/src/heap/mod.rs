// SPDX-License-Identifier: MIT OR Apache-2.0
//! A partition's heap: explicit, fallible, counted.
//!
//! `buddy_system_allocator`'s [`Heap`](buddy_system_allocator::Heap) behind a handle. There is no global allocator in
//! the TEE: its users would turn exhaustion, which the normal world can bring about, into a panic.
//!
//! A heap has a *brand*, a lifetime that is its alone, and so have its blocks: one that came from another heap is of
//! another type. All partitions stand at one address; nothing but the brand tells their heaps apart.
//!
//! ```
//! # use tee_core::partition::Partition;
//! fn allocate_and_free<'a>(mine: &'a Partition<'a>) {
//!     if let Ok(block) = mine.heap().allocate::<u32>(4) {
//!         mine.heap().free(block);
//!     }
//! }
//! ```
//!
//! ```compile_fail
//! # use tee_core::partition::Partition;
//! fn allocate_and_free<'a, 'b>(mine: &'a Partition<'a>, other: &'b Partition<'b>) {
//!     if let Ok(block) = mine.heap().allocate::<u32>(4) {
//!         other.heap().free(block);
//!     }
//! }
//! ```
//!
//! ```compile_fail,E0133
//! let heap = tee_core::heap::Heap::new();
//! ```
#![expect(unsafe_code, reason = "the memory module of the partition's heap")]

#[cfg_attr(as_reported, path = "../as_reported/malloc.rs")]
mod blocks;

pub use blocks::{Apart, apart};

use crate::sync::{Lock, Waits};
use blocks::Blocks;
use core::alloc::Layout;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use zerocopy::{FromZeros, Immutable};

/// Blocks are of less than two to this power bytes; a partition's address range holds no larger one.
const ORDER: usize = 22;

/// What tells heaps apart: neither a longer nor a shorter lifetime can stand for it.
type Brand<'h> = PhantomData<fn(&'h ()) -> &'h ()>;

/// Memory for the heap of this brand. A value of this type is the only right to its bytes.
pub struct Memory<'h> {
    base: usize,
    len: usize,
    brand: Brand<'h>,
}

impl Memory<'_> {
    /// Claims `len` bytes from `base`.
    ///
    /// # Safety
    ///
    /// The memory must be readable and writable wherever the heap of this brand can be reached, and be used by nothing
    /// else. It must not end at the end of the address space.
    pub const unsafe fn new(base: usize, len: usize) -> Self {
        Self { base, len, brand: PhantomData }
    }
}

/// What the heap's users did and had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Bytes allocated.
    pub allocated: usize,
    /// Most that was ever allocated.
    pub max_allocated: usize,
    /// Bytes the heap has in all.
    pub size: usize,
    /// Requests that failed.
    pub failures: u32,
    /// Bytes of the largest of them.
    pub biggest_failure: usize,
    /// Bytes allocated when that one failed.
    pub biggest_failure_used: usize,
}

struct Inner {
    blocks: Blocks,
    figures: Figures,
}

/// A heap.
pub struct Heap<'h> {
    inner: Lock<Inner>,
    brand: Brand<'h>,
}

/// The allocator takes no memory: what it keeps is damaged.
#[derive(Debug, PartialEq, Eq)]
pub struct Damaged;

/// The heap cannot give that much.
#[derive(Debug, PartialEq, Eq)]
pub struct Exhausted;

/// Elements from the heap of this brand. It goes back by [`Heap::free`]; one that is lost is lost until the partition
/// ends. [`OwnedBlock`] goes back by itself.
#[must_use]
pub struct Block<'h, T> {
    start: NonNull<T>,
    len: usize,
    brand: Brand<'h>,
}

impl<T> Block<'_, T> {
    /// Gives the elements.
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: `Heap::allocate` made so many elements there, zeroed, which is a valid `T`; they are this block's
        // until it is freed, and the partition's memory stays where it is as long as the partition lives.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// Gives the elements, to change them.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as above, and the block is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    fn layout(&self) -> Option<Layout> {
        Layout::array::<T>(self.len).ok()
    }
}

impl<'h> Heap<'h> {
    /// Makes a heap without memory.
    ///
    /// # Safety
    ///
    /// No other heap may have this brand.
    pub const unsafe fn new() -> Self {
        let figures = Figures {
            allocated: 0,
            max_allocated: 0,
            size: 0,
            failures: 0,
            biggest_failure: 0,
            biggest_failure_used: 0,
        };
        Self { inner: Lock::new(Inner { blocks: Blocks::new(), figures }), brand: PhantomData }
    }

    /// Gives the heap memory.
    pub fn add(&self, memory: Memory<'h>) -> Result<(), Damaged> {
        let Memory { base, len, .. } = memory;
        self.inner.with(|inner| {
            // SAFETY: promised by who made the value, which is used up.
            unsafe { inner.blocks.add(base, len) }?;
            inner.figures.size += len;
            Ok(())
        })
    }

    /// Allocates `len` zeroes.
    pub fn allocate<T: FromZeros>(&self, len: usize) -> Result<Block<'h, T>, Exhausted> {
        let layout = Layout::array::<T>(len.max(1)).map_err(|_| Exhausted)?;
        let start = self.inner.with(|inner| {
            let used = inner.figures.allocated;
            // The allocator rounds up to a power of two, which would overflow for the largest sizes.
            let block = if layout.size() < 1 << ORDER { inner.blocks.alloc(layout) } else { Err(()) };
            match block {
                Ok(start) => {
                    inner.figures.allocated = inner.blocks.allocated();
                    inner.figures.max_allocated = inner.figures.max_allocated.max(inner.figures.allocated);
                    Ok(start)
                }
                Err(()) => {
                    inner.figures.failures = inner.figures.failures.saturating_add(1);
                    if layout.size() > inner.figures.biggest_failure {
                        inner.figures.biggest_failure = layout.size();
                        inner.figures.biggest_failure_used = used;
                    }
                    Err(Exhausted)
                }
            }
        })?;
        let start = start.cast::<T>();
        // SAFETY: the allocator gave room for `len` elements at this alignment.
        unsafe { start.write_bytes(0, len.max(1)) };
        Ok(Block { start, len: len.max(1), brand: PhantomData })
    }

    /// Takes a block back.
    pub fn free<T>(&self, block: Block<'h, T>) {
        let Some(layout) = block.layout() else { return };
        self.inner.with(|inner| {
            // SAFETY: by its brand the block came from this heap's `allocate`, with this layout, and is consumed here.
            unsafe { inner.blocks.dealloc(block.start.cast(), layout) };
            inner.figures.allocated = inner.blocks.allocated();
        });
    }

    /// Counts how often calls waited for the lock.
    pub fn waits(&self) -> &Waits {
        self.inner.waits()
    }

    /// Returns the figures.
    pub fn figures(&self) -> Figures {
        self.inner.with(|inner| inner.figures)
    }

    /// Starts the peaks anew.
    pub fn reset_peaks(&self) {
        self.inner.with(|inner| {
            let figures = &mut inner.figures;
            figures.max_allocated = figures.allocated;
            (figures.failures, figures.biggest_failure, figures.biggest_failure_used) = (0, 0, 0);
        });
    }
}

/// A block that goes back to its heap when it is dropped.
pub struct OwnedBlock<'h, T> {
    heap: &'h Heap<'h>,
    block: Option<Block<'h, T>>,
}

impl<'h, T> OwnedBlock<'h, T> {
    /// Ties `block` to the heap it came from.
    pub fn new(heap: &'h Heap<'h>, block: Block<'h, T>) -> Self {
        Self { heap, block: Some(block) }
    }

    /// Gives the block alone; giving it back is the caller's task now.
    pub fn into_block(mut self) -> Option<Block<'h, T>> {
        self.block.take()
    }
}

impl<T: Immutable> Deref for OwnedBlock<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.block.as_ref().map_or(&[], Block::as_slice)
    }
}

impl<T> Drop for OwnedBlock<'_, T> {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            self.heap.free(block);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Runs `f` with a heap of 64 KiB.
    pub(crate) fn with_heap(f: impl for<'h> FnOnce(&'h Heap<'h>)) {
        let memory = Box::leak(vec![0u64; 0x2000].into_boxed_slice());
        // SAFETY: `f` takes any brand, and so knows of no other heap that has this one.
        let heap = unsafe { Heap::new() };
        // SAFETY: the memory was leaked for this heap.
        heap.add(unsafe { Memory::new(memory.as_mut_ptr() as usize, size_of_val(memory)) }).unwrap();
        f(&heap);
    }

    #[test]
    fn what_is_freed_can_be_allocated_again() {
        with_heap(|heap| {
            for _ in 0..100 {
                let block = heap.allocate::<u32>(0x1000).unwrap();
                assert!(block.as_slice().iter().all(|word| *word == 0));
                heap.free(block);
            }
            let figures = heap.figures();
            assert_eq!((figures.allocated, figures.max_allocated, figures.failures), (0, 0x4000, 0));
        });
    }

    #[test]
    fn exhaustion_is_an_error_and_is_counted() {
        with_heap(|heap| {
            let half = heap.allocate::<u8>(0x4000).unwrap();
            for len in [0x1_0000, 1 << 21, 1 << 22, usize::MAX, usize::MAX / 8 + 1] {
                assert!(heap.allocate::<u64>(len).is_err(), "{len:#x}");
            }
            let figures = heap.figures();
            assert_eq!((figures.failures, figures.biggest_failure_used), (3, 0x4000));
            heap.free(half);
            heap.reset_peaks();
            assert_eq!(heap.figures().failures, 0);
        });
    }

    #[test]
    fn an_owned_block_goes_back_by_itself() {
        with_heap(|heap| {
            let block = heap.allocate::<u32>(100).unwrap();
            let owned = OwnedBlock::new(heap, block);
            assert_eq!(owned.len(), 100);
            drop(owned);
            assert_eq!(heap.figures().allocated, 0);
        });
    }
}
