//! EL2's own address space: what it needs, at its physical address, nothing both writable and executable.
//!
//! Built with `aarch64-paging`. Its `IdMap` is not used, as it takes tables from the global allocator, which has no
//! memory yet when the first tables are needed: they come from a fixed pool in the image.

use super::boot::Secondary;
use super::sysreg::{isb, read, write};
use aarch64_paging::descriptor::{El23Attributes, PhysicalAddress};
use aarch64_paging::paging::{Constraints, El2, MemoryRegion, PageTable, RootTable, Translation};
use core::cell::UnsafeCell;
use core::ptr::NonNull;
use shared_abi::layout::Range;

/// Tables of the pool: one root, and for each GiB that isn't mapped as a whole one, for each such 2 MiB another.
const TABLES: usize = 16;
/// 39 bits of address: the root table is one of level 1.
const ROOT_LEVEL: usize = 1;

type Table = PageTable<El23Attributes>;

struct Pool(UnsafeCell<[Table; TABLES]>);

// SAFETY: Only `TableSource` hands out the tables, each once, and `Map::new` makes the only `TableSource`.
unsafe impl Sync for Pool {}

static POOL: Pool = Pool(UnsafeCell::new([const { Table::EMPTY }; TABLES]));

/// Hands out the pool's tables, which are never given back.
struct TableSource {
    used: usize,
}

impl Translation<El23Attributes> for TableSource {
    fn allocate_table(&mut self) -> (NonNull<Table>, PhysicalAddress) {
        assert!(self.used < TABLES, "memory is cut into too many pieces for {TABLES} translation tables");
        // SAFETY: The index is inside the array; the pointer is not null.
        let table = unsafe { NonNull::new_unchecked(POOL.0.get().cast::<Table>().add(self.used)) };
        self.used += 1;
        (table, PhysicalAddress(table.as_ptr() as usize))
    }

    unsafe fn deallocate_table(&mut self, _: NonNull<Table>) {}

    fn physical_to_virtual(&self, pa: PhysicalAddress) -> NonNull<Table> {
        NonNull::new(pa.0 as *mut Table).expect("no table is at 0")
    }
}

/// Device-nGnRE and normal write-back memory, at the indices that the attributes below name.
const MAIR: u64 = 0x04 | 0xFF << 8;

const BASE: El23Attributes = El23Attributes::VALID.union(El23Attributes::ACCESSED).union(El23Attributes::USER_RES1);
const NORMAL: El23Attributes = BASE.union(El23Attributes::ATTRIBUTE_INDEX_1).union(El23Attributes::INNER_SHAREABLE);

/// What a range is for.
#[derive(Clone, Copy)]
pub enum Use {
    /// EL2's instructions.
    Code,
    /// Constants.
    Constants,
    /// Memory.
    Data,
    /// Registers of a device.
    Device,
}

impl Use {
    fn attributes(self) -> El23Attributes {
        match self {
            Self::Code => NORMAL | El23Attributes::READ_ONLY,
            Self::Constants => NORMAL | El23Attributes::READ_ONLY | El23Attributes::XN,
            Self::Data => NORMAL | El23Attributes::XN,
            Self::Device => BASE | El23Attributes::ATTRIBUTE_INDEX_0 | El23Attributes::XN,
        }
    }
}

impl Default for Map {
    fn default() -> Self {
        Self::new()
    }
}

/// The address space.
pub struct Map {
    root: RootTable<El2, TableSource>,
}

impl Map {
    /// An empty one. Once only.
    pub fn new() -> Self {
        Self { root: RootTable::new(TableSource { used: 0 }, ROOT_LEVEL, El2) }
    }

    /// Maps a range at its physical address. Nothing that is mapped changes its use: no break-before-make is needed.
    pub fn add(&mut self, range: Range, r#use: Use) {
        let region = MemoryRegion::new(range.base as usize, range.end() as usize);
        self.root
            .map_range(
                &region,
                PhysicalAddress(range.base as usize),
                r#use.attributes(),
                Constraints::NO_CONTIGUOUS_HINT,
            )
            .expect("the range is in the address space");
        // SAFETY: Makes the new entries visible to the table walker.
        unsafe { core::arch::asm!("dsb ishst", "isb", options(nostack, preserves_flags)) };
    }

    fn registers(&self) -> Secondary {
        let parange = read!("id_aa64mmfr0_el1") & 0xF;
        // 39 bits (T0SZ 25), write-back inner shareable walks, 4 KiB; 6 (52 bits) is beyond 4 KiB pages without LPA2.
        let tcr = 1 << 31 | 1 << 23 | parange.min(5) << 16 | 3 << 12 | 1 << 10 | 1 << 8 | 25;
        // RES1, and M, C, SA, I, WXN.
        let sctlr = 0x30C5_0830 | 1 << 0 | 1 << 2 | 1 << 3 | 1 << 12 | 1 << 19;
        Secondary { ttbr0: self.root.to_physical().0 as u64, tcr, mair: MAIR, sctlr, stack: 0, cpu: 0 }
    }

    /// Switches the MMU and the caches on.
    ///
    /// # Safety
    ///
    /// The code that runs, its stack and its data must be mapped where they are.
    pub unsafe fn enable(&self) {
        let registers = self.registers();
        // SAFETY: As the caller promises, the next instruction and the stack stay where they are.
        unsafe {
            core::arch::asm!(
                "msr ttbr0_el2, {ttbr}",
                "msr tcr_el2, {tcr}",
                "msr mair_el2, {mair}",
                "dsb sy",
                "tlbi alle2",
                "dsb sy",
                "isb",
                "msr sctlr_el2, {sctlr}",
                "isb",
                ttbr = in(reg) registers.ttbr0,
                tcr = in(reg) registers.tcr,
                mair = in(reg) registers.mair,
                sctlr = in(reg) registers.sctlr,
                options(nostack),
            );
        }
    }

    /// What another CPU needs to come into the same address space.
    pub fn secondary(&self, cpu: usize, stack: u64) -> Secondary {
        Secondary { stack, cpu: cpu as u64, ..self.registers() }
    }
}

/// VTCR_EL2 for the tables of [`crate::stage2`]: 39 bits of IPA, 4 KiB, walks start at level 1, write-back.
pub fn vtcr() -> u64 {
    let parange = read!("id_aa64mmfr0_el1") & 0xF;
    1 << 31 | parange.min(5) << 16 | 3 << 12 | 1 << 10 | 1 << 8 | 1 << 6 | 25
}

/// Makes stage 2 of a VM current.
pub fn set_stage2(vttbr: u64) {
    write!("vttbr_el2", vttbr);
    isb();
}

/// Drops whatever is cached of stage 1 and 2 for guests, on all CPUs: before a VMID is used for the first time.
pub fn flush_all_guests() {
    // SAFETY: Guest entries only; they are walked again when needed.
    unsafe { core::arch::asm!("dsb ishst", "tlbi alle1is", "dsb ish", "isb", options(nostack, preserves_flags)) };
}

/// Sets up stage 2 on this CPU.
pub fn init_stage2() {
    write!("vtcr_el2", vtcr());
    write!("vttbr_el2", 0);
}
