// SPDX-License-Identifier: MIT OR Apache-2.0
//! The console: a PL011, at the same place on the machine and in the guest contract.

use arm_pl011_uart::{PL011Registers, Uart};
use core::fmt;
use core::ptr::NonNull;
use safe_mmio::UniqueMmioPointer;
use shared_abi::layout;

/// The console.
pub struct Console(Uart<'static>);

impl Console {
    /// The console.
    ///
    /// # Safety
    ///
    /// Nobody else uses it while this value lives.
    pub unsafe fn open() -> Self {
        let registers = core::ptr::with_exposed_provenance_mut::<PL011Registers>(layout::UART_NS.base as usize);
        let registers = NonNull::new(registers).unwrap_or(NonNull::dangling());
        // SAFETY: there is a PL011, on the machine as in the guest contract, and the caller promises the rest.
        Self(unsafe { Uart::new(UniqueMmioPointer::new(registers)) })
    }

    fn put(&mut self, byte: u8) {
        while self.0.is_tx_fifo_full() {
            core::hint::spin_loop();
        }
        self.0.write_word(byte);
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.put(b'\r');
            }
            self.put(byte);
        }
        Ok(())
    }
}
