// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device tree that the normal world gets if there is a TEE: put in place once the TEE has answered, unless the TEE
//! has completed the tree itself.

use crate::arch::cache;
use spin::mutex::SpinMutex;

/// Bytes of a tree's header (Devicetree Specification 0.4 §5.2). Whatever is added to a tree, its sizes are others.
const HEADER: usize = 40;

/// What may stand in the tree's place.
struct Kept {
    /// The tree with a node for the TEE.
    tree: &'static [u8],
    /// Where the normal world looks for it.
    place: &'static mut [u8],
    /// How the tree begins that stands there as long as the TEE has not answered.
    before: [u8; HEADER],
}

static KEPT: SpinMutex<Option<Kept>> = SpinMutex::new(None);

/// Keeps for later what is to stand in `place` once the TEE has answered.
pub fn keep(tree: &'static [u8], place: &'static mut [u8]) {
    if let Some(before) = place.first_chunk().copied() {
        *KEPT.lock() = Some(Kept { tree, place, before });
    }
}

/// Puts the tree in its place, now that the TEE has answered and has had its look at the one without. Says whether the
/// TEE wrote there itself, and is left its word: OP-TEE adds its node, with the interrupt by which it notifies, and
/// memory of its own. Who reads the tree checks it, as every other.
pub fn put() -> bool {
    let Some(Kept { tree, place, before }) = KEPT.lock().take() else { return false };
    let (at, len) = (place.as_ptr().addr() as u64, place.len() as u64);
    // OP-TEE maps the tree without caches (its `MEM_AREA_EXT_DT`); another may leave in them what it wrote.
    cache::flush(at, HEADER as u64);
    if !place.starts_with(&before) {
        cache::flush(at, len);
        return true;
    }
    // The boot stage has checked that the tree fits; a shorter place would be no reason to fail now.
    if let Some(place) = place.get_mut(..tree.len()) {
        place.copy_from_slice(tree);
        cache::flush(at, place.len() as u64);
    }
    false
}
