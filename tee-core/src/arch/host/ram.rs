// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of the fake machine that remembers where it was written.

use shared_abi::layout::Range;

/// Bytes of a page, of which it is remembered whether somebody wrote to it.
const PAGE: usize = 4096;

/// The bytes of a range of addresses, all zero at first.
pub struct Ram {
    base: u64,
    bytes: Vec<u8>,
    /// Bit n: page n was written to.
    written: Vec<u64>,
}

impl Ram {
    /// Makes memory at these addresses.
    pub fn new(range: Range) -> Self {
        let size = range.size as usize;
        Self { base: range.base, bytes: vec![0; size], written: vec![0; size.div_ceil(PAGE * 64)] }
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
        self.written.fill(0);
    }
}
