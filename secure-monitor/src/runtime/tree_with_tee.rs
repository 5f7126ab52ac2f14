// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device tree that the normal world gets if there is a TEE: put in place once the TEE has answered, unless the TEE
//! has completed the tree itself.

use crate::arch::cache;
use shared_abi::dtb::MAGIC;
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

/// Whose the tree is that the normal world gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// As the boot stage completed it.
    Ours,
    /// As the TEE completed it: OP-TEE adds its node, with the interrupt by which it notifies, and memory of its own.
    Tees,
    /// Ours, for what the TEE left there is no tree with a node for it.
    NotTheTees,
}

/// Puts the tree in its place, now that the TEE has answered and has had its look at the one without, unless the TEE
/// wrote there itself.
pub fn put() -> Whose {
    let Some(Kept { tree, place, before }) = KEPT.lock().take() else { return Whose::Ours };
    let (at, len) = (place.as_ptr().addr() as u64, place.len() as u64);
    // OP-TEE maps the tree without caches (its `MEM_AREA_EXT_DT`).
    cache::flush(at, HEADER as u64);
    let whose = if place.starts_with(&before) {
        Whose::Ours
    } else {
        cache::flush(at, len);
        if announces_tee(place) {
            return Whose::Tees;
        }
        Whose::NotTheTees
    };
    // The boot stage has checked that the tree fits; a shorter place would be no reason to fail now.
    if let Some(place) = place.get_mut(..tree.len()) {
        place.copy_from_slice(tree);
        cache::clean(at, place.len() as u64);
    }
    whose
}

/// Says whether this begins with a tree that fits its place and speaks of a TEE. Whether it is whole is for those to
/// check who read it, as of every tree.
fn announces_tee(place: &[u8]) -> bool {
    const COMPATIBLE: &[u8] = b"linaro,optee-tz\0";
    let word = |at: usize| place.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    let tree = word(4).filter(|_| word(0) == Some(MAGIC)).and_then(|size| place.get(..size as usize));
    tree.is_some_and(|tree| tree.windows(COMPATIBLE.len()).any(|part| part == COMPATIBLE))
}
