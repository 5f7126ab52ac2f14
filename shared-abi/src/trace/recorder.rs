// SPDX-License-Identifier: MIT OR Apache-2.0
//! One CPU's end of tracing: gives each record its number and brings it out of the machine.

use super::event::{Encoded, Event};
use super::frame::{LENGTH, line};
use super::record::words;
use super::ring::Writer;
use super::{Layer, Way};
use core::sync::atomic::AtomicU64;

/// How many [`Calibration`](super::Event::Calibration) records a layer writes on each CPU, right after
/// [`Start`](super::Event::Start).
pub const CALIBRATIONS: u64 = 16;

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
    /// Records into a ring that is made in `words` ([`super::ring::place`]).
    pub fn ring(words: &'static [AtomicU64], layer: Layer, cpu: usize, frequency: u64) -> Option<Self> {
        Some(Self { sink: Sink::Ring(Writer::new(words, layer, cpu, frequency)?) })
    }

    /// Records as frames.
    pub const fn frames(layer: Layer, cpu: usize) -> Self {
        Self { sink: Sink::Frames { layer, cpu: cpu as u8, written: 0 } }
    }

    /// By which way they go.
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

#[cfg(test)]
mod tests {
    use super::super::{Record, frame::Frame};
    use super::*;

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
