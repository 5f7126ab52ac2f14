// SPDX-License-Identifier: MIT OR Apache-2.0
//! A PL011 (Arm DDI 0183) as a console: bytes out, bytes in. Where it is says who has one.

use arm_pl011_uart::{DataBits, Error, Interrupts, LineConfig, PL011Registers, Parity, StopBits, Uart};
use core::fmt;
use core::ptr::NonNull;
use safe_mmio::UniqueMmioPointer;

/// What QEMU's board feeds the UART with; it does not time characters by it.
const CLOCK: u32 = 24_000_000;
const BAUD: u32 = 115_200;

/// The device.
pub struct Pl011(Uart<'static>);

impl Pl011 {
    /// Takes the device over as it is: whoever ran before has set the line up, or QEMU, which has none.
    ///
    /// # Safety
    ///
    /// There is a PL011 at `address`, mapped as device memory, and who else has it does no more than to send: that can
    /// mix the bytes of two lines.
    pub unsafe fn at(address: u64) -> Self {
        let registers = core::ptr::with_exposed_provenance_mut::<PL011Registers>(address as usize);
        let registers = NonNull::new(registers).expect("no UART is at address 0");
        // SAFETY: the registers are there, as the caller promises. Those that are shared have no state that a second
        // pointer could break.
        Self(Uart::new(unsafe { UniqueMmioPointer::new(registers) }))
    }

    /// Sets the line up, for who comes first.
    pub fn set_up(&mut self) {
        let line = LineConfig { data_bits: DataBits::Bits8, parity: Parity::None, stop_bits: StopBits::One };
        self.0.enable(line, BAUD, CLOCK).expect("the divisor is in range");
    }

    /// Sends a byte, waiting for room.
    #[inline]
    pub fn send(&mut self, byte: u8) {
        self.wait();
        self.0.write_word(byte);
    }

    /// Sends bytes.
    pub fn send_all(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.wait();
            // Fetched only now, which costs an instruction less than `send`.
            self.0.write_word(*byte);
        }
    }

    /// Waits for room for a byte.
    #[inline(always)]
    fn wait(&self) {
        while self.0.is_tx_fifo_full() {}
    }

    /// Lets received bytes interrupt, or not.
    pub fn set_receive_interrupt(&mut self, on: bool) {
        self.0.set_interrupt_masks(if on { Interrupts::RXI | Interrupts::RTI } else { Interrupts::empty() });
    }

    /// Takes a received byte. What came broken is dropped.
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

/// As it is: who writes ends lines with both of what ends a line.
impl fmt::Write for Pl011 {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.send_all(text.as_bytes());
        Ok(())
    }
}

/// A PL011 for who ends lines with a newline alone.
pub struct Printer(pub Pl011);

impl fmt::Write for Printer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.0.send(b'\r');
            }
            self.0.send(byte);
        }
        Ok(())
    }
}
