// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the monitor's records go: a recorder for each CPU.

use super::console;
use crate::arch::{self, cpus, sysreg};
use core::sync::atomic::{AtomicU64, Ordering};
use firmware_support::trace::{Recorder, Tracer, Tracers};
use shared_abi::layout::MONITOR_RUNTIME;
use shared_abi::trace::event::{Encoded, Event};
use shared_abi::trace::{CALIBRATIONS, Layer, Way};

static TRACERS: Tracers = Tracer::none();

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
    let way = Way::from_number(WAY.load(Ordering::Relaxed));
    // SAFETY: `choose` demands that the memory of rings is mapped.
    let recorder = unsafe { Recorder::open(way, Layer::Monitor, index, arch::counter().1) };
    if let Some(tracer) = own() {
        *tracer = recorder.map(Tracer::new);
    }
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
    if let Some(Some(tracer)) = own() {
        let time = sysreg::read!("cntpct_el0");
        tracer.client = client.unwrap_or(tracer.client);
        tracer.recorder.write_encoded(time, tracer.client, event, console::frame);
    }
}

/// Borrows this CPU's. The reference does not outlive one record: nothing that is called while it lives tells anything,
/// and nothing interrupts EL3.
#[inline(always)]
fn own() -> Option<&'static mut Option<Tracer>> {
    let place = TRACERS.get(cpus::this_cpu()?)?;
    // SAFETY: the element is this CPU's, and it is borrowed once at a time, as said above. A fault in between ends the
    // CPU, with one more record at most.
    Some(unsafe { place.borrow() })
}
