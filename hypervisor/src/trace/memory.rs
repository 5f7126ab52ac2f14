// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may use which memory, as records of ranges.

use super::{Client, ON, record};
#[cfg(any(feature = "trace", test))]
use crate::address::PAGE_SIZE;
use crate::address::{Ipa, Pa};
use crate::memory::Ram;
use shared_abi::layout::Range;
use shared_abi::trace::{Event, Owner};

/// Records memory of the hypervisor's own, for itself or for a VM.
#[inline(always)]
pub fn own(client: Client, owner: Owner, range: Range) {
    record(client, || Event::Memory { owner, base: range.base, size: range.size, ipa: 0 });
}

/// Records all of a VM's RAM.
#[inline(always)]
pub fn ram(client: Client, owner: Owner, ram: &Ram) {
    if ON {
        for extent in ram.extents() {
            let (base, size, ipa) = (extent.pa.0, extent.size, extent.ipa.0);
            record(client, || Event::Memory { owner, base, size, ipa });
        }
    }
}

/// Pieces of a buffer that are kept. A buffer in more pieces is told of by its cookie, and by so many of them.
#[cfg(any(feature = "trace", test))]
const MAX_PIECES: usize = 16;

/// The pieces in which a shared buffer lies in memory. Nothing, where nothing is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// Those of no pages are none.
    #[cfg(any(feature = "trace", test))]
    list: [Piece; MAX_PIECES],
}

/// Pages that follow each other for the VM and in the machine. As page numbers, which are short enough for 44 bits of
/// address.
#[cfg(any(feature = "trace", test))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    ipa: u32,
    pa: u32,
    pages: u32,
}

impl Pieces {
    /// None yet.
    pub const NONE: Self = Self {
        #[cfg(any(feature = "trace", test))]
        list: [Piece { ipa: 0, pa: 0, pages: 0 }; MAX_PIECES],
    };

    /// Adds a page.
    #[inline(always)]
    pub fn push(&mut self, _ipa: Ipa, _pa: Pa) {
        #[cfg(any(feature = "trace", test))]
        {
            let (ipa, pa) = ((_ipa.0 / PAGE_SIZE) as u32, (_pa.0 / PAGE_SIZE) as u32);
            let used = self.list.iter().take_while(|piece| piece.pages != 0).count();
            match used.checked_sub(1).map(|last| &mut self.list[last]) {
                Some(last) if (last.ipa + last.pages, last.pa + last.pages) == (ipa, pa) => last.pages += 1,
                _ => {
                    // What there is no place for is not told of.
                    if let Some(next) = self.list.get_mut(used) {
                        *next = Piece { ipa, pa, pages: 1 };
                    }
                }
            }
        }
    }

    /// Returns the physical address of the first page.
    #[cfg(any(feature = "trace", test))]
    pub fn first(&self) -> u64 {
        u64::from(self.list[0].pa) * PAGE_SIZE
    }

    /// Says whether there is memory that belongs to both.
    #[cfg(any(feature = "trace", test))]
    pub fn overlap(&self, other: &Self) -> bool {
        let meet = |a: &Piece, b: &Piece| a.pa < b.pa + b.pages && b.pa < a.pa + a.pages;
        self.list.iter().any(|a| other.list.iter().any(|b| meet(a, b)))
    }

    /// Returns nothing: neither has any memory.
    #[cfg(not(any(feature = "trace", test)))]
    pub fn first(&self) -> u64 {
        0
    }

    /// Says no: nothing belongs to either.
    #[cfg(not(any(feature = "trace", test)))]
    pub fn overlap(&self, _: &Self) -> bool {
        false
    }

    /// Records whose they are.
    #[inline(always)]
    pub fn record(&self, _client: Client, _owner: Owner) {
        #[cfg(any(feature = "trace", test))]
        for piece in self.list.iter().take_while(|piece| piece.pages != 0) {
            let [base, size, ipa] = [piece.pa, piece.pages, piece.ipa].map(|number| u64::from(number) * PAGE_SIZE);
            record(_client, || Event::Memory { owner: _owner, base, size, ipa });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::taken;
    use super::*;
    use crate::memory::{BLOCK, FreeMemory};

    #[test]
    fn pages_that_follow_each_other_are_one_piece() {
        let mut pieces = Pieces::NONE;
        for (ipa, pa) in [(1, 9), (2, 10), (3, 12), (5, 13)] {
            pieces.push(Ipa(ipa * PAGE_SIZE), Pa(pa * PAGE_SIZE));
        }
        pieces.record(Client::alleged(3), Owner::Shared);
        let event = |pa, pages, ipa| {
            let [base, size, ipa] = [pa, pages, ipa].map(|number: u64| number * PAGE_SIZE);
            (3, Event::Memory { owner: Owner::Shared, base, size, ipa })
        };
        assert_eq!(taken(), [event(9, 2, 1), event(12, 1, 3), event(13, 1, 5)]);
    }

    #[test]
    fn buffers_that_share_a_page_overlap_and_empty_ones_never_do() {
        let piece = |pages: &[u64]| {
            let mut pieces = Pieces::NONE;
            pages.iter().for_each(|page| pieces.push(Ipa(page * PAGE_SIZE), Pa(page * PAGE_SIZE)));
            pieces
        };
        assert!(piece(&[1, 2, 7]).overlap(&piece(&[5, 7])));
        assert!(!piece(&[1, 2, 7]).overlap(&piece(&[3, 4])));
        assert!(!piece(&[]).overlap(&piece(&[0])));
    }

    #[test]
    fn more_pieces_than_are_kept_are_cut_off() {
        let mut pieces = Pieces::NONE;
        for page in 0..100 {
            pieces.push(Ipa(page * PAGE_SIZE), Pa(2 * page * PAGE_SIZE));
        }
        pieces.record(Client::alleged(3), Owner::Shared);
        assert_eq!(taken().len(), MAX_PIECES);
    }

    #[test]
    fn a_vms_ram_is_told_of_with_its_ipa() {
        let mut free = FreeMemory::new();
        free.add(Range::new(0x8000_0000, BLOCK));
        free.add(Range::new(0x9000_0000, BLOCK));
        let memory = free.take_ram(2 * BLOCK).unwrap();
        ram(Client::alleged(7), Owner::Vm, &memory);
        let event = |base, ipa| (7, Event::Memory { owner: Owner::Vm, base, size: BLOCK, ipa });
        assert_eq!(taken(), [event(0x8000_0000, 0x4000_0000), event(0x9000_0000, 0x4000_0000 + BLOCK)]);
    }
}
