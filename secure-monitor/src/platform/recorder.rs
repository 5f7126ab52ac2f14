// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the monitor's records go: a recorder for each CPU.

use super::{console, memory};
use crate::arch::{self, cpus, sysreg};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};
use shared_abi::layout::{MAX_CPUS, MONITOR_RUNTIME};
use shared_abi::trace::event::{Encoded, Event};
use shared_abi::trace::recorder::CALIBRATIONS;
use shared_abi::trace::{Layer, Recorder, Way, ring};

/// A CPU's recorder, and about whom it tells.
struct Tracer {
    recorder: Recorder,
    client: u16,
}

struct Tracers([UnsafeCell<Option<Tracer>>; MAX_CPUS]);

// SAFETY: each CPU uses its own element alone (`own`).
unsafe impl Sync for Tracers {}

static TRACERS: Tracers = Tracers([const { UnsafeCell::new(None) }; MAX_CPUS]);

/// A [`Way`], by number.
static WAY: AtomicU64 = AtomicU64::new(Way::Nowhere as u64);

/// Says once, before the first CPU begins, which way the records take.
///
/// # Safety
///
/// With rings, [`shared_abi::layout::TRACE`] must be mapped, and used for nothing else.
pub unsafe fn choose(way: Way) {
    WAY.store(way as u64, Ordering::Relaxed);
}

/// Begins telling on this CPU, which has what it owns, and tells what telling costs.
pub fn begin() {
    let Some(index) = cpus::this_cpu() else { return };
    let recorder = match Way::from_number(WAY.load(Ordering::Relaxed)) {
        Way::Rings => {
            // SAFETY: `choose` demands that the memory is mapped, and what is in it is all atomic.
            let words = ring::place(Layer::Monitor, index).map(|place| unsafe { memory::ring(place) });
            words.and_then(|words| Recorder::ring(words, Layer::Monitor, index, arch::counter().1))
        }
        Way::Frames => Some(Recorder::frames(Layer::Monitor, index)),
        Way::Nowhere => None,
    };
    // SAFETY: this CPU's own, and not borrowed: no reference outlives the record it is for.
    unsafe { *TRACERS.0[index].get() = recorder.map(|recorder| Tracer { recorder, client: 0 }) };
    write(None, &Event::Start { base: MONITOR_RUNTIME.base, size: MONITOR_RUNTIME.size }.encode());
    for round in 0..CALIBRATIONS {
        write(None, &Event::Calibration { round }.encode());
    }
}

/// Writes a record of this CPU, which works for this client from now on, or goes on for the one before. Before
/// [`begin`], and where nothing is asked for, there is nobody to write it.
///
/// Out of line: there are many places that do, and one of them is where it is measured what that costs.
#[inline(never)]
pub fn write(client: Option<u16>, event: &Encoded) {
    record(client, event);
}

/// Writes a record as [`write`] does, in line.
#[inline(always)]
pub fn record(client: Option<u16>, event: &Encoded) {
    if let Some(tracer) = own() {
        let time = sysreg::read!("cntpct_el0");
        tracer.client = client.unwrap_or(tracer.client);
        tracer.recorder.write_encoded(time, tracer.client, event, console::frame);
    }
}

/// Borrows this CPU's. The reference does not outlive one record: nothing that is called while it lives tells anything,
/// and nothing interrupts EL3.
#[inline(always)]
fn own() -> Option<&'static mut Tracer> {
    let place = TRACERS.0.get(cpus::this_cpu()?)?;
    // SAFETY: the element is this CPU's, and it is borrowed once at a time, as said above. A fault in between ends the
    // CPU, with one more record at most.
    unsafe { (*place.get()).as_mut() }
}
