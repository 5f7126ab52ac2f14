// SPDX-License-Identifier: MIT OR Apache-2.0
//! In which order a VM's RAM is made what it starts with: cleared, then its images copied into it, a portion at a time.
//!
//! A VM may reset itself as often as it likes, and refilling all of a large one at once would keep its CPU from the
//! other VMs for long.
#![forbid(unsafe_code)]

use crate::address::Ipa;
use crate::memory::{BLOCK, GUEST_RAM};
use shared_abi::layout::Range;

/// How much is done before others may run: a millisecond's work.
pub const AT_ONCE: u64 = BLOCK;

/// A portion of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portion {
    /// So many bytes of RAM become zeroes.
    Clear(Ipa, u64),
    /// This part of an image goes there.
    Copy(Ipa, Range),
}

impl Portion {
    /// Returns its bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Clear(_, size) => *size,
            Self::Copy(_, image) => image.size,
        }
    }
}

/// Says what comes after `done` bytes of work: `ram` bytes are to be cleared, and each image to be copied to its place.
/// `None` when all is done.
pub fn portion(done: u64, ram: u64, images: &[(Ipa, Range)]) -> Option<Portion> {
    if done < ram {
        return Some(Portion::Clear(Ipa(GUEST_RAM.0 + done), AT_ONCE.min(ram - done)));
    }
    let mut done = done - ram;
    for (ipa, image) in images {
        if done < image.size {
            let part = Range::new(image.base + done, AT_ONCE.min(image.size - done));
            return Some(Portion::Copy(Ipa(ipa.0 + done), part));
        }
        done -= image.size;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_done_once_in_order_and_never_much_at_once() {
        let ram = 2 * BLOCK + 0x1000;
        let images = [
            (Ipa(0x4020_0000), Range::new(0x7000_0000, 2 * BLOCK + 0x123)),
            (Ipa(0x5000_0000), Range::new(0x7800_0000, 0)),
            (Ipa(0x6000_0000), Range::new(0x7900_0000, 1)),
        ];
        let mut done = 0;
        let portions: Vec<Portion> = core::iter::from_fn(|| {
            let portion = portion(done, ram, &images)?;
            done += portion.size();
            Some(portion)
        })
        .collect();
        let copy = |ipa, base, size| Portion::Copy(Ipa(ipa), Range::new(base, size));
        assert_eq!(
            portions,
            [
                Portion::Clear(GUEST_RAM, BLOCK),
                Portion::Clear(Ipa(GUEST_RAM.0 + BLOCK), BLOCK),
                Portion::Clear(Ipa(GUEST_RAM.0 + 2 * BLOCK), 0x1000),
                copy(0x4020_0000, 0x7000_0000, BLOCK),
                copy(0x4020_0000 + BLOCK, 0x7000_0000 + BLOCK, BLOCK),
                copy(0x4020_0000 + 2 * BLOCK, 0x7000_0000 + 2 * BLOCK, 0x123),
                copy(0x6000_0000, 0x7900_0000, 1),
            ]
        );
    }
}
