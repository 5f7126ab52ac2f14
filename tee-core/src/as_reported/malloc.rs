// SPDX-License-Identifier: MIT OR Apache-2.0
//! A partition's heap from [`bget`], in the place of the default TEE's allocator.
//!
//! The pool's state is not in the heap but at one address for every VM: what that address shows is whatever is mapped.
#![expect(unsafe_code, reason = "reaches the pool's state by its address")]

use super::Damaged;
use crate::arch::tables::BASE;
use crate::as_reported::bget::{self, Poolset};
use crate::memory::pages::PAGE_SIZE;
use crate::partition::Partition;
use crate::partition::layout::{ADDRESS, HEAP};
use crate::trace;
use core::alloc::Layout;
use core::mem::offset_of;
use core::ptr::NonNull;

/// What is kept apart from the heap: the pool's state.
pub type Apart = Poolset;

/// Makes what a partition begins with: a pool without memory.
pub const fn apart() -> Apart {
    Poolset::pristine(POOLSET)
}

/// Address of the pool's state, as the report's `malloc_ctx.poolset`.
const POOLSET: usize = ADDRESS + offset_of!(Partition<'_>, apart);

/// The allocator, with the functions that the heap calls. It has no state of its own.
pub(crate) struct Blocks;

impl Blocks {
    /// Makes the allocator.
    pub(crate) const fn new() -> Self {
        Self
    }

    fn set(&self) -> *mut Poolset {
        POOLSET as *mut Poolset
    }

    /// Allocates a block.
    pub(crate) fn alloc(&mut self, layout: Layout) -> Result<NonNull<u8>, ()> {
        if layout.align() > 16 {
            return Err(());
        }
        // SAFETY: a partition is current, and the heap's lock is held.
        unsafe { bget::bget(self.set(), layout.size()) }.ok_or(())
    }

    /// Frees a block.
    ///
    /// # Safety
    ///
    /// The block must come from [`alloc`](Self::alloc), once.
    pub(crate) unsafe fn dealloc(&mut self, start: NonNull<u8>, _layout: Layout) {
        // SAFETY: promised by the caller; a partition is current, and the heap's lock is held.
        unsafe { bget::brel(self.set(), start) };
    }

    /// Gives the pool `len` bytes from `base` on, and says whether it took them.
    ///
    /// # Safety
    ///
    /// As for [`bpool`](bget::bpool).
    pub(crate) unsafe fn add(&mut self, base: usize, len: usize) -> Result<(), Damaged> {
        if trace::ON {
            let heap = BASE + HEAP * PAGE_SIZE;
            // SAFETY: as below. The heap's pages follow each other, from its first to those that are given.
            unsafe { bget::tell(self.set(), heap..base.saturating_add(len)) };
        }
        // SAFETY: promised by the caller; a partition is current, and the heap's lock is held.
        unsafe { bget::bpool(self.set(), base, len) }.map_err(|bget::Damaged| Damaged)
    }

    /// Returns how many bytes are allocated.
    pub(crate) fn allocated(&self) -> usize {
        // SAFETY: a partition is current, and the heap's lock is held.
        unsafe { (*self.set()).allocated() }
    }
}
