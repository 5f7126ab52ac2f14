//! A partition's address space: the upper range, under TTBR1_EL1 and an ASID of its own.
//!
//! `aarch64-paging` is not used here: its root tables are whole pages from an allocator and it keeps them mapped, while a
//! partition needs 16 root entries, which live in the VM table, and one table that is mapped only while it is changed.
//!
//! The range is 32 MiB (TCR_EL1.T1SZ = 39): the walk starts at level 2 with a root of 16 entries. Entry 0 is the
//! partition, entry 15 the peepholes. TCR_EL1.A1 makes the ASID part of TTBR1_EL1, so that one register write selects a
//! partition, without invalidating anything.

use super::peephole::{self, PAGE_ATTRIBUTES};
use crate::heap::Memory;
use crate::nexus::pages::{PAGE_SIZE, Page};
use crate::nexus::vms::{MAX_VMS, Pages, SlotIndex};
use crate::partition::Partition;
use crate::partition::layout::{self, HEAP, HEAP_PAGES, STRUCT};
use aarch64_cpu::registers::{TTBR1_EL1, Writeable};
use core::arch::asm;
use core::cell::UnsafeCell;

/// First address of the range.
pub const BASE: usize = 0xFFFF_FFFF_FE00_0000;
/// A valid entry that points to a table of the next level.
pub(crate) const TABLE: u64 = 0b11;
/// Not global: the entry belongs to the current ASID.
pub(crate) const NON_GLOBAL: u64 = 1 << 11;
/// Root entry of the peepholes.
const PEEPHOLES: usize = 15;

/// A partition's root table.
#[repr(C, align(128))]
pub struct Space(UnsafeCell<[u64; 16]>);

// SAFETY: written only by who builds or tears down the partition, when nobody else can reach it.
unsafe impl Sync for Space {}

/// The root table while no partition is selected.
pub static NONE: Space = Space::new();

/// ASIDs have 8 bits everywhere; 0 is nobody's.
const _: () = assert!(MAX_VMS < 256);

fn asid(slot: SlotIndex) -> u64 {
    (u64::from(slot) + 1) << 48
}

impl Default for Space {
    fn default() -> Self {
        Self::new()
    }
}

impl Space {
    /// Without memory.
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; 16]))
    }

    fn pa(&self) -> u64 {
        self.0.get() as u64
    }

    /// Writes a root table without a partition.
    ///
    /// # Safety
    ///
    /// Nobody may have the table selected.
    pub unsafe fn clear(&self) {
        let root = self.0.get().cast::<u64>();
        // SAFETY: both entries are in the table; promised by the caller.
        unsafe {
            root.write_volatile(0);
            root.add(PEEPHOLES).write_volatile(peephole::TABLE.pa() | TABLE);
            asm!("dsb ishst", options(nostack));
        }
    }

    /// Shows, where partitions stand, what a root entry says.
    ///
    /// # Safety
    ///
    /// Nobody may have the table selected.
    #[cfg(as_reported)]
    pub unsafe fn show(&self, entry: u64) {
        // SAFETY: promised by the caller.
        unsafe { self.0.get().cast::<u64>().write_volatile(entry) };
    }

    /// Makes a new partition: maps the pages, and writes into them what every partition begins as.
    ///
    /// # Safety
    ///
    /// The pages must be zero, and they and the space be used by nothing else. No partition may be selected on this CPU.
    pub unsafe fn build(&self, slot: SlotIndex, pages: &mut Pages) {
        pages.iter_mut().for_each(Page::mark_dirty);
        let Some((table, parts)) = pages.split_first() else { return };
        // SAFETY: the table's page is this partition's, and not in use yet.
        unsafe {
            peephole::with(table.pa(), |entries| {
                for (place, page) in layout::initial().zip(parts) {
                    entries[place] = page.pa() | PAGE_ATTRIBUTES | NON_GLOBAL;
                }
            });
            self.clear();
            self.0.get().cast::<u64>().write_volatile(table.pa() | TABLE);
            asm!("dsb ishst", options(nostack));
        }
        #[cfg(as_reported)]
        let source = crate::as_reported::template::Source::find();
        self.select(slot);
        #[cfg(as_reported)]
        // SAFETY: the struct's pages are mapped there now, writable, and nobody refers to them.
        unsafe {
            source.copy();
        }
        #[cfg(not(as_reported))]
        // SAFETY: the struct's pages are mapped there now, writable, and nobody refers to them.
        unsafe {
            self.partition().cast_mut().write(const { Partition::new() })
        };
        Self::deselect();
    }

    /// Adds the pages from number `from` on to the heap, at page `place` of the range. Returns them.
    ///
    /// # Safety
    ///
    /// The pages must be used by nothing else, and the place must be free.
    pub unsafe fn extend(&self, pages: &mut Pages, from: usize, place: usize) -> Memory {
        pages.iter_mut().skip(from).for_each(Page::mark_dirty);
        let table = &pages[0];
        let added = pages.get(from..).unwrap_or(&[]);
        // SAFETY: the caller holds the slot, so nobody else changes the table; the CPUs that walk it meanwhile find an
        // entry invalid or complete. Invalid entries are not cached: nothing is to be invalidated.
        unsafe {
            peephole::with(table.pa(), |entries| {
                for (entry, page) in entries.iter_mut().skip(place).zip(added) {
                    *entry = page.pa() | PAGE_ATTRIBUTES | NON_GLOBAL;
                }
            });
            asm!("dsb ishst", "isb", options(nostack));
            Memory::new(BASE + place * PAGE_SIZE, added.len() * PAGE_SIZE)
        }
    }

    /// Ends the partition: nothing of it can be reached any more, by any CPU. Its suspended calls are gone with it.
    ///
    /// # Safety
    ///
    /// No CPU may have it selected, and none may select it any more.
    pub unsafe fn tear_down(&self, slot: SlotIndex) {
        // SAFETY: promised by the caller. Every CPU forgets what it cached under this ASID before the pages are used anew.
        unsafe {
            self.0.get().cast::<u64>().write_volatile(0);
            asm!("dsb ishst", "tlbi aside1is, {}", "dsb ish", "isb", in(reg) asid(slot), options(nostack));
        }
    }

    /// Maps the partition on this CPU.
    pub fn select(&self, slot: SlotIndex) {
        TTBR1_EL1.set(self.pa() | asid(slot));
        aarch64_cpu::asm::barrier::isb(aarch64_cpu::asm::barrier::SY);
    }

    /// No partition is mapped on this CPU any more.
    pub fn deselect() {
        TTBR1_EL1.set(NONE.pa());
        aarch64_cpu::asm::barrier::isb(aarch64_cpu::asm::barrier::SY);
    }

    /// Where the partition is: at the same address for every VM.
    pub fn partition(&self) -> *const Partition {
        (BASE + STRUCT * PAGE_SIZE) as *const Partition
    }

    /// The heap's first memory.
    ///
    /// # Safety
    ///
    /// Once for each partition.
    pub unsafe fn heap(&self) -> Memory {
        // SAFETY: `build` mapped it, for this alone.
        unsafe { Memory::new(BASE + HEAP * PAGE_SIZE, HEAP_PAGES * PAGE_SIZE) }
    }
}
