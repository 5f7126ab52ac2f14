// SPDX-License-Identifier: MIT OR Apache-2.0
//! Words by which CPUs tell each other something.

use crate::clock;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Sixteen words.
pub(crate) struct Words([AtomicU64; 16]);

impl Words {
    /// Makes zeroes.
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; 16])
    }

    /// Sets them back to zero.
    pub(crate) fn clear(&self) {
        for word in &self.0 {
            word.store(0, SeqCst);
        }
    }

    /// Sets one.
    pub(crate) fn set(&self, index: usize, value: u64) {
        self.0[index].store(value, SeqCst);
    }

    /// Says what one is.
    pub(crate) fn get(&self, index: usize) -> u64 {
        self.0[index].load(SeqCst)
    }

    /// Adds to one.
    pub(crate) fn add(&self, index: usize, value: u64) {
        self.0[index].fetch_add(value, SeqCst);
    }

    /// Waits until one is at least so much, for a time; whether it is.
    pub(crate) fn wait(&self, index: usize, value: u64) -> bool {
        clock::until(1000, || self.get(index) >= value)
    }
}

/// Says where words are, for instructions that go there by themselves.
pub(crate) fn address(words: &Words) -> u64 {
    core::ptr::from_ref(words).expose_provenance() as u64
}
