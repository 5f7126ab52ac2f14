//! The secure PL011 as the log's destination: whole lines, each prefixed with who speaks.

use arm_pl011_uart::{DataBits, LineConfig, PL011Registers, Parity, StopBits, Uart, UniqueMmioPointer};
use core::fmt::{self, Write};
use core::ptr::NonNull;
use log::{LevelFilter, Log, Metadata, Record};
use shared_abi::layout::UART_S;
use shared_abi::trace::frame::LENGTH;
use spin::mutex::SpinMutex;

/// What QEMU's board feeds the UART with; it does not time characters by it.
const CLOCK: u32 = 24_000_000;
const BAUD: u32 = 115_200;
/// How long a line waits for another CPU's to end. A CPU that died inside a line must not silence the others.
const PATIENCE: usize = 10_000_000;

struct Console(SpinMutex<Option<Uart<'static>>>);

static CONSOLE: Console = Console(SpinMutex::new(None));

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
        for _ in 0..PATIENCE {
            if let Some(mut uart) = self.0.try_lock() {
                if let Some(uart) = uart.as_mut() {
                    // Writing to a UART does not fail.
                    let _ = print(Line(uart));
                }
                return;
            }
            crate::arch::relax();
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

/// Makes sure that the next line of this CPU is heard, whoever is in the middle of one: for last words only.
pub fn seize() {
    for _ in 0..PATIENCE {
        if !CONSOLE.0.is_locked() {
            return;
        }
        crate::arch::relax();
    }
    // SAFETY: the holder has had the time of thousands of lines: it is this CPU, which will not go on with its line, or
    // one that is stuck in it. The worst that can come of it is a line in a line.
    unsafe { CONSOLE.0.force_unlock() }
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
    *CONSOLE.0.lock() = Some(uart);
    // The one logger of this image; a second call changes nothing.
    let _ = log::set_logger(&CONSOLE);
    log::set_max_level(LevelFilter::Info);
}
