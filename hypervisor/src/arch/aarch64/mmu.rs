// SPDX-License-Identifier: MIT OR Apache-2.0
//! EL2's own address space: what it needs, at its physical address, nothing both writable and executable.
//!
//! Built with `aarch64-paging`. Its `IdMap` is not used, as it takes tables from the global allocator, which has no
//! memory yet when the first tables are needed: they come from a fixed pool in the image.

use super::boot::Secondary;
use super::sysreg::isb;
use aarch64_cpu::registers::{
    ID_AA64MMFR0_EL1, MAIR_EL2, Readable, SCTLR_EL2, TCR_EL2, VTCR_EL2, VTTBR_EL2, Writeable,
};
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

// SAFETY: only `TableSource` hands out the tables, each once, and `Map::new` makes the only `TableSource`.
unsafe impl Sync for Pool {}

static POOL: Pool = Pool(UnsafeCell::new([const { Table::EMPTY }; TABLES]));

/// Hands out the pool's tables, which are never given back.
struct TableSource {
    used: usize,
}

impl Translation<El23Attributes> for TableSource {
    fn allocate_table(&mut self) -> (NonNull<Table>, PhysicalAddress) {
        assert!(self.used < TABLES, "memory is cut into too many pieces for {TABLES} translation tables");
        // SAFETY: the index is inside the array; the pointer is not null.
        let table = unsafe { NonNull::new_unchecked(POOL.0.get().cast::<Table>().add(self.used)) };
        self.used += 1;
        (table, PhysicalAddress(table.as_ptr() as usize))
    }

    unsafe fn deallocate_table(&mut self, _: NonNull<Table>) {}

    fn physical_to_virtual(&self, pa: PhysicalAddress) -> NonNull<Table> {
        NonNull::new(pa.0 as *mut Table).expect("no table is at 0")
    }
}

/// Returns MAIR_EL2: Device-nGnRE and normal write-back memory, at the indices that the attributes below name.
fn mair() -> u64 {
    use MAIR_EL2::{Attr0_Device, Attr1_Normal_Inner, Attr1_Normal_Outer};
    let device = Attr0_Device::nonGathering_nonReordering_EarlyWriteAck;
    let normal = Attr1_Normal_Outer::WriteBack_NonTransient_ReadWriteAlloc
        + Attr1_Normal_Inner::WriteBack_NonTransient_ReadWriteAlloc;
    (device + normal).value
}

/// Returns TCR_EL2.PS and VTCR_EL2.PS: what the CPU has, but not the 52 bits that 4 KiB pages have no room for.
fn physical_size() -> u64 {
    const BITS_48: u64 = 5;
    ID_AA64MMFR0_EL1.read(ID_AA64MMFR0_EL1::PARange).min(BITS_48)
}

/// T0SZ of 39 bits of address.
const T0SZ: u64 = 64 - 39;

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

/// The address space.
pub struct Map {
    root: RootTable<El2, TableSource>,
}

impl Map {
    /// Makes an empty one. Once only.
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
        // SAFETY: makes the new entries visible to the table walker.
        unsafe { core::arch::asm!("dsb ishst", "isb", options(nostack, preserves_flags)) };
    }

    fn registers(&self) -> Secondary {
        const TCR_RES1: u64 = 1 << 31 | 1 << 23;
        const SCTLR_RES1: u64 = 0x30C5_0830;
        let tcr = TCR_EL2::PS.val(physical_size())
            + TCR_EL2::TG0::KiB_4
            + TCR_EL2::SH0::Inner
            + TCR_EL2::ORGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable
            + TCR_EL2::IRGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable
            + TCR_EL2::T0SZ.val(T0SZ);
        let sctlr = SCTLR_EL2::M::Enable
            + SCTLR_EL2::C::Cacheable
            + SCTLR_EL2::I::Cacheable
            + SCTLR_EL2::SA::Enable
            + SCTLR_EL2::WXN::Enable;
        let (tcr, sctlr) = (TCR_RES1 | tcr.value, SCTLR_RES1 | sctlr.value);
        Secondary { ttbr0: self.root.to_physical().0 as u64, tcr, mair: mair(), sctlr, stack: 0, cpu: 0 }
    }

    /// Switches the MMU and the caches on.
    ///
    /// # Safety
    ///
    /// The code that runs, its stack and its data must be mapped where they are.
    pub unsafe fn enable(&self) {
        let registers = self.registers();
        // SAFETY: as the caller promises, the next instruction and the stack stay where they are.
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

    /// Returns what another CPU needs to come into the same address space.
    pub fn secondary(&self, cpu: usize, stack: u64) -> Secondary {
        Secondary { stack, cpu: cpu as u64, ..self.registers() }
    }
}

/// Makes stage 2 of a VM current.
pub fn set_stage2(vttbr: u64) {
    VTTBR_EL2.set(vttbr);
    isb();
}

/// Drops whatever is cached of stage 1 and 2 under a VMID, on all CPUs. What is current stays so: nobody walks the VM's
/// tables for that.
pub fn flush_guest(vmid: u8) {
    let current = VTTBR_EL2.get();
    set_stage2(u64::from(vmid) << 48 | nothing());
    // SAFETY: entries of this VMID only; they are walked again when needed.
    unsafe { core::arch::asm!("dsb ishst", "tlbi vmalls12e1is", "dsb ish", "isb", options(nostack, preserves_flags)) };
    set_stage2(current);
}

/// Says whether this CPU has a VMID's stage 2 current.
pub fn is_current(vmid: u8) -> bool {
    VTTBR_EL2.get() >> 48 == u64::from(vmid)
}

/// Makes a stage 2 current that maps nothing, of a VMID that no VM has: what this CPU walks from here on, on
/// speculation, is nobody's tables.
pub fn leave_guest() {
    set_stage2(nothing());
}

/// Returns the address of a root table without an entry.
fn nothing() -> u64 {
    #[repr(align(4096))]
    struct Table([u64; 512]);
    static NOTHING: Table = Table([0; 512]);
    NOTHING.0.as_ptr().expose_provenance() as u64
}

/// Drops whatever is cached of stage 1 and 2 for guests, on all CPUs: before a VMID is used for the first time.
pub fn flush_all_guests() {
    // SAFETY: guest entries only; they are walked again when needed.
    unsafe { core::arch::asm!("dsb ishst", "tlbi alle1is", "dsb ish", "isb", options(nostack, preserves_flags)) };
}

/// Sets up stage 2 on this CPU, for the tables of [`crate::stage2`]: 39 bits of IPA, 4 KiB pages, walks that start at
/// level 1 and are cacheable.
pub fn init_stage2() {
    VTCR_EL2.write(
        VTCR_EL2::RES1.val(1)
            + VTCR_EL2::PS.val(physical_size())
            + VTCR_EL2::TG0::Granule4KB
            + VTCR_EL2::SH0::Inner
            + VTCR_EL2::ORGN0::NormalWBRAWA
            + VTCR_EL2::IRGN0::NormalWBRAWA
            + VTCR_EL2::SL0::Granule4KBLevel1
            + VTCR_EL2::T0SZ.val(T0SZ),
    );
    leave_guest();
}
