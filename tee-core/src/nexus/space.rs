//! A partition's address space: what stands where in the upper range ([`crate::arch::root`]), under an ASID of its own.
#![expect(unsafe_code, reason = "translation tables, and what they map")]

use super::pristine::Pristine;
use super::vms::{MAX_VMS, Pages, SlotIndex};
use crate::arch::Machine;
use crate::arch::peephole::{self, PAGE_ATTRIBUTES};
use crate::arch::root::{BASE, NON_GLOBAL, Root, TABLE};
use crate::heap::Memory;
use crate::memory::pages::{PAGE_SIZE, Page};
use crate::partition::Partition;
use crate::partition::layout::{self, ADDRESS, HEAP, HEAP_PAGES};

/// A partition's address space.
pub struct Space(Root);

/// ASIDs have 8 bits everywhere; 0 is nobody's.
const _: () = assert!(MAX_VMS < 256);

fn asid(slot: SlotIndex) -> u64 {
    u64::from(slot) + 1
}

impl Default for Space {
    fn default() -> Self {
        Self::new()
    }
}

impl Space {
    /// Makes a space without memory.
    pub const fn new() -> Self {
        Self(Root::new())
    }

    /// Makes a new partition: maps the pages, and writes into them what every partition begins as.
    ///
    /// # Safety
    ///
    /// The pages must be zero, and they and the space be used by nothing else. No partition may be selected on this
    /// CPU.
    pub unsafe fn build(&self, machine: &Machine, slot: SlotIndex, pages: &mut Pages) {
        pages.iter_mut().for_each(Page::mark_dirty);
        let Some((table, parts)) = pages.split_first() else { return };
        // SAFETY: the table's page is this partition's, and not in use yet.
        unsafe {
            peephole::with(machine, table.pa(), |entries| {
                for (place, page) in layout::initial().zip(parts) {
                    entries[place] = page.pa() | PAGE_ATTRIBUTES | NON_GLOBAL;
                }
            });
            self.0.set(machine, table.pa() | TABLE);
        }
        let pristine = Pristine::find();
        // SAFETY: nothing else is selected.
        unsafe { self.select(machine, slot) };
        // SAFETY: the struct's pages are mapped there now, zero and writable, and nobody refers to them.
        unsafe { pristine.write(machine, self.partition(machine).cast_mut()) };
        // SAFETY: nobody refers to it.
        unsafe { Self::deselect(machine) };
    }

    /// Adds the pages from number `from` on to the heap, at page `place` of the range. Returns them.
    ///
    /// # Safety
    ///
    /// The pages must be zero and used by nothing else, and the place must be free. The space must be selected on this
    /// CPU, and `'p` be the brand of its partition.
    pub unsafe fn extend<'p>(&self, machine: &Machine, pages: &mut Pages, from: usize, place: usize) -> Memory<'p> {
        pages.iter_mut().skip(from).for_each(Page::mark_dirty);
        let table = &pages[0];
        let added = pages.get(from..).unwrap_or(&[]);
        // SAFETY: the caller holds the slot, so nobody else changes the table; the CPUs that walk it meanwhile find an
        // entry invalid or complete. Invalid entries are not cached: nothing is to be invalidated.
        unsafe {
            peephole::with(machine, table.pa(), |entries| {
                for (entry, page) in entries.iter_mut().skip(place).zip(added) {
                    *entry = page.pa() | PAGE_ATTRIBUTES | NON_GLOBAL;
                }
            });
            memory(machine, place, added.len())
        }
    }

    /// Ends the partition: nothing of it can be reached any more, by any CPU. Its suspended calls are gone with it.
    ///
    /// # Safety
    ///
    /// No CPU may have it selected, and none may select it any more.
    pub unsafe fn tear_down(&self, machine: &Machine, slot: SlotIndex) {
        // SAFETY: promised by the caller.
        unsafe { self.0.clear(machine, asid(slot)) };
    }

    /// Maps the partition on this CPU.
    ///
    /// # Safety
    ///
    /// It must be that of this slot, and nobody on this CPU refer to another one.
    pub unsafe fn select(&self, machine: &Machine, slot: SlotIndex) {
        // SAFETY: promised by the caller.
        unsafe { self.0.select(machine, asid(slot)) };
    }

    /// No partition is mapped on this CPU any more.
    ///
    /// # Safety
    ///
    /// Nobody on this CPU may refer to it.
    pub unsafe fn deselect(machine: &Machine) {
        // SAFETY: promised by the caller.
        unsafe { Root::deselect(machine) };
    }

    /// Returns where the partition is while it is selected: at the same address for every VM.
    pub fn partition<'p>(&self, machine: &Machine) -> *const Partition<'p> {
        machine.at(ADDRESS, size_of::<Partition<'_>>()).cast()
    }

    /// The heap's first memory.
    ///
    /// # Safety
    ///
    /// Once for each partition, while it is selected. `'p` must be its brand.
    pub unsafe fn heap<'p>(&self, machine: &Machine) -> Memory<'p> {
        // SAFETY: `build` mapped it, for this alone.
        unsafe { memory(machine, HEAP, HEAP_PAGES) }
    }
}

/// Pages of the range.
///
/// # Safety
///
/// They must be the heap's of this brand, which gets them once.
unsafe fn memory<'p>(machine: &Machine, place: usize, pages: usize) -> Memory<'p> {
    let len = pages * PAGE_SIZE;
    // SAFETY: promised by the caller; they stay mapped as long as the partition lives.
    unsafe { Memory::new(machine.at(BASE + place * PAGE_SIZE, len).expose_provenance(), len) }
}
