// SPDX-License-Identifier: MIT OR Apache-2.0
//! The normal world's PL011.

use crate::console::Wire;
use arm_pl011_uart::{Error, Interrupts, PL011Registers, Uart};
use core::ptr::NonNull;
use safe_mmio::UniqueMmioPointer;
use shared_abi::layout::UART_NS;

/// The device.
pub struct Pl011(Uart<'static>);

impl Pl011 {
    /// Takes the device over as it is: whoever ran before has set the line up, or QEMU, which has none.
    ///
    /// # Safety
    ///
    /// Once only, with the device mapped.
    pub unsafe fn new() -> Self {
        let registers = NonNull::new(UART_NS.base as *mut PL011Registers).expect("not at 0");
        // SAFETY: the registers are there and nobody else has them, as the caller promises.
        Self(Uart::new(unsafe { UniqueMmioPointer::new(registers) }))
    }

    /// Lets received bytes interrupt, or not.
    pub fn set_receive_interrupt(&mut self, on: bool) {
        self.0.set_interrupt_masks(if on { Interrupts::RXI | Interrupts::RTI } else { Interrupts::empty() });
    }

    /// A received byte. What came broken is dropped.
    pub fn receive(&mut self) -> Option<u8> {
        loop {
            match self.0.read_word() {
                Ok(byte) => return byte,
                // The byte itself is whole, an earlier one was lost: there is no way back to it.
                Err(Error::Overrun | Error::Break | Error::Parity | Error::Framing | Error::InvalidParameter) => {}
            }
        }
    }
}

impl Wire for Pl011 {
    fn send(&mut self, byte: u8) {
        while self.0.is_tx_fifo_full() {}
        self.0.write_word(byte);
    }
}
