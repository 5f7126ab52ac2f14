// SPDX-License-Identifier: MIT OR Apache-2.0
//! Access to memory by physical address, which EL2 maps one to one: modules, guests' RAM.

use crate::address::{Ipa, PAGE_SIZE, Pa};
use crate::arch::cpu;
use crate::memory::{GuestMemory, Ram};
use core::sync::atomic::AtomicU64;
use shared_abi::layout::Range;

/// Borrows the bytes of a range that the hypervisor only reads: a module or the device tree.
///
/// # Safety
///
/// The range must be mapped memory that nobody writes to for as long as the slice is used.
pub unsafe fn bytes(range: Range) -> &'static [u8] {
    // SAFETY: as the caller promises.
    unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(range.base as usize), range.size as usize) }
}

/// Borrows the bytes of a range, to be changed.
///
/// # Safety
///
/// The range must be mapped memory to which nobody else refers.
pub unsafe fn bytes_mut(range: Range) -> &'static mut [u8] {
    let start = core::ptr::with_exposed_provenance_mut(range.base as usize);
    // SAFETY: as the caller promises.
    unsafe { core::slice::from_raw_parts_mut(start, range.size as usize) }
}

/// Writes zeroes over a part of a VM's RAM, whole blocks of it, and to memory.
///
/// # Safety
///
/// No CPU may be running the VM.
pub unsafe fn zero(ram: &Ram, ipa: Ipa, size: u64) {
    for (pa, size) in ram.pieces(ipa, size).into_iter().flatten() {
        // SAFETY: it is the VM's RAM, to which nobody holds a reference.
        unsafe { cpu::zero(pa.0, size) };
        cpu::clean_to_memory(pa.0, size);
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
        // SAFETY: the target is the VM's RAM, to which nobody holds a reference; modules lie outside of it.
        unsafe { target.copy_from_nonoverlapping(now.as_ptr(), now.len()) };
        cpu::clean_to_memory(pa.0, size);
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
        // SAFETY: the words are this VM's RAM, mapped for as long as the hypervisor runs, and only ever accessed as
        // atomics by EL2 once the VM runs.
        Some(unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(pa.0 as usize), count) })
    }
}
