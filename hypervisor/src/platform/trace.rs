//! Where a CPU's records go: into its ring, or as frames onto the UART.

use super::console;
use crate::arch::sysreg::read;
use crate::arch::timer;
use crate::cpu::{self, Cpu};
use core::cell::UnsafeCell;
use core::fmt::Write;
use core::panic::PanicInfo;
use core::sync::atomic::AtomicU64;
use shared_abi::layout::Range;
use shared_abi::trace::frame::LENGTH;
use shared_abi::trace::recorder::CALIBRATIONS;
use shared_abi::trace::{Event, Layer, Recorder, Way, ring};
use spin::Once;

/// A CPU's recorder; none before [`begin`], and for good where the device tree wants no records.
pub struct Sink(UnsafeCell<Option<Recorder>>);

impl Sink {
    /// No recorder yet.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(None))
    }

    /// Writes a record.
    #[inline(always)]
    fn write(&self, client: u16, event: Event) {
        // SAFETY: Only the CPU to which the sink belongs comes here, with interrupts masked, and writing a record makes
        // no other. If it faults, its CPU doesn't come back to it.
        if let Some(recorder) = unsafe { &mut *self.0.get() } {
            recorder.write(read!("cntpct_el0"), client, event, print);
        }
    }
}

impl Default for Sink {
    fn default() -> Self {
        Self::new()
    }
}

/// Prints a frame. Apart, because few machines want frames and every trace point would have it.
#[cold]
#[inline(never)]
fn print(line: &[u8; LENGTH]) {
    console::lock().whole(line);
}

/// What all CPUs need to begin.
#[derive(Clone, Copy)]
struct Plan {
    way: Way,
    image: Range,
}

static PLAN: Once<Plan> = Once::new();

/// Records an event on the CPU this runs on.
#[inline(always)]
pub fn write(client: u16, event: Event) {
    cpu::this().sink.write(client, event);
}

/// Says which way records take. Once, on the first CPU, before any other one runs. `image` is the hypervisor's.
///
/// # Safety
///
/// For [`Way::Rings`], [`TRACE`](shared_abi::layout::TRACE) must be mapped memory to which nobody in the hypervisor
/// refers.
pub unsafe fn plan(way: Way, image: Range) {
    PLAN.call_once(|| Plan { way, image });
}

/// Begins to record on this CPU.
pub fn begin(cpu: &Cpu) {
    let Some(Plan { way, image }) = PLAN.get().copied() else { return };
    let recorder = match way {
        Way::Nowhere => None,
        Way::Rings => ring(cpu.index),
        Way::Frames => Some(Recorder::frames(Layer::Hypervisor, cpu.index)),
    };
    // SAFETY: This CPU's, before its first record.
    unsafe { *cpu.sink.0.get() = recorder };
    write(0, Event::Start { base: image.base, size: image.size });
    macro_rules! calibrate {
        ($($round:literal)*) => {
            const _: () = assert!([$($round),*].len() as u64 == CALIBRATIONS);
            $(write(0, Event::Calibration { round: $round });)*
        };
    }
    // One after the other with nothing in between, not even a loop's end.
    calibrate!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
}

fn ring(cpu: usize) -> Option<Recorder> {
    let place = ring::place(Layer::Hypervisor, cpu)?;
    let first = core::ptr::with_exposed_provenance::<AtomicU64>(place.base as usize);
    // SAFETY: As `plan` was promised, the place is mapped memory. Others may write there at any time, hence atomics.
    let words = unsafe { core::slice::from_raw_parts(first, (place.size / 8) as usize) };
    Recorder::ring(words, Layer::Hypervisor, cpu, timer::frequency())
}

/// Records the last words of this CPU and nothing after them: what they are about may be the recording itself.
pub fn last_words(info: &PanicInfo<'_>) {
    // Before there is a plan a CPU has no data of its own yet.
    let sink = PLAN.get().map(|_| &cpu::this().sink);
    // SAFETY: This CPU's; whoever was writing a record does not come back to it.
    if let Some(mut recorder) = sink.and_then(|sink| unsafe { (*sink.0.get()).take() }) {
        let mut words = heapless::String::<64>::new();
        // What does not fit is cut off.
        let _ = match info.location() {
            Some(place) => write!(words, "{}:{} {}", place.file(), place.line(), info.message()),
            None => write!(words, "{}", info.message()),
        };
        recorder.write(read!("cntpct_el0"), 0, Event::panic(&words), print);
    }
}
