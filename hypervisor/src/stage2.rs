// SPDX-License-Identifier: MIT OR Apache-2.0
//! A VM's stage 2 translation tables: its RAM and nothing else (Arm ARM D8.2).
//!
//! Built with `aarch64-paging`, in blocks of 1 GiB and 2 MiB wherever addresses allow. They are complete before the VM
//! first runs and don't change after, so no entry ever needs a break-before-make. Devices are emulated: what is not
//! RAM faults.

use crate::arch::mmu;
use crate::memory::Ram;
use crate::resources::OwnVmid;
use aarch64_paging::descriptor::{PhysicalAddress, Stage2Attributes};
use aarch64_paging::paging::{Constraints, MemoryRegion, PageTable, RootTable, Stage2, Translation};
use alloc::alloc::dealloc;
use core::alloc::Layout;
use core::ptr::NonNull;

/// 39 bits of IPA: one root table at level 1, as `VTCR_EL2` says.
const ROOT_LEVEL: usize = 1;
/// The first IPA that the tables can't map.
pub const IPA_LIMIT: u64 = 1 << 39;

type Table = PageTable<Stage2Attributes>;

/// Tables from the hypervisor's heap, which is mapped one to one.
struct Heap;

impl Translation<Stage2Attributes> for Heap {
    fn allocate_table(&mut self) -> (NonNull<Table>, PhysicalAddress) {
        let table = Table::new();
        (table, PhysicalAddress(table.as_ptr().expose_provenance()))
    }

    unsafe fn deallocate_table(&mut self, table: NonNull<Table>) {
        // SAFETY: it was allocated as above, which takes a table's layout from the heap.
        unsafe { dealloc(table.as_ptr().cast(), Layout::new::<Table>()) };
    }

    fn physical_to_virtual(&self, pa: PhysicalAddress) -> NonNull<Table> {
        NonNull::new(core::ptr::with_exposed_provenance_mut(pa.0)).expect("no table is at 0")
    }
}

/// Read-write, executable, write-back, inner shareable.
const RAM: Stage2Attributes = Stage2Attributes::VALID
    .union(Stage2Attributes::ACCESS_FLAG)
    .union(Stage2Attributes::SH_INNER)
    .union(Stage2Attributes::S2AP_ACCESS_RW)
    .union(Stage2Attributes::MEMATTR_NORMAL_INNER_WB)
    .union(Stage2Attributes::MEMATTR_NORMAL_OUTER_WB);

/// The tables of a VM.
pub struct Tables {
    root: RootTable<Stage2, Heap>,
    vmid: OwnVmid,
}

// SAFETY: nobody writes to the tables from when they are made until they are dropped.
unsafe impl Sync for Tables {}
// SAFETY: as above, and the heap they are from is all CPUs'.
unsafe impl Send for Tables {}

impl Tables {
    /// Tables that map `ram`, under this VMID.
    pub fn new(ram: &Ram, vmid: OwnVmid) -> Self {
        let mut root = RootTable::new(Heap, ROOT_LEVEL, Stage2);
        for extent in ram.extents() {
            let region = MemoryRegion::new(extent.ipa.0 as usize, (extent.ipa.0 + extent.size) as usize);
            root.map_range(&region, PhysicalAddress(extent.pa.0 as usize), RAM, Constraints::NO_CONTIGUOUS_HINT)
                .expect("the configuration keeps RAM below IPA_LIMIT");
        }
        Self { root, vmid }
    }

    /// Drops what CPUs have cached of them, and of the guest's own tables.
    pub fn flush(&self) {
        mmu::flush_guest(self.vmid.number());
    }

    /// Returns VTTBR_EL2: the root and the VMID.
    pub fn vttbr(&self) -> u64 {
        u64::from(self.vmid.number()) << 48 | self.root.to_physical().0 as u64
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        // Their memory becomes somebody else's, and the VMID as well.
        assert!(!mmu::is_current(self.vmid.number()), "a CPU may still walk the tables of a VM that is gone");
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{BLOCK, FreeMemory, GIGABYTE, GUEST_RAM};
    use shared_abi::layout::Range;

    /// Leaf entries: IPA, PA and size.
    fn leaves(tables: &Tables) -> Vec<(u64, u64, u64)> {
        let mut found = Vec::new();
        let all = MemoryRegion::new(0, IPA_LIMIT as usize);
        tables
            .root
            .walk_range(&all, &mut |region, descriptor, level| {
                if descriptor.is_valid() {
                    assert!(descriptor.flags().contains(RAM));
                    assert_eq!(region.len() as u64, if level == 1 { GIGABYTE } else { BLOCK });
                    found.push((region.start().0 as u64, descriptor.output_address().0 as u64, region.len() as u64));
                }
                Ok(())
            })
            .unwrap();
        found
    }

    fn ram(size: u64) -> Ram {
        let mut free = FreeMemory::new();
        free.add(Range::new(0x4010_0000, 4 << 30));
        free.take_ram(size).unwrap()
    }

    #[test]
    fn all_of_ram_and_nothing_else_is_mapped_in_blocks() {
        let ram = ram(64 << 20);
        let vmids = [(); 7].map(|()| OwnVmid::take().unwrap());
        let [.., vmid] = vmids;
        let tables = Tables::new(&ram, vmid);
        let leaves = leaves(&tables);
        assert_eq!(leaves.len(), 32);
        for (n, (ipa, pa, _)) in leaves.iter().enumerate() {
            assert_eq!(*ipa, GUEST_RAM.0 + n as u64 * BLOCK);
            assert_eq!(*pa, ram.extents()[0].pa.0 + n as u64 * BLOCK);
        }
        assert_eq!(tables.vttbr() >> 48, 7);
        assert_eq!(tables.vttbr() & 0xFFF, 0);
    }

    #[test]
    fn an_aligned_gigabyte_is_one_entry() {
        let leaves = leaves(&Tables::new(&ram(GIGABYTE + BLOCK), OwnVmid::take().unwrap()));
        assert_eq!(leaves.iter().filter(|leaf| leaf.2 == GIGABYTE).count(), 1);
        assert_eq!(leaves.iter().filter(|leaf| leaf.2 == BLOCK).count(), 1);
    }
}
