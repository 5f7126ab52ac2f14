//! One CPU's end of tracing: gives each record its number and brings it out of the machine.

use super::event::Event;
use super::frame::{Frame, LENGTH};
use super::record::Record;
use super::ring::Writer;
use super::{Layer, Way};
use core::sync::atomic::AtomicU64;

/// How many [`Event::Calibration`] records a layer writes on each CPU, right after [`Event::Start`].
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

    /// Writes a record. `line` prints a frame, as one whole line.
    #[inline(always)]
    pub fn write(&mut self, time: u64, client: u16, event: Event, line: impl FnOnce(&[u8; LENGTH])) {
        match &mut self.sink {
            Sink::Ring(writer) => {
                let sequence = writer.sequence();
                writer.write(&Record { time, sequence, client, event });
            }
            Sink::Frames { layer, cpu, written } => {
                let record = Record { time, sequence: *written, client, event };
                *written = written.wrapping_add(1);
                line(&Frame { layer: *layer, cpu: *cpu, record }.to_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_numbered_as_records_of_a_ring_are() {
        let mut recorder = Recorder::frames(Layer::Tee, 2);
        for sequence in 0..3 {
            let mut line = Vec::new();
            recorder.write(7, 1, Event::Calibration { round: 0 }, |frame| line = frame[..LENGTH - 1].to_vec());
            let frame = Frame::parse(&line).unwrap();
            assert_eq!((frame.layer, frame.cpu, frame.record.sequence), (Layer::Tee, 2, sequence));
        }
    }
}
