// SPDX-License-Identifier: MIT OR Apache-2.0
//! The monitor's own translation: identity, one small set of tables, no memory both writable and executable.

use super::sysreg;
use aarch64_paging::descriptor::{El23Attributes, PhysicalAddress};
use aarch64_paging::paging::{Constraints, El3, MemoryRegion, PageTable, Translation};
use aarch64_paging::{MapError, Mapping};
use core::arch::naked_asm;
use core::cell::UnsafeCell;
use core::ptr::NonNull;
use shared_abi::layout::Range;

/// 39 bits of address, so that the root is a level 1 table: 512 GiB.
const ROOT_LEVEL: usize = 1;
/// Tables there are: the root, two of level 2 (the first two GiB), at most three of level 3, for
/// what does not begin and end at 2 MiB.
const TABLES: usize = 6;

/// MAIR_EL3: 0 is Device-nGnRnE, 1 is normal memory, write-back, allocating.
const MAIR: u64 = 0xFF << 8;
/// TCR_EL3: RES1 bits 31 and 23, 40 bits of physical address, 4 KiB pages, walks cacheable and inner shareable, 39 bits
/// of address.
const TCR: u64 = 1 << 31 | 1 << 23 | 0b010 << 16 | 0b11 << 12 | 0b01 << 10 | 0b01 << 8 | (64 - 39);
/// SCTLR_EL3: as when off, plus MMU, data cache, and "writable means execute-never" (WXN).
const SCTLR_ON: u64 = super::boot_entry::SCTLR_EL3_OFF | 1 << 19 | 1 << 2 | 1;

/// What a range of memory is to the monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The monitor's code, secure.
    Code,
    /// The monitor's constants, secure.
    Constants,
    /// Secure memory.
    Data,
    /// The normal world's memory.
    NormalWorld,
    /// Registers, secure accesses.
    Device,
}

impl Kind {
    fn attributes(self) -> El23Attributes {
        // At EL3 bit 6, AP[1], is RES1; NS picks the physical address space.
        let memory = El23Attributes::VALID
            | El23Attributes::ACCESSED
            | El23Attributes::USER_RES1
            | El23Attributes::INNER_SHAREABLE
            | El23Attributes::ATTRIBUTE_INDEX_1;
        let device = El23Attributes::VALID
            | El23Attributes::ACCESSED
            | El23Attributes::USER_RES1
            | El23Attributes::ATTRIBUTE_INDEX_0;
        match self {
            Self::Code => memory | El23Attributes::READ_ONLY,
            Self::Constants => memory | El23Attributes::READ_ONLY | El23Attributes::XN,
            Self::Data => memory | El23Attributes::XN,
            Self::NormalWorld => memory | El23Attributes::XN | El23Attributes::NS,
            Self::Device => device | El23Attributes::XN,
        }
    }
}

#[repr(C)]
struct Pool(UnsafeCell<[PageTable<El23Attributes>; TABLES]>);

// SAFETY: only `enable`, which the first CPU runs once, writes the tables; afterwards the hardware alone reads them.
unsafe impl Sync for Pool {}

#[unsafe(link_section = ".pages.tables")]
static POOL: Pool = Pool(UnsafeCell::new([PageTable::EMPTY; TABLES]));

/// Hands out the pool's tables in order: the root is the first.
struct Fixed {
    used: usize,
}

impl Translation<El23Attributes> for Fixed {
    fn allocate_table(&mut self) -> (NonNull<PageTable<El23Attributes>>, PhysicalAddress) {
        assert!(self.used < TABLES, "no page table left");
        // SAFETY: in bounds by the assertion, and each table is handed out once.
        let table = unsafe { NonNull::new_unchecked(POOL.0.get().cast::<PageTable<El23Attributes>>().add(self.used)) };
        self.used += 1;
        (table, PhysicalAddress(table.as_ptr().addr()))
    }

    unsafe fn deallocate_table(&mut self, _table: NonNull<PageTable<El23Attributes>>) {
        // Nothing is ever unmapped.
    }

    fn physical_to_virtual(&self, pa: PhysicalAddress) -> NonNull<PageTable<El23Attributes>> {
        NonNull::new(core::ptr::with_exposed_provenance_mut(pa.0)).expect("no table is at address 0")
    }
}

/// Builds the tables for `ranges`, which stand where they are, and for `elsewhere`, virtual ranges of data with the
/// physical address of each; turns MMU and caches on.
///
/// # Safety
///
/// Called once, by the first CPU, with the MMU off. The ranges must cover all that the image uses, and be of the kind
/// they are said to be of.
pub unsafe fn enable(ranges: &[(Range, Kind)], elsewhere: &[(Range, u64)]) -> Result<(), MapError> {
    let mut mapping = Mapping::new(Fixed { used: 0 }, ROOT_LEVEL, El3);
    let identical = ranges.iter().map(|(range, kind)| (range, range.base, *kind));
    let elsewhere = elsewhere.iter().map(|(range, at)| (range, *at, Kind::Data));
    for (range, at, kind) in identical.chain(elsewhere) {
        let region = MemoryRegion::new(range.base as usize, range.end() as usize);
        mapping.map_range(&region, PhysicalAddress(at as usize), kind.attributes(), Constraints::empty())?;
    }
    // `Mapping::activate` writes TTBR0_EL3 alone; the registers beside it belong together with it, so `join` writes
    // all. The tables live as long as the image does.
    core::mem::forget(mapping);
    // SAFETY: the tables are built, and the caller vouches for what they map.
    unsafe { join() };
    Ok(())
}

/// Turns MMU and caches on with the tables that [`enable`] built.
///
/// # Safety
///
/// The tables must be built. A leaf that uses no stack: the caller's return address stays in x30.
#[unsafe(naked)]
pub unsafe extern "C" fn join() {
    naked_asm!(
        "adrp x9, {tables}",
        "add x9, x9, :lo12:{tables}",
        "msr ttbr0_el3, x9",
        "ldr x9, ={mair}",
        "msr mair_el3, x9",
        "ldr x9, ={tcr}",
        "msr tcr_el3, x9",
        "tlbi alle3",
        "dsb sy",
        "isb",
        "ldr x9, ={sctlr}",
        "msr sctlr_el3, x9",
        "isb",
        "ret",
        tables = sym POOL,
        mair = const MAIR,
        tcr = const TCR,
        sctlr = const SCTLR_ON,
    )
}

/// Says where a fault of the monitor itself happened.
pub fn fault_address() -> u64 {
    sysreg::read!("far_el3")
}

/// Switches the MMU off and on again, which on some CPUs is what makes the branch predictor forget
/// ([`crate::world::predictor`]).
pub fn toggle() {
    // SAFETY: translation is the identity, so the instructions are found at the same address without it; they access no
    // memory, and what the caches hold stays there.
    unsafe {
        core::arch::asm!(
            "mrs {on}, sctlr_el3",
            "bic {off}, {on}, #1",
            "msr sctlr_el3, {off}",
            "isb",
            "msr sctlr_el3, {on}",
            "isb",
            on = out(reg) _,
            off = out(reg) _,
            options(nostack, preserves_flags),
        );
    }
}
