// SPDX-License-Identifier: MIT OR Apache-2.0
//! A partition's address space: the upper range ([`crate::arch::tables`]), under an ASID of its own.
//!
//! `aarch64-paging` is not used here: its root tables are whole pages from an allocator and it keeps them mapped, while
//! a partition needs 16 root entries, which live in the VM table, and one table that is mapped only while it is
//! changed.
//!
//! TCR_EL1.A1 makes the ASID part of TTBR1_EL1, so that one register write selects a partition, without invalidating
//! anything. On the host the same code runs on a model of the MMU that caches whatever hardware may cache
//! (`arch::host::mmu`).
#![expect(unsafe_code, reason = "translation tables, and what they map")]

use super::peephole;
use super::pristine::Pristine;
use super::vms::{MAX_VMS, Pages, SlotIndex};
use crate::arch::Machine;
use crate::arch::tables::{BASE, NON_GLOBAL, NONE, PAGE_ATTRIBUTES, PEEPHOLE_TABLE, Root, TABLE};
use crate::heap::Memory;
use crate::memory::pages::{PAGE_SIZE, Page};
use crate::partition::Partition;
use crate::partition::layout::{self, ADDRESS, HEAP, HEAP_PAGES};

/// A partition's address space. Its root table is written only by who builds or tears down the partition, when nobody
/// else can reach it.
pub struct Space(Root);

/// Writes a root table: what stands where partitions do, and the peepholes.
///
/// # Safety
///
/// Nobody may have the table selected, or write to it.
pub(super) unsafe fn set_root(machine: &Machine, root: &Root, partition: u64) {
    // SAFETY: both entries are in the table; promised by the caller.
    unsafe {
        machine.set_entry(root.peepholes(), PEEPHOLE_TABLE.pa() | TABLE);
        machine.set_entry(root.partition(), partition);
    }
    machine.dsb_ishst();
}

/// ASIDs have 8 bits everywhere; 0 is nobody's.
const _: () = assert!(MAX_VMS < 256);

fn asid(slot: SlotIndex) -> u64 {
    u64::from(slot) + 1
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
            set_root(machine, &self.0, table.pa() | TABLE);
        }
        let pristine = Pristine::find();
        // SAFETY: nothing else is selected.
        unsafe { self.select(machine, slot) };
        // SAFETY: the struct's pages are mapped there now, zero and writable, and nobody refers to them.
        unsafe { pristine.write(machine, Self::partition(machine).cast_mut()) };
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
        // Unmapped first, and seen so by all, so that nobody caches again what is then invalidated (Arm ARM D8.16.1).
        // SAFETY: promised by the caller.
        unsafe { machine.set_entry(self.0.partition(), 0) };
        machine.dsb_ishst();
        // Every CPU forgets what it cached under this ASID before the pages are used anew.
        machine.tlbi_aside1is(asid(slot));
        machine.dsb_ish();
        machine.isb();
    }

    /// Maps the partition on this CPU.
    ///
    /// # Safety
    ///
    /// It must be that of this slot, and nobody on this CPU refer to another one.
    pub unsafe fn select(&self, machine: &Machine, slot: SlotIndex) {
        // SAFETY: promised by the caller.
        unsafe { machine.set_ttbr1(self.0.ttbr1() | asid(slot) << 48) };
        machine.isb();
    }

    /// Unmaps the partition on this CPU.
    ///
    /// # Safety
    ///
    /// Nobody on this CPU may refer to it.
    pub unsafe fn deselect(machine: &Machine) {
        // SAFETY: promised by the caller.
        unsafe { machine.set_ttbr1(NONE.ttbr1()) };
        machine.isb();
    }

    /// Returns where the partition is while it is selected: at the same address for every VM.
    pub fn partition<'p>(machine: &Machine) -> *const Partition<'p> {
        machine.at(ADDRESS, size_of::<Partition<'_>>()).cast()
    }

    /// Gives the heap's first memory.
    ///
    /// # Safety
    ///
    /// Once for each partition, while it is selected. `'p` must be its brand.
    pub unsafe fn heap<'p>(machine: &Machine) -> Memory<'p> {
        // SAFETY: `build` mapped it, for this alone.
        unsafe { memory(machine, HEAP, HEAP_PAGES) }
    }
}

/// Gives pages of the range.
///
/// # Safety
///
/// They must be the heap's of this brand, which gets them once.
unsafe fn memory<'p>(machine: &Machine, place: usize, pages: usize) -> Memory<'p> {
    let len = pages * PAGE_SIZE;
    // SAFETY: promised by the caller; they stay mapped as long as the partition lives.
    unsafe { Memory::new(machine.at(BASE + place * PAGE_SIZE, len).expose_provenance(), len) }
}
