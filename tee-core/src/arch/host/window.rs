//! Memory of the host for what a partition's address range shows.

use crate::nexus::pages::PAGE_SIZE;
use crate::partition::layout::{HEAP, HEAP_MAX, STRUCT, STRUCT_PAGES};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::ops::Range;

/// Aligned as the range is, as far as the heap's allocator can tell, so that it does the same as on the machine.
const LAYOUT: Layout = match Layout::from_size_align((HEAP + HEAP_MAX) * PAGE_SIZE, 4 << 20) {
    Ok(layout) => layout,
    Err(_) => panic!("no layout"),
};

/// Owned memory of this layout, all of it initialised.
struct Memory(*mut u8);

// SAFETY: nothing but memory.
unsafe impl Send for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout.
        unsafe { dealloc(self.0, LAYOUT) };
    }
}

thread_local! {
    /// Memory that nobody uses, as it was left: getting new one from the host takes longer than most calls.
    static UNUSED: RefCell<Vec<Memory>> = const { RefCell::new(Vec::new()) };
}

/// The pages of a partition, one after the other. Those of its struct are zero at first; the heap's hold anything, for
/// nobody may rely on what is there.
pub(super) struct Window(Option<Memory>);

impl Window {
    pub fn new() -> Self {
        let memory = UNUSED.with_borrow_mut(Vec::pop).unwrap_or_else(|| {
            // SAFETY: the layout is not empty.
            let start = unsafe { alloc(LAYOUT) };
            if start.is_null() {
                handle_alloc_error(LAYOUT);
            }
            // SAFETY: it was allocated just now.
            unsafe { start.write_bytes(0xA5, LAYOUT.size()) };
            Memory(start)
        });
        // SAFETY: the struct's pages are in it, and nobody refers to them yet.
        unsafe { memory.0.add(STRUCT * PAGE_SIZE).write_bytes(0, STRUCT_PAGES * PAGE_SIZE) };
        Self(Some(memory))
    }

    /// Address of a page, by its number in the range.
    pub fn page(&self, place: usize) -> *mut u8 {
        assert!(place < LAYOUT.size() / PAGE_SIZE, "a partition has no page {place}");
        self.start().wrapping_add(place * PAGE_SIZE)
    }

    /// The host's addresses of it.
    pub fn addresses(&self) -> Range<usize> {
        let start = self.start().addr();
        start..start + LAYOUT.size()
    }

    fn start(&self) -> *mut u8 {
        self.0.as_ref().expect("it is there until it is dropped").0
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
