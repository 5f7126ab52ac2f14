// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much a trace holds, and what it cost; its end, for who looks for a failure.

use super::text::Log;
use super::{Entry, Trace};
use shared_abi::trace::{Event, Layer};
use std::collections::VecDeque;
use std::fmt::Write;

impl Trace {
    /// Writes records by layer and CPU, the cost of one, and what was lost.
    pub fn summary(&self) -> String {
        let unit = if self.instructions { "instructions" } else { "ticks" };
        let mut text = String::from("trace:\n");
        for layer in Layer::ALL {
            for cpu in self.cpus(layer) {
                let cost =
                    self.cost(layer, cpu).map_or("not measured".to_owned(), |cost| format!("{cost} {unit} each"));
                // Writing to a String cannot fail.
                let _ = writeln!(
                    text,
                    "        {} CPU {cpu}: {} records, {cost}",
                    layer.name(),
                    self.of(layer, cpu).count()
                );
            }
        }
        let _ = writeln!(text, "        {} lost, {} damaged", self.lost, self.damaged);
        text
    }

    /// Lists the last records of every layer, each with those of the time before it in order.
    pub fn last(&self, count: usize) -> String {
        let mut text = String::new();
        for layer in Layer::ALL {
            let mut log = Log::default();
            let mut lines = VecDeque::new();
            for entry in self.entries.iter().filter(|entry| entry.layer == layer && !is_calibration(entry)) {
                if lines.len() == count {
                    lines.pop_front();
                }
                lines.push_back(log.line(entry));
            }
            if !lines.is_empty() {
                let _ = writeln!(text, "last records of {}:", layer.name());
            }
            for line in lines {
                let _ = writeln!(text, "        {line}");
            }
        }
        text
    }
}

const fn is_calibration(entry: &Entry) -> bool {
    matches!(entry.record.event, Event::Calibration { .. })
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;

    #[test]
    fn the_end_of_every_layer_is_shown_and_what_a_record_costs() {
        let calibration = |time, round| entry(Layer::Tee, time, 0, Event::Calibration { round });
        let mut entries = vec![calibration(0, 0), calibration(40, 1)];
        entries.extend((0..5).map(|n| {
            entry(Layer::Tee, 100 + n, 0, Event::Refused { reason: shared_abi::trace::Refusal::Full, value: n })
        }));
        entries.push(entry(Layer::Monitor, 200, 0, Event::Start { base: 0, size: 4096 }));
        let trace = Trace { entries, lost: 3, instructions: true, ..Trace::default() };
        let expected = "trace:\n        EL3 CPU 0: 1 records, not measured\n        \
            TEE CPU 0: 7 records, 40 instructions each\n        3 lost, 0 damaged\n";
        assert_eq!(trace.summary(), expected);
        let last = trace.last(2);
        assert!(last.starts_with("last records of EL3:\n") && !last.contains("HYP"), "{last}");
        assert!(!last.contains("(0x2)") && last.contains("(0x3)") && last.contains("(0x4)"), "{last}");
        assert!(trace.last(9).contains("(0x0)") && !trace.last(9).contains("calibration"));
    }
}
