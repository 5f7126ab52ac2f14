// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the layers told of a run.

use shared_abi::trace::{Event, Layer, Record};

/// A record, and who wrote it where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who.
    pub layer: Layer,
    /// On which CPU.
    pub cpu: u8,
    /// What.
    pub record: Record,
}

/// All that the layers told of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Ticks of the records' times in a second; 0 if nobody wrote a record.
    pub frequency: u64,
    /// In order of time; where times are equal, as `merge` says.
    pub entries: Vec<Entry>,
    /// Records that were written and never read.
    pub lost: u64,
    /// What was read where a record should be and is none.
    pub damaged: u64,
    /// A tick is an instruction: the machine ran under QEMU's `-icount shift=0` with a counter of 1 GHz.
    pub instructions: bool,
}

impl Trace {
    /// Lists the records of one layer on one CPU, in their order.
    pub fn of(&self, layer: Layer, cpu: u8) -> impl DoubleEndedIterator<Item = &Record> {
        self.entries.iter().filter(move |entry| entry.layer == layer && entry.cpu == cpu).map(|entry| &entry.record)
    }

    /// Lists the CPUs on which a layer wrote records, in order.
    pub fn cpus(&self, layer: Layer) -> Vec<u8> {
        let mut cpus: Vec<_> =
            self.entries.iter().filter(|entry| entry.layer == layer).map(|entry| entry.cpu).collect();
        cpus.sort_unstable();
        cpus.dedup();
        cpus
    }

    /// Says how many ticks a record of this layer takes on this CPU: the median difference between neighbouring
    /// calibration records.
    pub fn cost(&self, layer: Layer, cpu: u8) -> Option<u64> {
        let mut costs = Vec::new();
        let mut previous: Option<&Record> = None;
        for record in self.of(layer, cpu) {
            if let (Some(before), Event::Calibration { round }) = (previous, record.event)
                && let Event::Calibration { round: round_before } = before.event
                && round == round_before.wrapping_add(1)
            {
                costs.push(record.time.saturating_sub(before.time));
            }
            previous = Some(record);
        }
        costs.sort_unstable();
        costs.get(costs.len() / 2).copied()
    }
}
