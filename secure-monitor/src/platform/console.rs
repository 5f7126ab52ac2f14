// SPDX-License-Identifier: MIT OR Apache-2.0
//! The secure PL011 as the log's destination: whole lines, each prefixed with who speaks.

use arm_pl011_uart::{DataBits, LineConfig, PL011Registers, Parity, StopBits, Uart, UniqueMmioPointer};
use core::fmt::{self, Write};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use log::{LevelFilter, Log, Metadata, Record};
use shared_abi::layout::UART_S;
use shared_abi::trace::frame::LENGTH;
use spin::mutex::SpinMutex;

/// What QEMU's board feeds the UART with; it does not time characters by it.
const CLOCK: u32 = 24_000_000;
const BAUD: u32 = 115_200;

/// Whoever prints a line has the UART until its end, however long that takes: no line is lost to a clock.
struct Console {
    uart: SpinMutex<Option<Uart<'static>>>,
    /// The affinities of the CPU that prints; [`NOBODY`] while none does.
    printing: AtomicU64,
}

/// No CPU's affinities.
const NOBODY: u64 = u64::MAX;

static CONSOLE: Console = Console { uart: SpinMutex::new(None), printing: AtomicU64::new(NOBODY) };

struct Line<'a>(&'a mut Uart<'static>);

impl Line<'_> {
    fn write_bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            while self.0.is_tx_fifo_full() {
                core::hint::spin_loop();
            }
            self.0.write_word(*byte);
        }
    }
}

impl Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write_bytes(text.as_bytes());
        Ok(())
    }
}

impl Console {
    #[inline(always)]
    fn line(&self, print: impl FnOnce(Line<'_>) -> fmt::Result) {
        let mut uart = loop {
            match self.uart.try_lock() {
                Some(uart) => break uart,
                None => crate::arch::relax(),
            }
        };
        if let Some(uart) = uart.as_mut() {
            self.printing.store(crate::arch::mpidr(), Ordering::Relaxed);
            // Writing to a UART does not fail.
            let _ = print(Line(uart));
            self.printing.store(NOBODY, Ordering::Relaxed);
        }
    }
}

/// Prints a trace record.
#[cold]
#[inline(never)]
pub fn frame(frame: &[u8; LENGTH]) {
    CONSOLE.line(|mut line| {
        line.write_bytes(frame);
        Ok(())
    });
}

impl Log for Console {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.line(|mut line| write!(line, "[EL3] {}\r\n", record.args()));
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
    let registers = NonNull::new(core::ptr::with_exposed_provenance_mut::<PL011Registers>(UART_S.base as usize))
        .expect("the UART is not at address 0");
    // SAFETY: the caller opens it once. The TEE prints to the same UART, but only adds characters to its FIFO, as this
    // driver does after set-up.
    let mut uart = Uart::new(unsafe { UniqueMmioPointer::new(registers) });
    if first {
        let line = LineConfig { data_bits: DataBits::Bits8, parity: Parity::None, stop_bits: StopBits::One };
        uart.enable(line, BAUD, CLOCK).expect("the divisor is in range");
    }
    *CONSOLE.uart.lock() = Some(uart);
    // The one logger of this image; a second call changes nothing.
    let _ = log::set_logger(&CONSOLE);
    log::set_max_level(LevelFilter::Info);
}
