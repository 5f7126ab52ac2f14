//! Root tables of the upper address range, under TTBR1_EL1: one for each partition, and one while none is selected.
//!
//! The range is 32 MiB (TCR_EL1.T1SZ = 39): the walk starts at level 2 with a root of 16 entries. Entry 0 is the
//! partition, entry 15 the peepholes. TCR_EL1.A1 makes the ASID part of TTBR1_EL1, so that one register write selects a
//! partition, without invalidating anything.
//!
//! `aarch64-paging` is not used here: its root tables are whole pages from an allocator and it keeps them mapped, while
//! a partition needs 16 root entries, which live in the VM table, and one table that is mapped only while it is
//! changed.
//!
//! On the host the same code runs on a model of the MMU that caches whatever hardware may cache (`arch::host::mmu`).
#![expect(unsafe_code, reason = "translation tables")]

use super::{Machine, peephole};
use core::cell::UnsafeCell;

/// First address of the range.
pub const BASE: usize = 0xFFFF_FFFF_FE00_0000;
/// A valid entry that points to a table of the next level.
pub(crate) const TABLE: u64 = 0b11;
/// Not global: the entry belongs to the current ASID.
pub(crate) const NON_GLOBAL: u64 = 1 << 11;
/// Root entry of the partition.
const PARTITION: usize = 0;
/// Root entry of the peepholes.
const PEEPHOLES: usize = 15;

/// A root table.
#[repr(C, align(128))]
pub struct Root(UnsafeCell<[u64; 16]>);

// SAFETY: written only by who builds or tears down the partition, when nobody else can reach it.
unsafe impl Sync for Root {}

/// The root table while no partition is selected.
pub static NONE: Root = Root::new();

impl Default for Root {
    fn default() -> Self {
        Self::new()
    }
}

impl Root {
    /// Makes a table that maps nothing.
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; 16]))
    }

    /// Returns TTBR1_EL1 with this root table and no ASID.
    pub fn ttbr1(&self) -> u64 {
        self.0.get() as u64
    }

    /// Writes the table: what stands where partitions do, and the peepholes.
    ///
    /// # Safety
    ///
    /// Nobody may have the table selected.
    pub unsafe fn set(&self, machine: &Machine, partition: u64) {
        let root = self.0.get().cast::<u64>();
        // SAFETY: both entries are in the table; promised by the caller.
        unsafe {
            machine.set_entry(root.add(PEEPHOLES), peephole::TABLE.pa() | TABLE);
            machine.set_entry(root.add(PARTITION), partition);
        }
        machine.dsb_ishst();
    }

    /// Ends the partition: no CPU can reach it any more, or has anything cached of it.
    ///
    /// # Safety
    ///
    /// No CPU may have the table selected, and none may select it any more. The ASID must be the partition's.
    pub unsafe fn clear(&self, machine: &Machine, asid: u64) {
        // Unmapped first, and seen so by all, so that nobody caches again what is then invalidated (Arm ARM D8.16.1).
        // SAFETY: promised by the caller.
        unsafe { machine.set_entry(self.0.get().cast::<u64>().add(PARTITION), 0) };
        machine.dsb_ishst();
        // Every CPU forgets what it cached under this ASID before the pages are used anew.
        machine.tlbi_aside1is(asid);
        machine.dsb_ish();
        machine.isb();
    }

    /// Selects the table on this CPU.
    ///
    /// # Safety
    ///
    /// The ASID must be the partition's, and nobody on this CPU refer to another one.
    #[inline(always)]
    pub unsafe fn select(&self, machine: &Machine, asid: u64) {
        // SAFETY: promised by the caller.
        unsafe { machine.set_ttbr1(self.ttbr1() | asid << 48) };
        machine.isb();
    }

    /// Selects none on this CPU.
    ///
    /// # Safety
    ///
    /// Nobody on this CPU may refer to the partition.
    #[inline(always)]
    pub unsafe fn deselect(machine: &Machine) {
        // SAFETY: promised by the caller.
        unsafe { machine.set_ttbr1(NONE.ttbr1()) };
        machine.isb();
    }
}
