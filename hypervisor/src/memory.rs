// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine's memory: what is free, and what of it is a VM's RAM.
//!
//! A VM's RAM is made of few, large extents of whole 2 MiB blocks, because that is what stage 2 maps at once. A buddy
//! system would round each VM up to a power of two; so RAM is cut from the free ranges directly, and
//! `buddy_system_allocator` serves the hypervisor's own heap, whose allocations are small.
#![forbid(unsafe_code)]

use crate::address::{Ipa, PAGE_SIZE, Pa};
use core::sync::atomic::AtomicU64;
use heapless::Vec;
use shared_abi::layout::Range;

/// What stage 2 maps as one entry of level 2.
pub const BLOCK: u64 = 2 << 20;
/// What stage 2 maps as one entry of level 1.
pub const GIGABYTE: u64 = 1 << 30;
/// Where every VM's RAM begins: as in QEMU's `virt`.
pub const GUEST_RAM: Ipa = Ipa(0x4000_0000);

/// Free ranges that are kept apart, and extents that a VM can have.
const MAX_RANGES: usize = 64;
const MAX_EXTENTS: usize = 16;

/// The free memory, in ranges by address.
#[derive(Clone, Default)]
pub struct FreeMemory {
    ranges: Vec<Range, MAX_RANGES>,
}

impl FreeMemory {
    /// Makes one of no memory.
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// Adds a range that is memory, and joins it to those beside it. What does not fit the table is not used.
    pub fn add(&mut self, mut range: Range) {
        if range.size == 0 {
            return;
        }
        let touches = |range: Range| move |other: &Range| range.base <= other.end() && other.base <= range.end();
        while let Some(place) = self.ranges.iter().position(touches(range)) {
            let other = self.ranges.remove(place);
            let base = range.base.min(other.base);
            range = Range::new(base, range.end().max(other.end()) - base);
        }
        let _ = self.ranges.push(range);
        self.ranges.sort_unstable_by_key(|range| range.base);
    }

    /// Returns what of a range is in here.
    pub fn within(&self, range: Range) -> Self {
        let mut within = Self::new();
        for own in &self.ranges {
            let (base, end) = (own.base.max(range.base), own.end().min(range.end()));
            within.add(Range::new(base, end.saturating_sub(base)));
        }
        within
    }

    /// Takes out a range that somebody else uses, whole pages of it.
    pub fn remove(&mut self, used: Range) {
        if used.size == 0 {
            return;
        }
        let base = used.base & !(PAGE_SIZE - 1);
        let end = used.end().checked_next_multiple_of(PAGE_SIZE).unwrap_or(u64::MAX);
        let mut left = Self::new();
        for range in &self.ranges {
            let below = Range::new(range.base, base.clamp(range.base, range.end()) - range.base);
            let above_base = end.clamp(range.base, range.end());
            left.add(below);
            left.add(Range::new(above_base, range.end() - above_base));
        }
        *self = left;
    }

    /// Returns the ranges.
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Takes `size` bytes in one piece, aligned to `align`, from the smallest range that has them.
    pub fn take(&mut self, size: u64, align: u64) -> Option<Range> {
        let fits = |range: &Range| {
            let base = range.base.checked_next_multiple_of(align)?;
            range.holds(base, size).then_some(Range::new(base, size))
        };
        let best = self.ranges.iter().filter(|range| fits(range).is_some()).min_by_key(|range| range.size)?;
        let taken = fits(best)?;
        self.remove(taken);
        Some(taken)
    }

    /// Takes RAM for a VM: `size` bytes, a multiple of [`BLOCK`].
    ///
    /// A VM of a GiB or more gets whole GiB first, aligned so that each is one entry of stage 2, and what is left in as
    /// few pieces as possible. `None`, and nothing taken, if there is too little, or only in crumbs.
    pub fn take_ram(&mut self, size: u64) -> Option<Ram> {
        let before = self.clone();
        let ram = self.take_extents(size);
        if ram.is_none() {
            *self = before;
        }
        ram
    }

    /// Takes memory for a VM; if there is not enough, what was taken is lost.
    fn take_extents(&mut self, size: u64) -> Option<Ram> {
        let mut ram = Ram::none();
        let mut left = size;
        while left >= GIGABYTE {
            let Some(range) = self.take(GIGABYTE, GIGABYTE) else { break };
            ram.push(range)?;
            left -= GIGABYTE;
        }
        while left != 0 {
            // All of it from the smallest range that has it, else the largest range's all.
            let range = self.take(left, BLOCK).or_else(|| {
                let largest = self.largest_blocks()?;
                self.take(largest.min(left), BLOCK)
            })?;
            ram.push(range)?;
            left -= range.size;
        }
        Some(ram)
    }

    /// Returns the bytes of whole blocks in the range that has most.
    fn largest_blocks(&self) -> Option<u64> {
        let blocks = |range: &Range| {
            let base = range.base.next_multiple_of(BLOCK);
            range.end().saturating_sub(base) & !(BLOCK - 1)
        };
        self.ranges.iter().map(blocks).max().filter(|size| *size != 0)
    }
}

