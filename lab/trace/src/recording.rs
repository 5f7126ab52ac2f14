// SPDX-License-Identifier: MIT OR Apache-2.0
//! A trace in the making, by whichever way the records leave the machine.

use super::collector::Collector;
use super::{Entry, Trace, Traced, merge};
use anyhow::Result;
use shared_abi::trace::{Layer, Way};
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::Sender;

/// The records of a running machine.
#[derive(Debug)]
pub struct Recording {
    rings: Option<Collector>,
    frames: BTreeMap<(Layer, u8), VecDeque<Entry>>,
    live: Option<Sender<Entry>>,
    frequency: u64,
    instructions: bool,
}

impl Recording {
    /// Begins to collect from a machine that traces. Entries go to `live` as they come. The machine may start before or
    /// after.
    pub fn start(traced: &Traced, live: Option<Sender<Entry>>) -> Result<Self> {
        let mut recording = Self {
            rings: None,
            frames: BTreeMap::new(),
            live: None,
            frequency: traced.frequency,
            instructions: traced.instructions,
        };
        match (&traced.memory, traced.way) {
            (Some(memory), Way::Rings) => {
                recording.rings = Some(Collector::start(memory.reader()?, traced.instructions, live));
            }
            _ => recording.live = live,
        }
        Ok(recording)
    }

    /// Takes entries that were found on a console.
    pub fn hear(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if let Some(live) = &self.live {
                // Who does not watch any more misses nothing.
                let _ = live.send(entry);
            }
            self.frames.entry((entry.layer, entry.cpu)).or_default().push_back(entry);
        }
    }

    /// Ends the recording when the machine has ended: returns all that it told. So many frames were `damaged`.
    pub fn finish(self, damaged: u64) -> Trace {
        if let Some(rings) = self.rings {
            return rings.finish();
        }
        let lost = self.frames.values().map(lost).sum();
        let entries = merge::all(self.frames.into_values().collect());
        let frequency = if entries.is_empty() { 0 } else { self.frequency };
        Trace { frequency, entries, lost, damaged, instructions: self.instructions }
    }
}

/// Counts the records of a layer that are missing on a CPU, before and between those that came.
fn lost(entries: &VecDeque<Entry>) -> u64 {
    let mut next = 0_u32;
    let mut lost = 0;
    for entry in entries {
        lost += u64::from(entry.record.sequence.wrapping_sub(next));
        next = entry.record.sequence.wrapping_add(1);
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;
    use shared_abi::trace::Event;

    #[test]
    fn frames_become_a_trace_and_missing_ones_are_counted() {
        let mut recording = Recording {
            rings: None,
            frames: BTreeMap::new(),
            live: None,
            frequency: 1_000_000_000,
            instructions: true,
        };
        let event = Event::Calibration { round: 0 };
        recording.hear(vec![entry(Layer::Tee, 20, 1, event), entry(Layer::Tee, 50, 4, event)]);
        recording.hear(vec![entry(Layer::Monitor, 10, 0, event), entry(Layer::Monitor, 30, 1, event)]);
        let trace = recording.finish(5);
        let times: Vec<_> = trace.entries.iter().map(|entry| entry.record.time).collect();
        assert_eq!((times, trace.lost, trace.damaged), (vec![10, 20, 30, 50], 3, 5));
    }
}
