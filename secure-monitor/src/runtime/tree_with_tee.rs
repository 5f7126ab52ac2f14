// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device tree that the normal world gets if there is a TEE: put in place once the TEE has answered.

use crate::arch::cache;
use spin::mutex::SpinMutex;

/// A tree, and the memory where the normal world looks for it.
type Kept = (&'static [u8], &'static mut [u8]);

static KEPT: SpinMutex<Option<Kept>> = SpinMutex::new(None);

/// Keeps for later what is to stand in `place` once the TEE has answered.
pub fn keep(tree: &'static [u8], place: &'static mut [u8]) {
    *KEPT.lock() = Some((tree, place));
}

/// Puts the tree in its place: the TEE has answered, and has had its look at the one without.
pub fn put() {
    let Some((tree, place)) = KEPT.lock().take() else { return };
    // The boot stage has checked that the tree fits; a shorter place would be no reason to fail now.
    if let Some(place) = place.get_mut(..tree.len()) {
        place.copy_from_slice(tree);
        cache::clean(place.as_ptr().addr() as u64, place.len() as u64);
    }
}
