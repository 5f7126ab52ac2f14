// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a CPU's records go: into its ring, or as frames onto the UART.

use super::console;
use crate::arch::{cpu, timer};
use crate::percpu;
use core::fmt::Write;
use core::panic::PanicInfo;
use firmware_support::trace::Recorder;
use shared_abi::layout::Range;
use shared_abi::trace::frame::LENGTH;
use shared_abi::trace::{CALIBRATIONS, Event, Layer, Way};
use spin::Once;

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
    percpu::this().sink.write(client, event, print);
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
pub fn begin() {
    let Some(Plan { way, image }) = PLAN.get().copied() else { return };
    let cpu = percpu::this();
    // SAFETY: as `plan` was promised, the memory of rings is mapped.
    let recorder = unsafe { Recorder::open(way, Layer::Hypervisor, cpu.index, timer::frequency()) };
    // SAFETY: this CPU's, before its first record.
    unsafe { cpu.sink.set(recorder) };
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

/// Records the last words of this CPU and nothing after them: what they are about may be the recording itself.
pub fn last_words(info: &PanicInfo<'_>) {
    // Before there is a plan a CPU has no data of its own yet.
    let sink = PLAN.get().map(|_| &percpu::this().sink);
    // SAFETY: this CPU's; whoever was writing a record does not come back to it.
    if let Some(mut recorder) = sink.and_then(|sink| unsafe { sink.set(None) }) {
        let mut words = heapless::String::<64>::new();
        // What does not fit is cut off.
        let _ = match info.location() {
            Some(place) => write!(words, "{}:{} {}", place.file(), place.line(), info.message()),
            None => write!(words, "{}", info.message()),
        };
        recorder.write(cpu::count(), 0, Event::panic(&words), print);
    }
}
