// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hypervisor's heap.

use buddy_system_allocator::Heap;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use shared_abi::layout::Range;
use spin::Mutex;

/// Used when VMs come, start again and go, on whatever CPU.
struct HypervisorHeap(Mutex<Heap<32>>);

#[global_allocator]
static HEAP: HypervisorHeap = HypervisorHeap(Mutex::new(Heap::empty()));

// SAFETY: the buddy system hands out each piece of the memory it was given once, aligned as asked.
unsafe impl GlobalAlloc for HypervisorHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.lock().alloc(layout).map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: as `GlobalAlloc` promises, the pointer came from `alloc` with this layout.
            unsafe { self.0.lock().dealloc(pointer, layout) };
        }
    }
}

/// Gives the heap its memory.
///
/// # Safety
///
/// The range must be mapped memory that nobody else uses.
pub unsafe fn init(range: Range) {
    // SAFETY: as the caller promises.
    unsafe { HEAP.0.lock().init(range.base as usize, range.size as usize) };
}
