// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a device tree, read by every layer, as `lab/tests/device_trees` has them read.
//!
//! `cargo fuzz run -s none device_tree corpus/device_tree ../../lab/tests/device_trees/seeds`, in this folder.
#![no_main]

#[path = "../../../lab/tests/device_trees/layers.rs"]
mod layers;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|tree: &[u8]| {
    layers::read(tree);
});
