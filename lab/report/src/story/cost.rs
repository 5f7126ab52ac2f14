// SPDX-License-Identifier: MIT OR Apache-2.0
//! What writing a record takes, to be taken off.

use lab_trace::{Entry, Trace};
use shared_abi::trace::{Event, Layer};
use std::collections::BTreeMap;

/// Ticks that a record takes, for each layer on each CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    known: BTreeMap<(Layer, u8), u64>,
    /// The last calibration record of each, while a trace is heard.
    last: BTreeMap<(Layer, u8), (u64, u64)>,
    /// All that there is to know is known.
    whole: bool,
}

impl Costs {
    /// Learns what a whole trace tells.
    pub fn of(trace: &Trace) -> Self {
        let mut costs = Self { whole: true, ..Self::default() };
        for layer in Layer::ALL {
            for cpu in trace.cpus(layer) {
                if let Some(cost) = trace.cost(layer, cpu) {
                    costs.known.insert((layer, cpu), cost);
                }
            }
        }
        costs
    }

    /// Learns from a record, where a trace is heard while it is written.
    pub fn hear(&mut self, entry: &Entry) {
        let key = (entry.layer, entry.cpu);
        let Event::Calibration { round } = entry.record.event else { return };
        if self.whole {
            return;
        }
        if let Some((before, time)) = self.last.insert(key, (round, entry.record.time))
            && before.wrapping_add(1) == round
        {
            let cost = entry.record.time.saturating_sub(time);
            self.known.entry(key).and_modify(|known| *known = cost.min(*known)).or_insert(cost);
        }
    }

    /// Says how many ticks a record of this layer takes on this CPU; if that one did not calibrate, on any. 0 if nobody
    /// knows.
    pub fn get(&self, layer: Layer, cpu: u8) -> u64 {
        let same = || self.known.iter().find(|((other, _), _)| *other == layer).map(|(_, cost)| *cost);
        self.known.get(&(layer, cpu)).copied().or_else(same).unwrap_or(0)
    }

    /// Lists all that is known.
    pub fn iter(&self) -> impl Iterator<Item = (Layer, u8, u64)> {
        self.known.iter().map(|((layer, cpu), cost)| (*layer, *cpu, *cost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{COST, Sample};

    #[test]
    fn costs_are_the_same_learnt_on_the_way_and_from_the_whole() {
        let trace = Sample::new().trace();
        let mut learnt = Costs::default();
        trace.entries.iter().for_each(|entry| learnt.hear(entry));
        assert!(learnt.iter().eq(Costs::of(&trace).iter()));
        assert_eq!(learnt.iter().count(), 3);
        assert_eq!((learnt.get(Layer::Tee, 0), learnt.get(Layer::Tee, 7)), (COST, COST));
        assert_eq!(Costs::default().get(Layer::Tee, 0), 0);
    }
}
