// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a partition's data begins as: a pristine image of it, and how the report's TEE finds it.
//!
//! While no partition is current its address shows the image, read-only, as that TEE's default map does. A new
//! partition's data is copied from the memory that stands at that address *now*.
#![expect(unsafe_code, reason = "translation tables, and memory that is reached by its physical address")]

use crate::arch::Machine;
use crate::arch::tables::{NON_GLOBAL, PAGE_ATTRIBUTES, TABLE};
use crate::memory::pages::PAGE_SIZE;
use crate::nexus::peephole;
use crate::partition::Partition;
use crate::partition::layout::{ADDRESS, STRUCT};
use core::cell::UnsafeCell;

/// Pages of a VM's data, which stands at [`ADDRESS`]: the report's `__data_start`.
const PAGES: usize = size_of::<Partition<'_>>().div_ceil(PAGE_SIZE);

/// The image, in whole pages.
#[repr(C, align(4096))]
struct Template(Partition<'static>);

// SAFETY: nobody writes to it.
unsafe impl Sync for Template {}

/// In the read-only part of the TEE's image (ld/tee.ld).
#[unsafe(link_section = ".partition_template")]
// SAFETY: it is no partition, and nobody takes it for one.
static TEMPLATE: Template = Template(unsafe { Partition::new() });

/// A translation table of level 3.
#[repr(C, align(4096))]
struct Table(UnsafeCell<[u64; 512]>);

// SAFETY: written once, by the boot CPU.
unsafe impl Sync for Table {}

/// Shows the template where partitions stand.
static MAP: Table = Table(UnsafeCell::new([0; 512]));

/// Read-only: AP bit 2.
const READ_ONLY: u64 = 1 << 7;

/// Makes the root entry that shows the template where partitions stand.
///
/// # Safety
///
/// Once, on the boot CPU.
pub unsafe fn nothing() -> u64 {
    let entries = MAP.0.get().cast::<u64>();
    for (page, place) in (STRUCT..STRUCT + PAGES).enumerate() {
        let pa = (&raw const TEMPLATE) as u64 + (page * PAGE_SIZE) as u64;
        // SAFETY: the place is in the table, which nobody uses yet.
        unsafe { entries.add(place).write_volatile(pa | PAGE_ATTRIBUTES | READ_ONLY | NON_GLOBAL) };
    }
    entries as u64 | TABLE
}

/// Prepares nothing: the image is there.
pub fn prepare() {}

/// The memory that a new partition's data is copied from.
pub struct Pristine([u64; PAGES]);

impl Pristine {
    /// Finds it through whatever mapping is current: the pristine image if none is, and else the data of the VM for
    /// which the call was made. The mistake.
    #[cfg(not(feature = "pristine-template"))]
    pub fn find() -> Self {
        Self(core::array::from_fn(|page| virt_to_phys(ADDRESS + page * PAGE_SIZE)))
    }

    /// Finds the pristine image, whatever is mapped.
    #[cfg(feature = "pristine-template")]
    pub fn find() -> Self {
        Self(core::array::from_fn(|page| (&raw const TEMPLATE) as u64 + (page * PAGE_SIZE) as u64))
    }

    /// Copies it to the partition that is current.
    ///
    /// # Safety
    ///
    /// The partition must be a new one that nobody uses yet.
    pub unsafe fn write(self, machine: &Machine, _partition: *mut Partition<'_>) {
        for (page, pa) in self.0.into_iter().enumerate() {
            let to = (ADDRESS + page * PAGE_SIZE) as *mut [u64; PAGE_SIZE / 8];
            // SAFETY: the new partition is mapped there for writing. The source is the TEE's own memory; whose data it
            // holds is what nobody asks.
            unsafe { peephole::with(machine, pa, |from| to.write(*from)) };
        }
    }
}

/// Asks the MMU which physical address an address is mapped to now (Arm ARM C5.5.6, D24.2.144).
#[cfg(not(feature = "pristine-template"))]
fn virt_to_phys(va: usize) -> u64 {
    let par: u64;
    // SAFETY: asks the MMU, and changes PAR_EL1 alone.
    unsafe { core::arch::asm!("at s1e1r, {}", "isb", "mrs {}, par_el1", in(reg) va, out(reg) par, options(nostack)) };
    assert!(par & 1 == 0, "nothing is mapped where partitions stand");
    par & 0xFFFF_FFFF_F000
}
