// SPDX-License-Identifier: MIT OR Apache-2.0
//! The console: a PL011 where the guest contract has it.

use crate::arch::mmio::{read32, write32};
use crate::devices::UART;
use core::fmt;

/// UARTDR.
const DATA: u64 = UART.base;
/// UARTFR.
const FLAGS: u64 = UART.base + 0x18;
/// UARTFR.TXFF.
const FULL: u32 = 1 << 5;

/// The console, of the boot CPU alone.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while read32(FLAGS) & FULL != 0 {}
            write32(DATA, byte.into());
        }
        Ok(())
    }
}
