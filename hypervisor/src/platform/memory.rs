//! Access to memory by physical address, which EL2 maps one to one: the hypervisor's heap, modules, guests' RAM.

use crate::address::{Ipa, PAGE_SIZE, Pa};
use crate::mediator::{GuestMemory, Shadow};
use crate::memory::Ram;
use buddy_system_allocator::Heap;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;
use shared_abi::layout::Range;
use spin::Mutex;

/// The hypervisor's heap. Used while VMs are set up, and when one starts again, from what its earlier life gave back.
struct HypervisorHeap(Mutex<Heap<32>>);

#[global_allocator]
static HEAP: HypervisorHeap = HypervisorHeap(Mutex::new(Heap::empty()));

// SAFETY: The buddy system hands out each piece of the memory it was given once, aligned as asked.
unsafe impl GlobalAlloc for HypervisorHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.lock().alloc(layout).map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: As `GlobalAlloc` promises, the pointer came from `alloc` with this layout.
            unsafe { self.0.lock().dealloc(pointer, layout) };
        }
    }
}

/// Gives the heap its memory.
///
/// # Safety
///
/// The range must be mapped memory that nobody else uses.
pub unsafe fn init_heap(range: Range) {
    // SAFETY: As the caller promises.
    unsafe { HEAP.0.lock().init(range.base as usize, range.size as usize) };
}

/// Bytes of the heap in use.
pub fn heap_used() -> usize {
    HEAP.0.lock().stats_alloc_actual()
}

/// Shadow pages for a VM, which live as long as the hypervisor. They are far larger than a stack.
pub fn allocate_shadow() -> &'static Shadow {
    let layout = Layout::new::<Shadow>();
    // SAFETY: `Shadow` has a size. It is made of atomic integers, so zeroes are a value of it.
    unsafe {
        let pages = alloc::alloc::alloc_zeroed(layout).cast::<Shadow>();
        pages.as_ref().unwrap_or_else(|| alloc::alloc::handle_alloc_error(layout))
    }
}

/// The bytes of a range that the hypervisor only reads: a module or the device tree.
///
/// # Safety
///
/// The range must be mapped memory that nobody writes to for as long as the slice is used.
pub unsafe fn bytes(range: Range) -> &'static [u8] {
    // SAFETY: As the caller promises.
    unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(range.base as usize), range.size as usize) }
}

/// The bytes of a range, to be changed.
///
/// # Safety
///
/// The range must be mapped memory to which nobody else refers.
pub unsafe fn bytes_mut(range: Range) -> &'static mut [u8] {
    let start = core::ptr::with_exposed_provenance_mut(range.base as usize);
    // SAFETY: As the caller promises.
    unsafe { core::slice::from_raw_parts_mut(start, range.size as usize) }
}

/// Writes zeroes over a part of a VM's RAM, whole blocks of it, with `dc zva`, and to memory.
///
/// # Safety
///
/// No CPU may be running the VM.
pub unsafe fn zero(ram: &Ram, ipa: Ipa, size: u64) {
    let dczid = crate::arch::sysreg::read!("dczid_el0");
    let zva = (dczid & 1 << 4 == 0).then_some(4u64 << (dczid & 0xF));
    for (pa, size) in ram.pieces(ipa, size).into_iter().flatten() {
        match zva {
            Some(block) => {
                for address in (pa.0..pa.0 + size).step_by(block as usize) {
                    // SAFETY: The block is the VM's RAM, to which nobody holds a reference.
                    unsafe { core::arch::asm!("dc zva, {}", in(reg) address, options(nostack, preserves_flags)) };
                }
            }
            None => {
                let start: *mut u8 = core::ptr::with_exposed_provenance_mut(pa.0 as usize);
                // SAFETY: As above.
                unsafe { start.write_bytes(0, size as usize) };
            }
        }
        crate::arch::cpu::clean_to_memory(pa.0, size);
    }
}

/// Copies to a VM's RAM, and to memory, where a guest sees it before it has caches. `false` if it is not all RAM.
///
/// # Safety
///
/// No CPU may be running the VM.
pub unsafe fn copy(ram: &Ram, ipa: Ipa, data: &[u8]) -> bool {
    let Some(pieces) = ram.pieces(ipa, data.len() as u64) else { return false };
    let mut rest = data;
    for (pa, size) in pieces {
        let (now, later) = rest.split_at(size as usize);
        let target: *mut u8 = core::ptr::with_exposed_provenance_mut(pa.0 as usize);
        // SAFETY: The target is the VM's RAM, to which nobody holds a reference; modules lie outside of it.
        unsafe { target.copy_from_nonoverlapping(now.as_ptr(), now.len()) };
        crate::arch::cpu::clean_to_memory(pa.0, size);
        rest = later;
    }
    true
}

impl GuestMemory for Ram {
    #[inline]
    fn page(&self, ipa: Ipa) -> Option<Pa> {
        self.translate(ipa).map(|(pa, _)| pa)
    }

    #[inline]
    fn ipa(&self, page: Pa) -> Option<Ipa> {
        self.extents().iter().find_map(|extent| {
            let offset = page.0.checked_sub(extent.pa.0).filter(|offset| *offset < extent.size)?;
            extent.ipa.checked_add(offset)
        })
    }

    #[inline]
    fn words(&self, ipa: Ipa, count: usize) -> Option<&[AtomicU64]> {
        let bytes = (count as u64).checked_mul(8).filter(|bytes| *bytes <= PAGE_SIZE)?;
        let (pa, run) = self.translate(ipa)?;
        if !ipa.is_aligned(8) || bytes > run {
            return None;
        }
        // SAFETY: The words are this VM's RAM, mapped for as long as the hypervisor runs, and only ever accessed as
        // atomics by EL2 once the VM runs.
        Some(unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(pa.0 as usize), count) })
    }
}
