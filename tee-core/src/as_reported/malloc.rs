//! A partition's heap from [`bget`], in the place of the default TEE's allocator.
//!
//! The pool's state is not in the heap but at one address for every VM: what that address shows is whatever is mapped.
#![expect(unsafe_code, reason = "reaches the pool's state by its address")]

use super::bget::{self, Damaged, Poolset};
use super::template;
use crate::nexus::pages::PAGE_SIZE;
use crate::nexus::space;
use crate::partition::Partition;
use crate::partition::layout::HEAP;
use crate::trace;
use core::alloc::Layout;
use core::mem::offset_of;
use core::ptr::NonNull;

/// Address of the pool's state, as the report's `malloc_ctx.poolset`.
pub const POOLSET: usize = template::ADDRESS + offset_of!(Partition<'_>, poolset);

/// The allocator, with the functions that the heap calls. It has no state of its own.
pub struct Malloc;

impl Malloc {
    /// The allocator.
    pub const fn new() -> Self {
        Self
    }

    fn set(&self) -> *mut Poolset {
        POOLSET as *mut Poolset
    }

    /// Allocates.
    pub fn alloc(&mut self, layout: Layout) -> Result<NonNull<u8>, ()> {
        if layout.align() > 16 {
            return Err(());
        }
        // SAFETY: a partition is current, and the heap's lock is held.
        unsafe { bget::bget(self.set(), layout.size()) }.ok_or(())
    }

    /// Frees.
    ///
    /// # Safety
    ///
    /// The block must come from [`alloc`](Self::alloc), once.
    pub unsafe fn dealloc(&mut self, start: NonNull<u8>, _layout: Layout) {
        // SAFETY: promised by the caller; a partition is current, and the heap's lock is held.
        unsafe { bget::brel(self.set(), start) };
    }

    /// Gives the pool `[start, end)`. A pool that is damaged takes nothing.
    ///
    /// # Safety
    ///
    /// As for [`bpool`](bget::bpool).
    pub unsafe fn add_to_heap(&mut self, start: usize, end: usize) {
        // SAFETY: promised by the caller. Who allocates next learns that there is no memory.
        let _ = unsafe { self.bpool(start, end - start) };
    }

    /// The same, and says whether the pool took it.
    ///
    /// # Safety
    ///
    /// As for [`bpool`](bget::bpool).
    pub unsafe fn bpool(&mut self, base: usize, len: usize) -> Result<(), Damaged> {
        if trace::ON {
            let heap = space::BASE + HEAP * PAGE_SIZE;
            // SAFETY: as below. The heap's pages follow each other, from its first to those that are given.
            unsafe { bget::tell(self.set(), heap..base.saturating_add(len)) };
        }
        // SAFETY: promised by the caller; a partition is current, and the heap's lock is held.
        unsafe { bget::bpool(self.set(), base, len) }
    }

    /// Bytes that are allocated.
    pub fn stats_alloc_actual(&self) -> usize {
        // SAFETY: a partition is current, and the heap's lock is held.
        unsafe { (*self.set()).allocated() }
    }
}