/// A piece of a VM's RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where the guest has it.
    pub ipa: Ipa,
    /// Where it is.
    pub pa: Pa,
    /// Bytes, a multiple of [`BLOCK`].
    pub size: u64,
}

/// A VM's RAM, from [`GUEST_RAM`] on without a gap.
#[derive(Clone, Debug)]
pub struct Ram {
    extents: Vec<Extent, MAX_EXTENTS>,
}

impl Ram {
    /// Makes one of no memory.
    pub const fn none() -> Self {
        Self { extents: Vec::new() }
    }

    fn push(&mut self, range: Range) -> Option<()> {
        let ipa = Ipa(GUEST_RAM.0 + self.size());
        self.extents.push(Extent { ipa, pa: Pa(range.base), size: range.size }).ok()
    }

    /// Returns the pieces, by IPA.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Returns its bytes in all.
    pub fn size(&self) -> u64 {
        self.extents.iter().map(|extent| extent.size).sum()
    }

    /// Says where the byte at `ipa` is and how many follow it there without a break; `None` if it is not RAM of this
    /// VM.
    #[inline]
    pub fn translate(&self, ipa: Ipa) -> Option<(Pa, u64)> {
        self.extents.iter().find_map(|extent| {
            let offset = ipa.0.checked_sub(extent.ipa.0)?;
            (offset < extent.size).then(|| (Pa(extent.pa.0 + offset), extent.size - offset))
        })
    }

    /// Returns the pieces of `[ipa, ipa + size)`: where each is, and its size. `None` if not all of it is RAM of this
    /// VM.
    pub fn pieces(&self, ipa: Ipa, size: u64) -> Option<impl Iterator<Item = (Pa, u64)> + '_> {
        if size > self.size() || ipa < GUEST_RAM || ipa.0 - GUEST_RAM.0 > self.size() - size {
            return None;
        }
        let (mut ipa, mut left) = (ipa, size);
        Some(core::iter::from_fn(move || {
            let (pa, run) = self.translate(ipa).filter(|_| left != 0)?;
            let size = run.min(left);
            ipa = Ipa(ipa.0 + size);
            left -= size;
            Some((pa, size))
        }))
    }
}

/// A VM's memory, as its stage 2 has it.
///
/// What these functions accept must stay the VM's for as long as the VM exists: the TEE is told of pages that were
/// accepted once, and is only stopped from using them by `VM_DESTROYED`.
pub trait GuestMemory {
    /// Says where the page at `ipa` (a multiple of 4 KiB) lies, if it is RAM of this VM that the guest may read and
    /// write.
    fn page(&self, ipa: Ipa) -> Option<Pa>;

    /// Says where the VM sees a page of its own, for the trace. `None` if that is not known.
    fn ipa(&self, _page: Pa) -> Option<Ipa> {
        None
    }

    /// Returns `count` words from `ipa` on, if all of them are such RAM and `ipa` is a multiple of 8. Nobody asks for
    /// more than a page of words, nor across a page's end. The guest's own CPUs may change the words at any time, hence
    /// atomics.
    fn words(&self, ipa: Ipa, count: usize) -> Option<&[AtomicU64]>;
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn machine() -> FreeMemory {
        let mut free = FreeMemory::new();
        free.add(Range::new(0x4000_0000, 2048 * MIB));
        free
    }

    #[test]
    fn what_others_use_is_taken_out_in_whole_pages() {
        let mut free = machine();
        free.remove(Range::new(0x6000_0010, 0x1000));
        free.remove(Range::new(0x4000_0000, MIB));
        free.remove(Range::new(0, 0x1000));
        assert_eq!(
            free.ranges(),
            [Range::new(0x4010_0000, 0x6000_0000 - 0x4010_0000), Range::new(0x6000_2000, 0xC000_0000 - 0x6000_2000),]
        );
    }

    #[test]
    fn ram_is_made_of_whole_blocks_and_counted_from_the_guests_base() {
        let mut free = machine();
        free.remove(Range::new(0x4000_0000, MIB));
        let ram = free.take_ram(256 * MIB).unwrap();
        assert_eq!(ram.extents(), [Extent { ipa: GUEST_RAM, pa: Pa(0x4020_0000), size: 256 * MIB }]);
        assert_eq!(ram.translate(Ipa(0x4000_1234)), Some((Pa(0x4020_1234), 256 * MIB - 0x1234)));
        assert_eq!(ram.translate(Ipa(0x5000_0000)), None);
        assert_eq!(ram.translate(Ipa(0x3FFF_FFFF)), None);
    }

    #[test]
    fn memory_in_more_pieces_than_a_vm_may_have_is_not_taken() {
        let mut free = FreeMemory::new();
        for gigabyte in 0..=MAX_EXTENTS as u64 {
            free.add(Range::new((1 + 2 * gigabyte) * GIGABYTE, GIGABYTE));
        }
        let before = free.ranges().to_vec();
        assert!(free.take_ram((MAX_EXTENTS as u64 + 1) * GIGABYTE).is_none());
        assert_eq!(free.ranges(), before);
    }

