// SPDX-License-Identifier: MIT OR Apache-2.0
//! The secure PL011 as the log's destination: whole lines, each prefixed with who speaks.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};
use firmware_support::board::BOARD;
use firmware_support::platform::pl011::Pl011;
use log::{LevelFilter, Log, Metadata, Record};
use shared_abi::trace::frame::LENGTH;
use spin::mutex::SpinMutex;

/// Whoever prints a line has the UART until its end, however long that takes: no line is lost to a clock.
struct Console {
    uart: SpinMutex<Option<Pl011>>,
    /// The affinities of the CPU that prints; [`NOBODY`] while none does.
    printing: AtomicU64,
}

/// No CPU's affinities.
const NOBODY: u64 = u64::MAX;

static CONSOLE: Console = Console { uart: SpinMutex::new(None), printing: AtomicU64::new(NOBODY) };

impl Console {
    #[inline(always)]
    fn line(&self, print: impl FnOnce(&mut Pl011) -> fmt::Result) {
        let mut uart = loop {
            match self.uart.try_lock() {
                Some(uart) => break uart,
                None => crate::arch::relax(),
            }
        };
        if let Some(uart) = uart.as_mut() {
            self.printing.store(crate::arch::mpidr(), Ordering::Relaxed);
            // Writing to a UART does not fail.
            let _ = print(uart);
            self.printing.store(NOBODY, Ordering::Relaxed);
        }
    }
}

/// Prints a trace record.
#[cold]
#[inline(never)]
pub fn frame(frame: &[u8; LENGTH]) {
    CONSOLE.line(|uart| {
        uart.send_all(frame);
        Ok(())
    });
}

impl Log for Console {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.line(|uart| write!(uart, "[EL3] {}\r\n", record.args()));
    }

    fn flush(&self) {}
}

/// Frees the console for the last words of a CPU: if it died inside a line of its own, nobody would be heard any more.
pub fn seize() {
    if CONSOLE.printing.load(Ordering::Relaxed) == crate::arch::mpidr() {
        CONSOLE.printing.store(NOBODY, Ordering::Relaxed);
        // SAFETY: this CPU holds the lock, and does not go on with its line.
        unsafe { CONSOLE.uart.force_unlock() }
    }
}

/// Opens the console. `first` also sets the UART up: in the boot stage, before anyone used it.
///
/// # Safety
///
/// Once per image, with the UART mapped as device memory.
pub unsafe fn init(first: bool) {
    // SAFETY: the caller opens it once. The TEE prints to the same UART, but only adds characters to its FIFO, as this
    // driver does after set-up.
    let mut uart = unsafe { Pl011::at(BOARD.secure_uart.base) };
    if first {
        uart.set_up();
    }
    *CONSOLE.uart.lock() = Some(uart);
    // The one logger of this image; a second call changes nothing.
    let _ = log::set_logger(&CONSOLE);
    log::set_max_level(LevelFilter::Info);
}
