// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which physical addresses are non-secure RAM: all that the TEE ever reads or writes for the normal world.

use firmware_support::board::BOARD;
use heapless::Vec;
use shared_abi::layout::{self, Range};

/// Ranges of RAM a machine may have.
const MAX_RANGES: usize = 8;

/// Bytes of non-secure RAM, checked: values of this type come from [`NsRam::claim`] only. Whose they are in the normal
/// world the TEE cannot know (docs/trust.md), and anybody there may change them at any time.
///
/// ```compile_fail,E0133
/// # use tee_core::memory::ns_ram::AllegedRam;
/// fn invent(mut ram: AllegedRam, device: shared_abi::layout::Range) {
///     ram.add(device).unwrap();
///     ram.believe().claim(device.base, 4);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NsRange {
    pa: u64,
    len: usize,
}

impl NsRange {
    /// Returns the physical address of the first byte.
    pub const fn pa(&self) -> u64 {
        self.pa
    }

    /// Counts the bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Says whether there are no bytes.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Gives `len` of its bytes from offset `at`, if it has them.
    pub const fn part(&self, at: usize, len: usize) -> Option<Self> {
        match at.checked_add(len) {
            Some(end) if end <= self.len => Some(Self { pa: self.pa + at as u64, len }),
            _ => None,
        }
    }
}

/// What is said to be non-secure RAM.
#[derive(Debug, Default)]
pub struct AllegedRam {
    ranges: Vec<Range, MAX_RANGES>,
}

impl AllegedRam {
    /// Begins with a machine that has none.
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// Adds a range that the device tree names. Refused if it touches what the secure world uses, or if there are too
    /// many of them: such memory then simply isn't shared.
    pub fn add(&mut self, range: Range) -> Result<(), Range> {
        let reserved = [layout::FLASH, layout::MONITOR, layout::TEE];
        let wraps = range.base.checked_add(range.size).is_none();
        if wraps || range.size == 0 || reserved.iter().chain(&BOARD.secure()).any(|r| r.overlaps(&range)) {
            return Err(range);
        }
        self.ranges.push(range)
    }

    /// Lists the ranges.
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Takes it for what it is said to be.
    ///
    /// # Safety
    ///
    /// All of it must be RAM, mapped, and the normal world's alone.
    #[expect(unsafe_code, reason = "what the TEE reads and writes for the normal world follows from it")]
    pub unsafe fn believe(self) -> NsRam {
        NsRam { ranges: self.ranges }
    }
}

/// The non-secure RAM, fixed at boot before the normal world runs.
#[derive(Debug)]
pub struct NsRam {
    ranges: Vec<Range, MAX_RANGES>,
}

impl NsRam {
    /// Describes a machine that has none.
    pub const fn none() -> Self {
        Self { ranges: Vec::new() }
    }

    /// Lists the ranges.
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Gives the bytes if all of them lie in one range.
    #[inline]
    pub fn claim(&self, pa: u64, len: u64) -> Option<NsRange> {
        let inside = self.ranges.iter().any(|range| range.holds(pa, len));
        let len = usize::try_from(len).ok()?;
        inside.then_some(NsRange { pa, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ram() -> NsRam {
        let mut ram = AllegedRam::new();
        ram.add(Range::new(0x4000_0000, 0x1000_0000)).unwrap();
        #[expect(unsafe_code, reason = "nothing is accessed")]
        // SAFETY: nobody looks into it.
        unsafe {
            ram.believe()
        }
    }

    #[test]
    fn only_what_lies_wholly_in_ram_can_be_claimed() {
        let ram = ram();
        assert!(ram.claim(0x4000_0000, 0x1000_0000).is_some());
        assert!(ram.claim(0x4000_0000, 0x1000_0001).is_none());
        assert!(ram.claim(0x4FFF_F000, 0x1001).is_none());
        assert!(ram.claim(0x3FFF_FFFF, 2).is_none());
        assert!(ram.claim(u64::MAX, 2).is_none());
        assert!(ram.claim(0x4000_0000, u64::MAX).is_none());
        for secure in [layout::FLASH, layout::MONITOR, layout::TEE, BOARD.secure_uart, BOARD.secure_gpio] {
            assert!(ram.claim(secure.base, 8).is_none());
        }
    }

    #[test]
    fn a_part_of_a_range_never_reaches_beyond_it() {
        let range = ram().claim(0x4000_1000, 0x100).unwrap();
        assert_eq!(range.part(0x80, 0x80).unwrap().pa(), 0x4000_1080);
        assert_eq!(range.part(0x80, 0x81), None);
        assert_eq!(range.part(usize::MAX, 2), None);
        assert!(!range.is_empty() && range.part(0x100, 0).is_some_and(|part| part.is_empty()));
    }

    #[test]
    fn memory_of_the_secure_world_is_never_added() {
        let mut ram = AllegedRam::new();
        for range in [layout::TEE, Range::new(0, u64::MAX), Range::new(0x0E0F_FFFF, 1), Range::new(u64::MAX, 2)] {
            assert!(ram.add(range).is_err());
        }
        assert!(ram.ranges().is_empty());
    }
}
