// SPDX-License-Identifier: MIT OR Apache-2.0
//! The secure PL011, and the log that goes to it.
#![expect(unsafe_code, reason = "the home of MMIO")]

use crate::sync::Lock;
use arm_pl011_uart::{PL011Registers, Uart};
use core::fmt::Write;
use core::ptr::NonNull;
use heapless::String;
use log::{LevelFilter, Log, Metadata, Record};
use safe_mmio::UniqueMmioPointer;
use shared_abi::layout::UART_S;
use shared_abi::trace::frame::LENGTH;

/// Longest line; what is longer is cut.
const LINE: usize = 200;

struct Console(Lock<Option<Uart<'static>>>);

static CONSOLE: Console = Console(Lock::new(None));

/// Makes the log go to the secure UART, which the monitor has enabled. Once, at boot.
pub fn init() {
    let registers = NonNull::new(UART_S.base as *mut PL011Registers).expect("the UART is not at address 0");
    // SAFETY: the address is the UART's, mapped as device memory, and this is the TEE's only pointer to it. The monitor
    // writes to it too, but not while the TEE runs on the same CPU, and the registers that both use have no state.
    let uart = Uart::new(unsafe { UniqueMmioPointer::new(registers) });
    CONSOLE.0.with(|console| *console = Some(uart));
    if log::set_logger(&CONSOLE).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Prints a whole line: made first, then printed under the lock.
fn print(line: &str) {
    CONSOLE.0.with(|console| {
        if let Some(uart) = console {
            let _ = write!(uart, "[TEE] {line}\r\n");
        }
    });
}

/// Prints a trace record, which has its own form and not the prefix.
#[cold]
pub fn frame(frame: &[u8; LENGTH]) {
    CONSOLE.0.with(|console| {
        if let Some(uart) = console {
            print_frame(uart, frame);
        }
    });
}

/// Prints the last trace record, as [`last_words`] does it.
#[cold]
pub fn last_frame(frame: &[u8; LENGTH]) {
    if let Some(registers) = NonNull::new(UART_S.base as *mut PL011Registers) {
        // SAFETY: as in `last_words`.
        let mut uart = Uart::new(unsafe { UniqueMmioPointer::new(registers) });
        print_frame(&mut uart, frame);
    }
}

fn print_frame(uart: &mut Uart<'_>, frame: &[u8; LENGTH]) {
    let _ = uart.write_str(core::str::from_utf8(frame).unwrap_or_default());
}

impl Log for Console {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut line = String::<LINE>::new();
        // A line that is too long is cut where the piece that doesn't fit starts.
        let _ = write!(line, "{}", record.args());
        print(&line);
    }

    fn flush(&self) {}
}

/// Prints the last words of a TEE that cannot go on. The lock may be held by whoever panicked: a UART of its own.
pub fn last_words(arguments: core::fmt::Arguments<'_>) {
    if let Some(registers) = NonNull::new(UART_S.base as *mut PL011Registers) {
        // SAFETY: as in `init`; that the pointer is a second one can only mix the bytes of two lines.
        let mut uart = Uart::new(unsafe { UniqueMmioPointer::new(registers) });
        let _ = write!(uart, "\r\n[TEE] {arguments}\r\n");
    }
}
