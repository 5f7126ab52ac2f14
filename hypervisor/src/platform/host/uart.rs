// SPDX-License-Identifier: MIT OR Apache-2.0
//! The UART: what was typed, and what was printed.
#![forbid(unsafe_code)]

use crate::arch::host::machine::with;
use crate::console::Wire;

/// The device.
pub struct Pl011;

impl Pl011 {
    /// Takes a received byte.
    pub fn receive(&mut self) -> Option<u8> {
        with(|machine| machine.typed.pop_front())
    }
}

impl Wire for Pl011 {
    fn send(&mut self, byte: u8) {
        with(|machine| machine.printed.push(byte));
    }
}
