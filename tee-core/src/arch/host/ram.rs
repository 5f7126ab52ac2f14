// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of the fake machine that remembers where it was written.

use shared_abi::layout::Range;
use std::cell::RefCell;
use std::mem::{swap, take};

/// Bytes of a page, of which it is remembered whether somebody wrote to it.
const PAGE: usize = 4096;

thread_local! {
    /// Memory that nobody uses, all zero again: clearing what was written takes less than getting new one from the
    /// host.
    static UNUSED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The bytes of a range of addresses, all zero at first.
pub struct Ram {
    base: u64,
    bytes: Vec<u8>,
    /// Bit n: page n was written to, and nobody said to forget it.
    written: Vec<u64>,
    /// Bit n: page n was written to, and it was forgotten.
    forgotten: Vec<u64>,
}

impl Ram {
    /// Makes memory at these addresses.
    pub fn new(range: Range) -> Self {
        let size = range.size as usize;
        let unused = UNUSED.with_borrow_mut(|unused| {
            let place = unused.iter().rposition(|bytes| bytes.len() == size)?;
            Some(unused.swap_remove(place))
        });
        let none = vec![0; size.div_ceil(PAGE * 64)];
        Self {
            base: range.base,
            bytes: unused.unwrap_or_else(|| vec![0; size]),
            forgotten: none.clone(),
            written: none,
        }
    }

    fn at(&self, pa: u64, len: usize) -> std::ops::Range<usize> {
        let at = (pa - self.base) as usize;
        at..at + len
    }

    /// Gives `len` bytes from `pa` on.
    pub fn bytes(&self, pa: u64, len: usize) -> &[u8] {
        &self.bytes[self.at(pa, len)]
    }

    /// Gives `len` bytes from `pa` on, to be written.
    pub fn bytes_mut(&mut self, pa: u64, len: usize) -> &mut [u8] {
        let place = self.at(pa, len);
        for page in place.start / PAGE..place.end.div_ceil(PAGE) {
            self.written[page / 64] |= 1 << (page % 64);
        }
        &mut self.bytes[place]
    }

    /// Writes bytes.
    pub fn write(&mut self, pa: u64, bytes: &[u8]) {
        self.bytes_mut(pa, bytes.len()).copy_from_slice(bytes);
    }

    /// Lists the addresses of the pages that were written to.
    pub fn written(&self) -> impl Iterator<Item = u64> {
        self.written.iter().enumerate().flat_map(move |(word, bits)| {
            let mut bits = *bits;
            std::iter::from_fn(move || {
                let bit = bits.trailing_zeros();
                bits &= bits.wrapping_sub(1);
                (bit < 64).then_some(self.base + ((word * 64 + bit as usize) * PAGE) as u64)
            })
        })
    }

    /// Forgets what was written.
    pub fn forget_written(&mut self) {
        for (forgotten, written) in self.forgotten.iter_mut().zip(&mut self.written) {
            *forgotten |= take(written);
        }
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        self.forget_written();
        swap(&mut self.forgotten, &mut self.written);
        let mut bytes = take(&mut self.bytes);
        for pa in self.written() {
            let page = bytes[(pa - self.base) as usize..].chunks_mut(PAGE).next();
            page.into_iter().for_each(|page| page.fill(0));
        }
        // There is no such list any more while the host's own thread ends.
        let _ = UNUSED.try_with(|unused| unused.borrow_mut().push(bytes));
    }
}

#[test]
fn memory_that_was_used_is_zero_again() {
    let range = Range::new(0x1000, 100 * PAGE as u64 + 8);
    let mut ram = Ram::new(range);
    let first = ram.bytes(range.base, 1).as_ptr();
    ram.write(range.base + PAGE as u64 - 1, &[1, 2]);
    ram.forget_written();
    ram.write(range.end() - 1, &[3]);
    drop(ram);
    let ram = Ram::new(range);
    assert_eq!(ram.bytes(range.base, 1).as_ptr(), first, "it is the same memory");
    assert!(ram.bytes(range.base, range.size as usize).iter().all(|byte| *byte == 0) && ram.written().next().is_none());
}
