// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the tests of several modules share, and the tests of [`Trace`] itself.

use super::*;
use shared_abi::trace::{Event, Layer, Record};

/// Makes an entry of CPU 0.
pub(super) fn entry(layer: Layer, time: u64, sequence: u32, event: Event) -> Entry {
    Entry { layer, cpu: 0, record: Record { time, sequence, client: 0, event } }
}

#[test]
fn the_cost_of_a_record_is_the_median_of_neighbouring_calibrations() {
    let times = [100, 140, 180, 300, 340];
    let rounds = times.iter().zip(0..);
    let entries = rounds
        .map(|(time, round)| entry(Layer::Tee, *time, round, Event::Calibration { round: round.into() }))
        .collect();
    let trace = Trace { entries, ..Trace::default() };
    assert_eq!(trace.cost(Layer::Tee, 0), Some(40));
    assert_eq!(trace.cost(Layer::Tee, 1), None);
    assert_eq!(trace.cost(Layer::Monitor, 0), None);
}

#[test]
fn a_calibration_that_something_came_between_tells_no_cost() {
    let calibration = |time, sequence, round| entry(Layer::Monitor, time, sequence, Event::Calibration { round });
    let mut trace = Trace { entries: vec![calibration(0, 0, 0), calibration(90, 2, 2)], ..Trace::default() };
    assert_eq!(trace.cost(Layer::Monitor, 0), None);
    trace.entries.insert(1, entry(Layer::Monitor, 5, 1, Event::Start { base: 0, size: 0 }));
    assert_eq!(trace.cost(Layer::Monitor, 0), None);
}
