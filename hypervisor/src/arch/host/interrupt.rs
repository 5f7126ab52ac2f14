// SPDX-License-Identifier: MIT OR Apache-2.0
//! The CPU's interface to physical interrupts.
#![forbid(unsafe_code)]

use super::machine::{Machine, with};

/// Takes the most urgent interrupt, if there is one.
pub fn acknowledge() -> Option<u32> {
    with(Machine::acknowledge)
}

/// Ends an interrupt but leaves it active.
pub fn end(_intid: u32) {}

/// Deactivates an interrupt of this CPU's.
pub fn deactivate(intid: u32) {
    with(|machine| machine.deactivate(intid));
}
