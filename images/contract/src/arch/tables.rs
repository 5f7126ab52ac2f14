// SPDX-License-Identifier: MIT OR Apache-2.0
//! Translation: one to one by blocks of 1 GiB, devices below, RAM from 0x4000_0000, and a *window* of pages that checks
//! give whatever attributes they need.

use core::arch::asm;
use core::cell::UnsafeCell;

/// Entries of a table.
const ENTRIES: usize = 512;
/// A block or, at the last level, a page: valid (Arm ARM D8.3.1).
const BLOCK: u64 = 0b01;
const TABLE_OR_PAGE: u64 = 0b11;

/// Attributes of a page, beside its address (Arm ARM D8.3.1).
pub mod attribute {
    /// Index in MAIR: Device-nGnRE.
    pub const DEVICE: u64 = 0;
    /// Normal, write-back.
    pub const NORMAL: u64 = 1 << 2;
    /// Normal, not cacheable.
    pub const UNCACHED: u64 = 2 << 2;
    /// EL0 too (AP\[1\]).
    pub const EL0: u64 = 1 << 6;
    /// AP\[2\].
    pub const READ_ONLY: u64 = 1 << 7;
    /// SH.
    pub const INNER_SHAREABLE: u64 = 0b11 << 8;
    /// AF.
    pub const ACCESSED: u64 = 1 << 10;
    /// PXN.
    pub const NEVER_BY_EL1: u64 = 1 << 53;
    /// UXN.
    pub const NEVER_BY_EL0: u64 = 1 << 54;
    /// Guarded (FEAT_BTI).
    pub const GUARDED: u64 = 1 << 50;
    /// An ordinary page of memory.
    pub const MEMORY: u64 = NORMAL | INNER_SHAREABLE | ACCESSED;
}

/// MAIR_EL1: Device-nGnRE, Normal write-back, Normal not cacheable.
pub const MAIR: u64 = 0x44_FF04;
/// TCR_EL1: 39 bits of address by TTBR0 in 4 KiB granules, tables cacheable and inner shareable; nothing by TTBR1; 40
/// bits of physical address.
pub const TCR: u64 = 25 | (0b01 << 8) | (0b01 << 10) | (0b11 << 12) | (1 << 23) | (0b010 << 32);
/// SCTLR_EL1: MMU (M), data and instruction caches (C, I), stack alignment (SA), what Armv8.0 reserves as 1, and PAN
/// left alone (SPAN).
pub const SCTLR: u64 = 0x30D0_0800 | 1 | (1 << 2) | (1 << 3) | (1 << 12);

/// A translation table.
#[repr(C, align(4096))]
pub struct Table(UnsafeCell<[u64; ENTRIES]>);

// SAFETY: only `set` writes entries, by single stores, and the MMU reads them.
unsafe impl Sync for Table {}

/// Level 1.
pub static FIRST_TABLE: Table = {
    let mut entries = [0; ENTRIES];
    entries[0] = BLOCK | attribute::DEVICE | attribute::ACCESSED | attribute::NEVER_BY_EL1 | attribute::NEVER_BY_EL0;
    entries[1] = 0x4000_0000 | BLOCK | attribute::MEMORY | attribute::NEVER_BY_EL0;
    Table(UnsafeCell::new(entries))
};
/// The first table for an MMU that reads its tables the other way round (SCTLR_EL1.EE), without the window.
pub static FIRST_TABLE_BIG: Table = {
    let mut entries = [0; ENTRIES];
    let device = BLOCK | attribute::DEVICE | attribute::ACCESSED | attribute::NEVER_BY_EL1 | attribute::NEVER_BY_EL0;
    entries[0] = u64::swap_bytes(device);
    entries[1] = u64::swap_bytes(0x4000_0000 | BLOCK | attribute::MEMORY | attribute::NEVER_BY_EL0);
    Table(UnsafeCell::new(entries))
};
static WINDOW_2: Table = Table(UnsafeCell::new([0; ENTRIES]));
static WINDOW_3: Table = Table(UnsafeCell::new([0; ENTRIES]));

/// Where the window's first page is.
pub const WINDOW: u64 = 0x8000_0000;
/// Pages of the window.
pub const WINDOW_PAGES: usize = ENTRIES;

impl Table {
    /// Says where it is.
    pub fn address(&self) -> u64 {
        self.0.get().expose_provenance() as u64
    }

    fn set(&self, index: usize, entry: u64) {
        let entries = self.0.get().cast::<u64>();
        assert!(index < ENTRIES);
        // SAFETY: within the table; nothing but the MMU reads it meanwhile, for which it is one whole word.
        unsafe { entries.add(index).write_volatile(entry) };
        // SAFETY: the barriers and the invalidation make the walker see it.
        unsafe { asm!("dsb ish", "tlbi vmalle1is", "dsb ish", "isb", options(nostack, preserves_flags)) };
    }
}

/// Puts a page into the window, and says its address. What is there is a second view of `physical`: of a device, or of
/// memory that checks touch by instructions of their own only.
pub fn map(page: usize, physical: u64, attributes: u64) -> u64 {
    raw(page, physical & !0xFFF | attributes | TABLE_OR_PAGE)
}

/// Takes it out again.
pub fn unmap(page: usize) -> u64 {
    raw(page, 0)
}

/// Writes the entry of a page of the window.
pub fn raw(page: usize, entry: u64) -> u64 {
    FIRST_TABLE.set(2, WINDOW_2.address() | TABLE_OR_PAGE);
    WINDOW_2.set(0, WINDOW_3.address() | TABLE_OR_PAGE);
    WINDOW_3.set(page, entry);
    WINDOW + page as u64 * 4096
}

/// Writes an entry of the level above, which covers 2 MiB of addresses from the window's end on.
pub fn raw_second(index: usize, entry: u64) -> u64 {
    assert!(index != 0);
    FIRST_TABLE.set(2, WINDOW_2.address() | TABLE_OR_PAGE);
    WINDOW_2.set(index, entry);
    WINDOW + ((index as u64) << 21)
}

/// Writes an entry of the first level, which covers 1 GiB, above everything that is mapped.
pub fn raw_first(index: usize, entry: u64) -> u64 {
    assert!(index > 2);
    FIRST_TABLE.set(index, entry);
    (index as u64) << 30
}
