// SPDX-License-Identifier: MIT OR Apache-2.0
//! The heap's allocator: `buddy_system_allocator`.
#![expect(unsafe_code, reason = "an allocator is told which memory it may use")]

use super::{Damaged, ORDER};
use core::alloc::Layout;
use core::ptr::NonNull;

/// The allocator, with all that it keeps.
pub(crate) struct Blocks(buddy_system_allocator::Heap<ORDER>);

/// What the allocator keeps outside itself, in the partition: nothing.
pub struct Apart;

/// Makes what a partition begins with.
pub const fn apart() -> Apart {
    Apart
}

impl Blocks {
    /// Makes an allocator without memory.
    pub(crate) const fn new() -> Self {
        Self(buddy_system_allocator::Heap::new())
    }

    /// Takes `len` bytes from `base` on. Never refused.
    ///
    /// # Safety
    ///
    /// As for [`super::Memory::new`].
    #[inline(always)]
    pub(crate) unsafe fn add(&mut self, base: usize, len: usize) -> Result<(), Damaged> {
        // SAFETY: promised by the caller.
        unsafe { self.0.add_to_heap(base, base + len) };
        Ok(())
    }

    /// Allocates a block.
    #[inline(always)]
    pub(crate) fn alloc(&mut self, layout: Layout) -> Result<NonNull<u8>, ()> {
        self.0.alloc(layout)
    }

    /// Frees a block.
    ///
    /// # Safety
    ///
    /// The block must come from [`alloc`](Self::alloc) with this layout, once.
    #[inline(always)]
    pub(crate) unsafe fn dealloc(&mut self, start: NonNull<u8>, layout: Layout) {
        // SAFETY: promised by the caller.
        unsafe { self.0.dealloc(start, layout) };
    }

    /// Returns how many bytes are allocated.
    #[inline(always)]
    pub(crate) fn allocated(&self) -> usize {
        self.0.stats_alloc_actual()
    }
}