    #[test]
    fn a_large_vm_gets_aligned_gigabytes() {
        let mut free = machine();
        free.remove(Range::new(0x4000_0000, MIB));
        let ram = free.take_ram(1536 * MIB).unwrap();
        assert_eq!(ram.extents()[0].pa, Pa(0x8000_0000));
        assert_eq!(ram.size(), 1536 * MIB);
    }

    #[test]
    fn ram_is_put_together_when_no_single_range_is_large_enough() {
        let mut free = machine();
        free.remove(Range::new(0x6000_0000, 0x1000));
        free.remove(Range::new(0x8000_0000, 0x1000));
        free.remove(Range::new(0xA000_0000, 0x1000));
        let ram = free.take_ram(1000 * MIB).unwrap();
        assert!(ram.extents().len() > 1);
        assert_eq!(ram.size(), 1000 * MIB);
        let pieces: std::vec::Vec<_> = ram.pieces(Ipa(0x4000_0000), ram.size()).unwrap().collect();
        assert_eq!(pieces.iter().map(|piece| piece.1).sum::<u64>(), ram.size());
        assert!(ram.pieces(Ipa(0x4000_0001), ram.size()).is_none());
        assert!(ram.pieces(Ipa(u64::MAX), 2).is_none());
    }

    #[test]
    fn a_part_is_in_the_pieces_that_it_touches_and_has_no_byte_more() {
        let mut free = FreeMemory::new();
        free.add(Range::new(0x8000_0000, 64 * MIB));
        free.add(Range::new(0x4000_0000, 64 * MIB));
        let ram = free.take_ram(96 * MIB).unwrap();
        let end = 0x4600_0000;
        for (ipa, size, pieces) in [
            (0x4000_0000, 96 * MIB, &[(0x4000_0000, 64 * MIB), (0x8000_0000, 32 * MIB)][..]),
            (0x4000_1000, 0x2000, &[(0x4000_1000, 0x2000)]),
            (0x43FF_F000, 0x3000, &[(0x43FF_F000, 0x1000), (0x8000_0000, 0x2000)]),
            (end - 0x1000, 0x1000, &[(0x81FF_F000, 0x1000)]),
            (end, 0, &[]),
        ] {
            let found: std::vec::Vec<_> = ram.pieces(Ipa(ipa), size).unwrap().map(|(pa, size)| (pa.0, size)).collect();
            assert_eq!(found, pieces, "{ipa:#x}");
        }
        for (ipa, size) in [(end, 1), (end - 0xFFF, 0x1000), (0x3FFF_FFFF, 1), (0x4000_0000, 96 * MIB + 1)] {
            assert!(ram.pieces(Ipa(ipa), size).is_none(), "{ipa:#x}");
        }
        assert_eq!(ram.translate(Ipa(0x43FF_FFFF)), Some((Pa(0x43FF_FFFF), 1)));
        assert_eq!(ram.translate(Ipa(0x4400_0000)), Some((Pa(0x8000_0000), 32 * MIB)));
        assert_eq!(ram.translate(Ipa(end)), None);
    }

    #[test]
    fn the_smallest_range_that_is_large_enough_is_cut() {
        let mut free = FreeMemory::new();
        for (base, size) in [(0x4000_0000, 64 * MIB), (0x5000_0000, 32 * MIB), (0x6000_0000, 16 * MIB)] {
            free.add(Range::new(base, size));
        }
        assert_eq!(free.take(32 * MIB, BLOCK), Some(Range::new(0x5000_0000, 32 * MIB)));
        assert_eq!(free.take(32 * MIB, BLOCK), Some(Range::new(0x4000_0000, 32 * MIB)));
        assert_eq!(free.take(0x1000, 0x1000), Some(Range::new(0x6000_0000, 0x1000)));
        // What is left of it begins in the middle of a block.
        assert_eq!(free.take_ram(46 * MIB).unwrap().extents().len(), 2);
        assert!(free.take_ram(BLOCK).is_none());
    }

    #[test]
    fn a_gigabyte_is_aligned() {
        let mut free = FreeMemory::new();
        free.add(Range::new(0x4020_0000, 2 * GIGABYTE));
        assert_eq!(free.take_ram(GIGABYTE).unwrap().extents()[0].pa, Pa(0x8000_0000));
    }

    #[test]
    fn nothing_is_taken_when_there_is_too_little() {
        let mut free = machine();
        assert!(free.take_ram(4096 * MIB).is_none());
        assert_eq!(free.ranges(), [Range::new(0x4000_0000, 2048 * MIB)]);
    }

    #[test]
    fn no_byte_belongs_to_two_vms() {
        let mut free = machine();
        free.remove(Range::new(0x6000_0000, 64 * MIB));
        let rams: std::vec::Vec<Ram> = (0..6).map(|_| free.take_ram(300 * MIB).unwrap()).collect();
        let extents: std::vec::Vec<Extent> = rams.iter().flat_map(|ram| ram.extents().to_vec()).collect();
        for (n, a) in extents.iter().enumerate() {
            for b in &extents[n + 1..] {
                assert!(!Range::new(a.pa.0, a.size).overlaps(&Range::new(b.pa.0, b.size)));
            }
        }
    }
}
