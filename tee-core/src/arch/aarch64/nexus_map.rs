// SPDX-License-Identifier: MIT OR Apache-2.0
//! The nexus's address space: the lower range, identity-mapped and global, under TTBR0_EL1.
//!
//! Made with `aarch64-paging`. Image, UART and non-secure RAM stand in it; the page pool doesn't.

use super::cpu::{STACK_GUARD, STACK_STRIDE};
use aarch64_paging::descriptor::{El1Attributes, PhysicalAddress};
use aarch64_paging::paging::{Constraints, El1And0, MemoryRegion, PageTable, RootTable, Translation, VaRange};
use core::cell::UnsafeCell;
use core::ptr::NonNull;
use shared_abi::layout::{DTB, Range};

/// Tables there are: the root, one of level 2 and two of level 3 for the low GiB, and two for each range of RAM that
/// doesn't end on whole GiB.
const TABLES: usize = 20;
/// The walk starts at level 1: 512 GiB (TCR_EL1.T0SZ = 25).
const ROOT_LEVEL: usize = 1;
/// Addresses beyond that are not mapped.
const LIMIT: u64 = 1 << 39;
/// Bytes of a block of level 2.
const BLOCK: u64 = 2 << 20;

#[repr(transparent)]
struct Tables(UnsafeCell<[PageTable<El1Attributes>; TABLES]>);

// SAFETY: given out once each, by the one `Pool` of the boot CPU.
unsafe impl Sync for Tables {}

static POOL: Tables = Tables(UnsafeCell::new([const { PageTable::EMPTY }; TABLES]));

/// Returns the physical address of the root table: the first that is given out.
pub fn root() -> u64 {
    POOL.0.get() as u64
}

struct Pool {
    used: usize,
}

impl Translation<El1Attributes> for Pool {
    fn allocate_table(&mut self) -> (NonNull<PageTable<El1Attributes>>, PhysicalAddress) {
        // At boot, before anybody but the monitor has said anything.
        assert!(self.used < TABLES, "no translation table is left");
        let table = POOL.0.get().cast::<PageTable<El1Attributes>>().wrapping_add(self.used);
        self.used += 1;
        (NonNull::new(table).expect("a static has an address"), PhysicalAddress(table as usize))
    }

    unsafe fn deallocate_table(&mut self, _table: NonNull<PageTable<El1Attributes>>) {
        // Tables live as long as the TEE.
    }

    fn physical_to_virtual(&self, pa: PhysicalAddress) -> NonNull<PageTable<El1Attributes>> {
        NonNull::new(pa.0 as *mut _).expect("tables do not stand at address 0")
    }
}

/// Valid, accessed, at EL1 only, never executed in user mode.
const COMMON: El1Attributes = El1Attributes::VALID.union(El1Attributes::ACCESSED).union(El1Attributes::UXN);
/// Normal memory: index 0 of `boot::MAIR`.
const NORMAL: El1Attributes = COMMON.union(El1Attributes::ATTRIBUTE_INDEX_0).union(El1Attributes::INNER_SHAREABLE);
const CODE: El1Attributes = NORMAL.union(El1Attributes::READ_ONLY);
const CONSTANTS: El1Attributes = NORMAL.union(El1Attributes::READ_ONLY).union(El1Attributes::PXN);
const DATA: El1Attributes = NORMAL.union(El1Attributes::PXN);
/// Device memory: index 1 of `boot::MAIR`.
const DEVICE: El1Attributes = COMMON.union(El1Attributes::ATTRIBUTE_INDEX_1).union(El1Attributes::PXN);
/// The normal world's memory.
const NON_SECURE: El1Attributes = DATA.union(El1Attributes::NS);

unsafe extern "C" {
    static __text_start: u8;
    static __text_end: u8;
    static __rodata_end: u8;
    static __bss_end: u8;
    static __stacks_start: u8;
    static __stacks_end: u8;
    static __image_end: u8;
}

macro_rules! address_of {
    ($symbol:ident) => {
        // Only the symbol's address is used, which the linker script gives it.
        (&raw const $symbol) as usize
    };
}

/// Returns the address after the image: the page pool starts there.
pub fn image_end() -> u64 {
    address_of!(__image_end) as u64
}

/// The map under construction.
pub struct NexusMap(RootTable<El1And0, Pool>);

impl NexusMap {
    /// Maps the image, the UART at `uart`, and the blocks in which the device tree lies. Runs with the MMU off.
    pub fn new(uart: Range, dtb: u64) -> Self {
        let mut map = Self(RootTable::with_va_range(Pool { used: 0 }, ROOT_LEVEL, El1And0, VaRange::Lower));
        map.add(address_of!(__text_start), address_of!(__text_end), CODE);
        map.add(address_of!(__text_end), address_of!(__rodata_end), CONSTANTS);
        map.add(address_of!(__rodata_end), address_of!(__bss_end), DATA);
        for stack in (address_of!(__stacks_start)..address_of!(__stacks_end)).step_by(STACK_STRIDE) {
            map.add(stack + STACK_GUARD, stack + STACK_STRIDE, DATA);
        }
        map.add(uart.base as usize, uart.end() as usize, DEVICE);
        let tree = tree_blocks(dtb);
        map.add(tree.base as usize, tree.end() as usize, NON_SECURE);
        map
    }

    /// Adds a range of non-secure RAM, except for the blocks that already are mapped for the device tree. Nothing that
    /// is mapped changes, so this may be done while the map is in use. False if the range cannot be mapped.
    pub fn add_ns_ram(&mut self, range: Range, dtb: u64) -> bool {
        if range.end() > LIMIT || (range.base | range.size) & 0xFFF != 0 {
            return false;
        }
        let tree = tree_blocks(dtb);
        let (before, after) = if tree.overlaps(&range) {
            ((range.base, tree.base.max(range.base)), (tree.end().min(range.end()), range.end()))
        } else {
            ((range.base, range.end()), (0, 0))
        };
        for (from, to) in [before, after] {
            self.add(from as usize, to as usize, NON_SECURE);
        }
        // SAFETY: makes the new entries visible to the walks that follow.
        unsafe { core::arch::asm!("dsb ishst", "isb", options(nostack)) };
        true
    }

    fn add(&mut self, from: usize, to: usize, attributes: El1Attributes) {
        if from < to {
            let region = MemoryRegion::new(from, to);
            let constraints = Constraints::NO_CONTIGUOUS_HINT;
            self.0
                .map_range(&region, PhysicalAddress(from), attributes, constraints)
                .expect("the ranges were checked against what the table covers");
        }
    }

    /// Completes the map; its tables stay.
    pub fn keep(self) {
        core::mem::forget(self);
    }
}

/// Returns the whole blocks that hold the device tree, which has at most 1 MiB; none if there is no tree.
fn tree_blocks(dtb: u64) -> Range {
    if dtb == 0 || dtb > LIMIT - 2 * BLOCK {
        return Range::new(0, 0);
    }
    let base = dtb & !(BLOCK - 1);
    Range::new(base, (dtb + DTB.size).next_multiple_of(BLOCK) - base)
}
