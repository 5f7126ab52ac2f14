// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that is shared with the TEE.

use core::sync::atomic::{AtomicU64, Ordering};

/// Pages that a client uses.
pub const PAGES: usize = 10;

/// Size of a page.
pub(super) const SIZE: usize = 4096;

/// A page of memory that the TEE may read and write at any time: hence atomics.
#[repr(C, align(4096))]
pub struct Page([AtomicU64; SIZE / 8]);

impl Page {
    /// Makes a page of zeroes.
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; SIZE / 8])
    }

    /// Returns the page's address. The client's memory is mapped one to one.
    pub fn address(&self) -> u64 {
        core::ptr::from_ref(self).addr() as u64
    }

    /// Returns one word; 0 beyond the end.
    pub fn word(&self, index: usize) -> u64 {
        self.0.get(index).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Writes one word; nothing beyond the end.
    pub fn set_word(&self, index: usize, value: u64) {
        if let Some(word) = self.0.get(index) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Writes bytes from byte `at` on, a multiple of 8. The last word's remaining bytes become zero.
    pub fn write(&self, at: usize, bytes: &[u8]) {
        for (n, chunk) in bytes.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.set_word(at / 8 + n, u64::from_le_bytes(word));
        }
    }

    /// Reads bytes from byte `at` on, a multiple of 8.
    pub fn read(&self, at: usize, bytes: &mut [u8]) {
        for (n, chunk) in bytes.chunks_mut(8).enumerate() {
            let word = self.word(at / 8 + n).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}
