//! The boot stage's heap, for the device tree's model alone.
//!
//! The runtime is linked with the same crates and so has an allocator too, but one without memory: it never allocates.

use buddy_system_allocator::Heap;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use spin::mutex::SpinMutex;

/// Largest block 2^19: more than the boot stage's SRAM.
struct BootHeap(SpinMutex<Heap<20>>);

#[global_allocator]
static HEAP: BootHeap = BootHeap(SpinMutex::new(Heap::empty()));

// SAFETY: the buddy allocator hands out blocks of the wanted size and alignment, each once until it is freed.
unsafe impl GlobalAlloc for BootHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.lock().alloc(layout).map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller got the block from `alloc` with this layout.
            unsafe { self.0.lock().dealloc(block, layout) }
        }
    }
}

/// Gives the heap its memory.
///
/// # Safety
///
/// Nothing else may use `start..end`.
pub unsafe fn init(start: usize, end: usize) {
    // SAFETY: as the caller says.
    unsafe { HEAP.0.lock().init(start, end - start) }
}
