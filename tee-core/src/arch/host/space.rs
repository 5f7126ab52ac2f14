//! A partition's memory, from the host's heap.

use crate::heap::Memory;
use crate::nexus::pages::{PAGE_SIZE, Page};
use crate::nexus::vms::{Pages, SlotIndex};
use crate::partition::Partition;
use crate::partition::layout::{GUARANTEED, HEAP, HEAP_MAX, HEAP_PAGES};
use core::sync::atomic::{AtomicPtr, Ordering};
use std::cell::RefCell;
use std::ptr::null_mut;

#[repr(C, align(65536))]
struct HeapMemory([u8; HEAP_MAX * PAGE_SIZE]);

struct Parts {
    partition: Partition,
    heap: Box<HeapMemory>,
}

thread_local! {
    /// Memory of heaps that nobody uses, with whatever its last owner left: the heap itself must zero what it gives.
    static HEAPS: RefCell<Vec<Box<HeapMemory>>> = const { RefCell::new(Vec::new()) };
}

/// A partition's address space.
pub struct Space(AtomicPtr<Parts>);

/// Zeroes a page if it may hold something. The host has no secure memory, so that only the book is kept.
pub fn scrub(page: &mut Page) {
    page.mark_clean();
}

fn use_pages(pages: &mut [Page]) {
    for page in pages {
        assert!(!page.is_dirty(), "a page is handed out as its last owner left it");
        page.mark_dirty();
    }
}

impl Space {
    /// Without memory.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// Makes a new partition.
    ///
    /// # Safety
    ///
    /// The pages and the space must be used by nothing else.
    pub unsafe fn build(&self, _slot: SlotIndex, pages: &mut Pages) {
        assert_eq!(pages.len(), GUARANTEED);
        use_pages(pages);
        let heap = HEAPS.with_borrow_mut(Vec::pop);
        // SAFETY: zeroes are a valid array of bytes.
        let heap = heap.unwrap_or_else(|| unsafe { Box::<HeapMemory>::new_zeroed().assume_init() });
        let memory = Box::into_raw(Box::new(Parts { partition: Partition::new(), heap }));
        assert!(self.0.swap(memory, Ordering::SeqCst).is_null(), "a slot is used twice");
    }

    /// Adds the pages from number `from` on to the heap, at page `place` of the range. Returns them.
    ///
    /// # Safety
    ///
    /// The pages must be used by nothing else, and the place must be free.
    pub unsafe fn extend(&self, pages: &mut Pages, from: usize, place: usize) -> Memory {
        use_pages(&mut pages[from..]);
        let len = (pages.len() - from) * PAGE_SIZE;
        assert!(place - HEAP + len / PAGE_SIZE <= HEAP_MAX);
        // SAFETY: this part of the heap's memory was not given away yet; so says the caller.
        unsafe { Memory::new(self.heap_base() + (place - HEAP) * PAGE_SIZE, len) }
    }

    /// Ends the partition.
    ///
    /// # Safety
    ///
    /// No CPU may have it selected, and none may select it any more.
    pub unsafe fn tear_down(&self, _slot: SlotIndex) {
        // SAFETY: promised by the caller.
        unsafe { (*self.partition()).threads.kill() };
        let memory = self.0.swap(null_mut(), Ordering::SeqCst);
        // SAFETY: `build` made it, and nobody can reach it any more.
        let parts = unsafe { Box::from_raw(memory) };
        // There is no such list any more while the host's own thread ends.
        let _ = HEAPS.try_with(|heaps| heaps.borrow_mut().push(parts.heap));
    }

    /// Maps the partition on this CPU.
    pub fn select(&self, _slot: SlotIndex) {}

    /// No partition is mapped on this CPU any more.
    pub fn deselect() {}

    /// Where the partition is.
    pub fn partition(&self) -> *const Partition {
        let memory = self.0.load(Ordering::SeqCst);
        assert!(!memory.is_null(), "a partition that is not");
        // SAFETY: it is not null, and points to what `build` made.
        unsafe { &raw const (*memory).partition }
    }

    /// Where the heap's memory is. How its blocks are aligned, and so what fits, follows from it.
    pub fn heap_base(&self) -> usize {
        // SAFETY: it points to what `build` made.
        let heap = unsafe { &raw mut *(*self.0.load(Ordering::SeqCst)).heap };
        heap.expose_provenance()
    }

    /// The heap's first memory.
    ///
    /// # Safety
    ///
    /// Once for each partition.
    pub unsafe fn heap(&self) -> Memory {
        // SAFETY: it lives as long as the partition.
        unsafe { Memory::new(self.heap_base(), HEAP_PAGES * PAGE_SIZE) }
    }
}

impl Default for Space {
    fn default() -> Self {
        Self::new()
    }
}
