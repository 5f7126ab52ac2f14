// SPDX-License-Identifier: MIT OR Apache-2.0
//! What VMs are made of, and what of it is nobody's: memory, the memory of images, VMIDs, places on CPUs.
//!
//! Who has some of it has a value, and gives it back by dropping that. So whoever lets go of a VM gives back all that
//! is the VM's, and a VM of which only half can be made leaves nothing behind.
#![forbid(unsafe_code)]

use crate::address::PAGE_SIZE;
use crate::arch::one_per_machine;
use crate::lock::{self, Lock};
use crate::memory::{FreeMemory, Ram};
use crate::scheduler::{Place, Places};
use alloc::vec::Vec;
use core::mem::replace;
use core::ops::Deref;
use shared_abi::layout::Range;

/// VMs that there can be: a VMID each.
pub const MAX_VMS: usize = 64;

/// What is nobody's.
struct Resources {
    memory: FreeMemory,
    /// Where images may lie, which is no VM's memory, and those that VMs have.
    loadable: FreeMemory,
    images: Vec<Range>,
    /// Bit n: VMID n + 1 is a VM's.
    vmids: u64,
    places: Places,
}

const _: () = assert!(MAX_VMS <= u64::BITS as usize);

one_per_machine! {
    fn resources() -> &'static Lock<Resources, { lock::DEVICES }> = Lock::new(Resources {
        memory: FreeMemory::new(),
        loadable: FreeMemory::new(),
        images: Vec::new(),
        vmids: 0,
        places: Places::none(),
    });
}

/// Supplies this memory, and the CPUs with these numbers. Images that have been loaded, and nothing else, lie in
/// what of `loadable` is not in it. Before anybody asks for some of it.
pub fn supply(memory: FreeMemory, loadable: FreeMemory, cpus: impl IntoIterator<Item = usize>) {
    let mut resources = resources().lock();
    (resources.memory, resources.loadable) = (memory, loadable);
    resources.places = Places::on(cpus);
}

/// Says what is free: the memory, how many VMIDs, how many places.
#[cfg(test)]
pub fn free() -> (Vec<Range>, u32, usize) {
    let resources = resources().lock();
    let mut places = resources.places.clone();
    let places = core::iter::from_fn(|| places.place()).count();
    (resources.memory.ranges().to_vec(), resources.vmids.count_zeros(), places)
}

/// A VM's memory.
pub struct OwnRam(Ram);

impl OwnRam {
    /// Takes so many bytes. What is in them is whatever was left there.
    pub fn take(size: u64) -> Option<Self> {
        let mut resources = resources().lock();
        let ram = resources.memory.take_ram(size)?;
        for extent in ram.extents() {
            resources.loadable.remove(Range::new(extent.pa.0, extent.size));
        }
        Some(Self(ram))
    }

    /// Keeps it for ever: somebody may still use it.
    pub fn keep(&mut self) {
        self.0 = Ram::none();
    }
}

impl Deref for OwnRam {
    type Target = Ram;

    #[inline(always)]
    fn deref(&self) -> &Ram {
        &self.0
    }
}

impl Drop for OwnRam {
    fn drop(&mut self) {
        let mut resources = resources().lock();
        for extent in replace(&mut self.0, Ram::none()).extents() {
            resources.memory.add(Range::new(extent.pa.0, extent.size));
        }
    }
}

/// The memory of an image, which nobody writes to for as long as somebody has it.
pub struct Image(Range);

impl Image {
    /// Takes an image that somebody has loaded there. Others may have the same one.
    pub fn new(range: Range) -> Self {
        resources().lock().images.push(range);
        Self(range)
    }

    /// Says where it is.
    pub fn range(&self) -> Range {
        self.0
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let mut resources = resources().lock();
        let Some(place) = resources.images.iter().position(|image| *image == self.0) else { return };
        resources.images.swap_remove(place);
        // Whole pages of it were nobody else's.
        let start = self.0.base & !(PAGE_SIZE - 1);
        let end = self.0.end().checked_next_multiple_of(PAGE_SIZE).unwrap_or(u64::MAX);
        let mut left = resources.loadable.within(Range::new(start, end - start));
        for image in &resources.images {
            left.remove(*image);
        }
        for range in left.ranges() {
            resources.memory.add(*range);
        }
    }
}

