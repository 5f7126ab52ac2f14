// SPDX-License-Identifier: MIT OR Apache-2.0
//! Translation tables of the upper address range, under TTBR1_EL1: their form, and those that stand for good.
//!
//! The range is 32 MiB (TCR_EL1.T1SZ = 39): the walk starts at level 2 with a root of 16 entries. Entry 0 is the
//! partition, entry 15 the peepholes. What is done with them is in `nexus::{space, peephole}`.

use core::cell::UnsafeCell;

/// First address of the range.
pub const BASE: usize = 0xFFFF_FFFF_FE00_0000;
/// Address of CPU 0's peephole: the last 2 MiB.
pub const PEEPHOLES: usize = 0xFFFF_FFFF_FFE0_0000;
/// A valid entry that points to a table of the next level.
pub const TABLE: u64 = 0b11;
/// Not global: the entry belongs to the current ASID.
pub const NON_GLOBAL: u64 = 1 << 11;
/// Valid, a page, secure, normal memory (MAIR 0), read-write at EL1 only, inner shareable, accessed, never executable.
pub const PAGE_ATTRIBUTES: u64 = 0b11 | (3 << 8) | (1 << 10) | (1 << 53) | (1 << 54);

/// A root table.
#[repr(C, align(128))]
pub struct Root(UnsafeCell<[u64; 16]>);

// SAFETY: a safe function gives addresses of entries only. Who writes them says why nobody else does.
unsafe impl Sync for Root {}

/// The root table while no partition is selected.
pub static NONE: Root = Root::new();

impl Root {
    /// Makes a table that maps nothing.
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; 16]))
    }

    /// Returns TTBR1_EL1 with this root table and no ASID.
    #[inline(always)]
    pub fn ttbr1(&self) -> u64 {
        self.0.get() as u64
    }

    /// Returns where the entry is that leads to the partition.
    #[inline(always)]
    pub fn partition(&self) -> *mut u64 {
        self.0.get().cast()
    }

    /// Returns where the entry is that leads to the peepholes.
    #[inline(always)]
    pub fn peepholes(&self) -> *mut u64 {
        self.partition().wrapping_add(15)
    }
}

/// A table of level 3.
#[repr(C, align(4096))]
pub struct Leaves(UnsafeCell<[u64; 512]>);

// SAFETY: as above.
unsafe impl Sync for Leaves {}

/// The table of all peepholes: CPU n's is entry n.
pub static PEEPHOLE_TABLE: Leaves = Leaves::new();

impl Leaves {
    /// Makes a table that maps nothing.
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; 512]))
    }

    /// Returns the physical address.
    #[inline(always)]
    pub fn pa(&self) -> u64 {
        self.0.get() as u64
    }

    /// Returns where entry `n` is.
    #[inline(always)]
    pub fn entry(&self, n: usize) -> *mut u64 {
        self.0.get().cast::<u64>().wrapping_add(n % 512)
    }
}
