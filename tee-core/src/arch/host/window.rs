// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of the host for what a partition's address range shows.

use crate::memory::pages::PAGE_SIZE;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::ops::Range;

/// What a partition's address range looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Pages of it that are ever used.
    pub pages: usize,
    /// Pages at its start that must be zero before they are used. The others hold anything at first, for nobody may
    /// rely on what is there.
    pub zero: usize,
}

impl Shape {
    /// Aligns the memory as the range is, as far as the heap's allocator can tell, so that it does the same as on the
    /// machine.
    fn layout(self) -> Layout {
        Layout::from_size_align(self.pages * PAGE_SIZE, 4 << 20).expect("a partition fits into the host's memory")
    }
}

/// Owned memory for a partition of this shape, all of it initialised.
struct Memory(*mut u8, Shape);

// SAFETY: nothing but memory.
unsafe impl Send for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout.
        unsafe { dealloc(self.0, self.1.layout()) };
    }
}

thread_local! {
    /// Memory that nobody uses, as it was left: getting new one from the host takes longer than most calls.
    static UNUSED: RefCell<Vec<Memory>> = const { RefCell::new(Vec::new()) };
}

/// The pages of a partition, one after the other.
pub(super) struct Window(Option<Memory>);

impl Window {
    pub(crate) fn new(shape: Shape) -> Self {
        let unused = UNUSED.with_borrow_mut(|unused| {
            let place = unused.iter().rposition(|memory| memory.1 == shape)?;
            Some(unused.swap_remove(place))
        });
        let memory = unused.unwrap_or_else(|| {
            let layout = shape.layout();
            // SAFETY: a partition has pages.
            let start = unsafe { alloc(layout) };
            if start.is_null() {
                handle_alloc_error(layout);
            }
            // SAFETY: it was allocated just now.
            unsafe { start.write_bytes(0xA5, layout.size()) };
            Memory(start, shape)
        });
        // SAFETY: these pages are in it, and nobody refers to them yet.
        unsafe { memory.0.write_bytes(0, shape.zero.min(shape.pages) * PAGE_SIZE) };
        Self(Some(memory))
    }

    /// Address of a page, by its number in the range.
    pub(crate) fn page(&self, place: usize) -> *mut u8 {
        assert!(place < self.memory().1.pages, "a partition has no page {place}");
        self.start().wrapping_add(place * PAGE_SIZE)
    }

    /// Returns the host's addresses of it.
    pub(crate) fn addresses(&self) -> Range<usize> {
        let start = self.start().addr();
        start..start + self.memory().1.pages * PAGE_SIZE
    }

    fn memory(&self) -> &Memory {
        self.0.as_ref().expect("it is there until it is dropped")
    }

    fn start(&self) -> *mut u8 {
        self.memory().0
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if let Some(memory) = self.0.take() {
            // There is no such list any more while the host's own thread ends.
            let _ = UNUSED.try_with(|unused| unused.borrow_mut().push(memory));
        }
    }
}
