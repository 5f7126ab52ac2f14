// SPDX-License-Identifier: MIT OR Apache-2.0
//! The secure PL011, and the log that goes to it.
#![expect(unsafe_code, reason = "the home of MMIO")]

use crate::sync::Lock;
use core::fmt::Write;
use firmware_support::board::BOARD;
use firmware_support::platform::pl011::Pl011;
use heapless::String;
use log::{LevelFilter, Log, Metadata, Record};
use shared_abi::layout::Range;
use shared_abi::trace::frame::LENGTH;

/// What the console is on: all that the TEE drives, but for the interrupt controller's system registers.
pub const UART: Range = BOARD.secure_uart;

/// Longest line; what is longer is cut.
const LINE: usize = 200;

struct Console(Lock<Option<Pl011>>);

static CONSOLE: Console = Console(Lock::new(None));

/// Makes the log go to the secure UART, which the monitor has enabled. Once, at boot.
pub fn init() {
    // SAFETY: the address is the UART's, mapped as device memory. The monitor writes to it too, but not while the TEE
    // runs on the same CPU, and only adds characters.
    let uart = unsafe { Pl011::at(UART.base) };
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
            uart.send_all(frame);
        }
    });
}

/// Prints the last trace record, as [`last_words`] does it.
#[cold]
pub fn last_frame(frame: &[u8; LENGTH]) {
    // SAFETY: as in `last_words`.
    unsafe { Pl011::at(UART.base) }.send_all(frame);
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
    // SAFETY: as in `init`; that the pointer is a second one can only mix the bytes of two lines.
    let mut uart = unsafe { Pl011::at(UART.base) };
    let _ = write!(uart, "\r\n[TEE] {arguments}\r\n");
}
