//! Who may use which memory, as records of ranges.

use super::{Client, ON, record};
#[cfg(any(feature = "trace", test))]
use crate::address::PAGE_SIZE;
use crate::address::{Ipa, Pa};
use crate::memory::Ram;
use shared_abi::layout::Range;
use shared_abi::trace::{Event, Owner};

/// Memory of the hypervisor's own, for itself or for a VM.
#[inline(always)]
pub fn own(client: Client, owner: Owner, range: Range) {
    record(client, || Event::Memory { owner, base: range.base, size: range.size, ipa: 0 });
}

/// All of a VM's RAM.
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pieces {
    #[cfg(any(feature = "trace", test))]
    list: heapless::Vec<Piece, MAX_PIECES>,
}

/// Pages that follow each other for the VM and in the machine. As page numbers, which are short enough for 44 bits of address.
#[cfg(any(feature = "trace", test))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    ipa: u32,
    pa: u32,
    pages: u32,
}

impl Pieces {
    /// None yet.
    #[inline(always)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a page.
    #[inline(always)]
    pub fn push(&mut self, _ipa: Ipa, _pa: Pa) {
        #[cfg(any(feature = "trace", test))]
        {
            let (ipa, pa) = ((_ipa.0 / PAGE_SIZE) as u32, (_pa.0 / PAGE_SIZE) as u32);
            match self.list.last_mut() {
                Some(last) if (last.ipa + last.pages, last.pa + last.pages) == (ipa, pa) => last.pages += 1,
                // What there is no place for is not told of.
                _ => _ = self.list.push(Piece { ipa, pa, pages: 1 }),
            }
        }
    }

    /// Records whose they are.
    #[inline(always)]
    pub fn record(&self, _client: Client, _owner: Owner) {
        #[cfg(any(feature = "trace", test))]
        for piece in &self.list {
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
        let mut pieces = Pieces::new();
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
