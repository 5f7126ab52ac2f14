// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the TEE's records go: a recorder for each CPU.
//!
//! A thread can be stopped anywhere by an interrupt, and so inside a record, by which it would leave the CPU's recorder
//! to whatever runs next there. So all exceptions that can be masked are masked from before the CPU's number is read
//! until the record is whole; the others are faults of the TEE, of which there is none in writing to memory that is
//! mapped, and after which nothing goes on.

#![expect(unsafe_code, reason = "what is a CPU's own")]

use super::console;
use crate::arch::aarch64::{cpu, nexus_map};
use crate::arch::{Arguments, Masked};
use firmware_support::trace::{Recorder, Tracer, Tracers};
use shared_abi::layout::TEE;
use shared_abi::trace::event::{Conduit, Encoded, Event};
use shared_abi::trace::{CALIBRATIONS, Layer, Way, World};

static TRACERS: Tracers = Tracer::none();

static WAY: spin::Once<Way> = spin::Once::new();

/// Says once, on the first CPU, which way the records take.
///
/// # Safety
///
/// With rings, the memory that they are made in must be mapped, and used for nothing else.
pub unsafe fn choose(way: Way) {
    WAY.call_once(|| way);
}

/// Begins telling on this CPU, and tells what telling costs. A CPU that was off goes on where it was.
pub fn begin() {
    let index = cpu::index();
    let image = nexus_map::image_end() - TEE.base;
    let Some(place) = TRACERS.get(index) else { return };
    // SAFETY: this CPU's own, with interrupts masked: it is not in use.
    let tracer = unsafe { place.borrow() };
    let first = tracer.is_none();
    if first {
        let way = WAY.get().copied().unwrap_or_default();
        // SAFETY: the memory of rings is mapped, as `choose` demands, and used for this alone.
        *tracer = unsafe { Recorder::open(way, Layer::Tee, index, cpu::frequency()) }.map(Tracer::new);
    }
    own(|tracer| tracer.client = 0);
    write(None, &Event::Start { base: TEE.base, size: image }.encode());
    for round in 0..if first { CALIBRATIONS } else { 0 } {
        write(None, &Event::Calibration { round }.encode());
    }
}

/// Writes a record of this CPU, about this client or the current one. Out of line: there are many places that do.
#[inline(never)]
pub fn write(client: Option<u16>, event: &Encoded) {
    own(|tracer| {
        let client = client.unwrap_or(tracer.client);
        tracer.recorder.write_encoded(cpu::ticks(), client, event, console::frame);
    });
}

/// Tells that a call has arrived; from now on this CPU's records are about who makes it.
#[inline(never)]
pub fn called(x: &Arguments) {
    own(|tracer| {
        tracer.client = x[7] as u16;
        let call = Event::Call { conduit: Conduit::Smc, from: World::Normal, vcpu: 0, x: *x };
        tracer.recorder.write_encoded(cpu::ticks(), tracer.client, &call.encode(), console::frame);
    });
}

/// Writes the last words, which nobody who holds the console may keep back.
#[cold]
pub fn write_last(event: &Encoded) {
    own(|tracer| {
        tracer.recorder.write_encoded(cpu::ticks(), tracer.client, event, console::last_frame);
    });
}

/// Runs `f`, which tells nothing itself, on this CPU's.
#[inline(always)]
fn own(f: impl FnOnce(&mut Tracer)) {
    let _masked = Masked::all();
    if let Some(place) = TRACERS.get(cpu::index()) {
        // SAFETY: the element is this CPU's, and nothing comes between; see the module's documentation.
        if let Some(tracer) = unsafe { place.borrow() } {
            f(tracer);
        }
    }
}
