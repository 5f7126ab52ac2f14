// SPDX-License-Identifier: MIT OR Apache-2.0
//! One CPU's end of tracing: gives each record its number and brings it out of the machine.
#![expect(unsafe_code, reason = "memory of the trace")]

use super::ring::Writer;
use crate::own::Own;
use core::sync::atomic::AtomicU64;
use shared_abi::layout::MAX_CPUS;
use shared_abi::trace::event::{Encoded, Event};
use shared_abi::trace::frame::{LENGTH, line};
use shared_abi::trace::record::words;
use shared_abi::trace::{Layer, Way, ring};

/// Where the records of a layer on a CPU go. Nothing of it is in the memory that the records are written to.
#[derive(Debug)]
pub struct Recorder {
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Ring(Writer),
    Frames { layer: Layer, cpu: u8, written: u32 },
}

impl Recorder {
    /// Opens the recorder of a layer on a CPU, which goes the way that was asked for. None if that is nowhere.
    ///
    /// # Safety
    ///
    /// For rings, [`TRACE`](shared_abi::layout::TRACE) is mapped for ever, and the layer uses it for nothing else.
    pub unsafe fn open(way: Way, layer: Layer, cpu: usize, frequency: u64) -> Option<Self> {
        match way {
            Way::Nowhere => None,
            Way::Frames => Some(Self::frames(layer, cpu)),
            Way::Rings => {
                let place = ring::place(layer, cpu)?;
                let first = core::ptr::with_exposed_provenance::<AtomicU64>(place.base as usize);
                // SAFETY: the memory is mapped, as the caller promises, and aligned. That others write there, too, is
                // what the type allows.
                let words = unsafe { core::slice::from_raw_parts(first, place.size as usize / 8) };
                Self::ring(words, layer, cpu, frequency)
            }
        }
    }

    /// Records into a ring that is made in `words` ([`ring::place`]).
    pub fn ring(words: &'static [AtomicU64], layer: Layer, cpu: usize, frequency: u64) -> Option<Self> {
        Some(Self { sink: Sink::Ring(Writer::new(words, layer, cpu, frequency)?) })
    }

    /// Records as frames.
    pub const fn frames(layer: Layer, cpu: usize) -> Self {
        Self { sink: Sink::Frames { layer, cpu: cpu as u8, written: 0 } }
    }

    /// Says by which way they go.
    pub const fn way(&self) -> Way {
        match self.sink {
            Sink::Ring(_) => Way::Rings,
            Sink::Frames { .. } => Way::Frames,
        }
    }

    /// Writes a record. `print` is given a frame, to be printed as one whole line; where records are to be cheap, it is
    /// a function out of line.
    #[inline(always)]
    pub fn write(&mut self, time: u64, client: u16, event: Event, print: impl FnOnce(&[u8; LENGTH])) {
        self.write_encoded(time, client, &event.encode(), print);
    }

    /// Writes an event that is encoded: for a writer that is out of line itself and so must not know every event.
    #[inline(always)]
    pub fn write_encoded(&mut self, time: u64, client: u16, event: &Encoded, print: impl FnOnce(&[u8; LENGTH])) {
        match &mut self.sink {
            Sink::Ring(writer) => {
                let sequence = writer.sequence();
                writer.write_words(&words(time, sequence, client, event));
            }
            Sink::Frames { layer, cpu, written } => {
                let sequence = *written;
                *written = written.wrapping_add(1);
                print(&line(*layer, *cpu, &words(time, sequence, client, event)));
            }
        }
    }
}

/// A CPU's recorder, and about whom it tells.
pub struct Tracer {
    /// Where the records go.
    pub recorder: Recorder,
    /// The client that the CPU works for.
    pub client: u16,
}

/// A tracer for each CPU, once it has begun and records go anywhere.
pub type Tracers = [Own<Option<Tracer>>; MAX_CPUS];

impl Tracer {
    /// Makes one that has been told nothing yet.
    pub const fn none() -> Tracers {
        [const { Own::new(None) }; MAX_CPUS]
    }

    /// Begins with whom nobody is told of.
    pub const fn new(recorder: Recorder) -> Self {
        Self { recorder, client: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::trace::{Record, frame::Frame};

    #[test]
    fn a_recorder_goes_the_way_that_was_asked_for() {
        // SAFETY: neither way is that of rings.
        let open = |way| unsafe { Recorder::open(way, Layer::Monitor, 1, 1) };
        assert!(open(Way::Nowhere).is_none());
        assert_eq!(open(Way::Frames).unwrap().way(), Way::Frames);
        // SAFETY: there is no ring for such a CPU, so that no memory is touched.
        assert!(unsafe { Recorder::open(Way::Rings, Layer::Monitor, MAX_CPUS, 1) }.is_none());
    }

    #[test]
    fn frames_are_numbered_as_records_of_a_ring_are() {
        let mut recorder = Recorder::frames(Layer::Tee, 2);
        for sequence in 0..3 {
            let mut frames = Vec::new();
            let event = Event::Calibration { round: 0 };
            recorder.write(7, 1, event, |frame| frames.push(*frame));
            let record = Record { time: 7, sequence, client: 1, event };
            assert_eq!(frames, [Frame { layer: Layer::Tee, cpu: 2, record }.to_bytes()]);
        }
    }
}
