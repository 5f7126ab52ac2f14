// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the boot stage decides: whether an image may run, and what the device tree says. `main.rs` beside it is the
//! stage itself.

pub mod loader;
pub mod tree;