/// A VM's VMID, by which the CPUs tell its translations from others'. The TEE, the console and the configuration know
/// the VM by its id ([`VmId`](shared_abi::client::VmId)), which is another number.
pub struct OwnVmid(u8);

impl OwnVmid {
    /// Takes one that is no other VM's.
    pub fn take() -> Option<Self> {
        let mut resources = resources().lock();
        let free = resources.vmids.trailing_ones();
        if free as usize >= MAX_VMS {
            return None;
        }
        resources.vmids |= 1 << free;
        Some(Self(free as u8 + 1))
    }

    /// Returns its number, which is not 0.
    pub fn number(&self) -> u8 {
        self.0
    }
}

impl Drop for OwnVmid {
    fn drop(&mut self) {
        resources().lock().vmids &= !(1 << (self.0 - 1));
    }
}

/// A place of a vCPU's.
pub struct Seat(Place);

impl Seat {
    /// Takes one on the CPU that has the fewest vCPUs.
    pub fn take() -> Option<Self> {
        resources().lock().places.place().map(Self)
    }
}

impl Deref for Seat {
    type Target = Place;

    #[inline(always)]
    fn deref(&self) -> &Place {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        resources().lock().places.leave(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_go_back_by_whole_pages_and_with_the_last_that_has_them() {
        let all = Range::new(0x4000_0000, 0x10_0000);
        let mut loadable = FreeMemory::new();
        loadable.add(all);
        let mut memory = loadable.clone();
        // A page is of two of them, and one is had twice.
        let ranges = [(0x800, 0x2000), (0x2900, 0x123), (0x5000, 0x10)];
        let ranges = ranges.map(|(start, size)| Range::new(all.base + start, size));
        ranges.iter().for_each(|range| memory.remove(*range));
        // Another one is loaded, and its VM is not there yet.
        memory.remove(Range::new(all.base + 0x8000, 0x1000));
        let before = memory.ranges().to_vec();
        supply(memory, loadable, [0]);
        let [first, second, third] = ranges.map(Image::new);
        let again = Image::new(ranges[2]);
        drop(third);
        assert_eq!(free().0, before);
        drop(again);
        let behind = Range::new(all.base + 0x9000, all.size - 0x9000);
        assert_eq!(free().0, [Range::new(all.base + 0x3000, 0x5000), behind]);
        drop(first);
        assert_eq!(free().0.len(), 3, "the page that the second one begins in is not free");
        drop(second);
        assert_eq!(free().0, [Range::new(all.base, 0x8000), behind]);
    }

    #[test]
    fn what_is_a_vms_memory_is_no_images() {
        let all = Range::new(0x4000_0000, 4 << 20);
        let mut memory = FreeMemory::new();
        memory.add(all);
        supply(memory.clone(), memory, [0]);
        let ram = OwnRam::take(2 << 20).unwrap();
        let left = free().0;
        drop(Image::new(Range::new(ram.extents()[0].pa.0, 2 << 20)));
        assert_eq!(free().0, left);
        drop(ram);
        assert_eq!(free().0, [all]);
    }

    #[test]
    fn memory_that_is_kept_does_not_go_back() {
        let mut memory = FreeMemory::new();
        memory.add(Range::new(0x4000_0000, 4 << 20));
        supply(memory.clone(), memory, [0]);
        let mut ram = OwnRam::take(2 << 20).unwrap();
        let left = free().0;
        ram.keep();
        drop(ram);
        assert_eq!(free().0, left);
    }

    #[test]
    fn each_vm_has_a_vmid_that_is_no_other_vms() {
        let mut vmids: Vec<OwnVmid> = (0..MAX_VMS).map(|_| OwnVmid::take().unwrap()).collect();
        let numbers = vmids.iter().map(|vmid| usize::from(vmid.number()));
        assert!(numbers.eq(1..=MAX_VMS));
        assert!(OwnVmid::take().is_none());
        drop(vmids.swap_remove(6));
        assert_eq!(OwnVmid::take().unwrap().number(), 7);
    }
}
