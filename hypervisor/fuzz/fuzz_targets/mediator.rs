// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as what a VM's vCPUs do to the mediator, and what the TEE answers, held against the model of
//! `tests/mediator`.
//!
//! `cargo fuzz run -s none mediator`, in this folder.
#![no_main]

#[expect(dead_code, unused_imports, unused_macros, reason = "the tests make random choices, too")]
#[path = "../../../tee-core/tests/machines/draw.rs"]
mod draw;
#[path = "../../tests/mediator/model.rs"]
mod model;
#[path = "../../tests/mediator/ram.rs"]
mod ram;
#[expect(dead_code, reason = "the tests count calls")]
#[path = "../../tests/mediator/world.rs"]
mod world;

use draw::Draw;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::rc::Rc;
use world::World;

/// Steps of a sequence: what the bytes do not say is as simple as it can be.
const STEPS: usize = 40;

/// A choice in a byte, or a large one in nine.
fn choices(mut bytes: &[u8]) -> Vec<u64> {
    let mut choices = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        bytes = rest;
        match (first, rest.split_first_chunk()) {
            (0xFF, Some((number, rest))) => {
                choices.push(u64::from_le_bytes(*number));
                bytes = rest;
            }
            _ => choices.push((*first).into()),
        }
    }
    choices
}

fuzz_target!(|bytes: &[u8]| {
    let world = World::new(Rc::new(RefCell::new(Draw::again(&choices(bytes)))));
    (0..STEPS).for_each(|_| world.do_something());
});
