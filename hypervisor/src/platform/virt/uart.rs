// SPDX-License-Identifier: MIT OR Apache-2.0
//! The normal world's PL011.

use crate::console::Wire;
use firmware_support::board::BOARD;
pub use firmware_support::platform::pl011::Pl011;

/// Takes the device over.
///
/// # Safety
///
/// Once only, with the device mapped.
pub unsafe fn open() -> Pl011 {
    // SAFETY: as the caller promises.
    unsafe { Pl011::at(BOARD.uart.registers.base) }
}

impl Wire for Pl011 {
    fn send(&mut self, byte: u8) {
        self.send(byte);
    }
}
