// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many rings, each in its own order, become one sequence.
//!
//! All CPUs share the counter, so the earlier time comes first. Under `-icount` no two layers of a CPU ever read the
//! same tick; at 62.5 MHz they may. Then what goes down the levels comes first, from the highest layer of software to
//! the lowest, and then what comes up again, from the lowest to the highest.

use super::Entry;
use shared_abi::trace::{Event, Layer};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Where an entry stands among those of the same time.
type Place = (u64, bool, u8, u8);

fn place(entry: &Entry) -> Place {
    let up = matches!(
        entry.record.event,
        Event::Answer { .. } | Event::Receive { .. } | Event::Resume { .. } | Event::Enter { .. }
    );
    let depth = match entry.layer {
        Layer::Hypervisor => 0,
        Layer::Monitor => 1,
        Layer::Tee => 2,
    };
    (entry.record.time, up, if up { 2 - depth } else { depth }, entry.cpu)
}

/// Takes from the fronts of the rings what is not later than `until`, in order. No ring's own order is changed.
pub(crate) fn take(rings: &mut [VecDeque<Entry>], until: u64, mut each: impl FnMut(Entry)) {
    let due = |ring: &VecDeque<Entry>| ring.front().map(place).filter(|place| place.0 <= until);
    let mut heads: BinaryHeap<_> =
        rings.iter().enumerate().filter_map(|(index, ring)| Some(Reverse((due(ring)?, index)))).collect();
    while let Some(Reverse((_, index))) = heads.pop() {
        let Some(ring) = rings.get_mut(index) else { continue };
        if let Some(entry) = ring.pop_front() {
            each(entry);
        }
        if let Some(place) = due(ring) {
            heads.push(Reverse((place, index)));
        }
    }
}

/// Takes all that the rings hold, in order.
pub(crate) fn all(mut rings: Vec<VecDeque<Entry>>) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(rings.iter().map(VecDeque::len).sum());
    take(&mut rings, u64::MAX, |entry| entries.push(entry));
    entries
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;
    use shared_abi::trace::World;

    fn call() -> Event {
        let (conduit, from) = (shared_abi::trace::event::Conduit::Smc, World::Normal);
        Event::Call { conduit, from, vcpu: 0, x: [0; 8] }
    }

    fn answer() -> Event {
        Event::Answer { to: World::Normal, vcpu: 0, x: [0; 4], pc: 0 }
    }

    #[test]
    fn a_call_within_one_tick_is_in_the_order_in_which_it_goes_down_and_up() {
        let ring = |layer| VecDeque::from([entry(layer, 5, 0, call()), entry(layer, 5, 1, answer())]);
        let merged = all(Layer::ALL.map(ring).into());
        let (hyp, el3, tee) = (Layer::Hypervisor, Layer::Monitor, Layer::Tee);
        assert_eq!(merged.iter().map(|entry| entry.layer).collect::<Vec<_>>(), [hyp, el3, tee, tee, el3, hyp]);
    }

    #[test]
    fn a_rings_own_order_is_never_changed() {
        let one = VecDeque::from([entry(Layer::Tee, 5, 0, answer()), entry(Layer::Tee, 5, 1, call())]);
        let other = VecDeque::from([entry(Layer::Monitor, 4, 0, call()), entry(Layer::Monitor, 6, 1, answer())]);
        let merged = all(vec![one, other]);
        let places: Vec<_> = merged.iter().map(|entry| (entry.record.time, entry.record.sequence)).collect();
        assert_eq!(places, [(4, 0), (5, 0), (5, 1), (6, 1)]);
    }

    #[test]
    fn what_is_later_waits() {
        let mut rings = [VecDeque::from([1, 2, 3, 4].map(|time| entry(Layer::Tee, time, 0, call())))];
        let mut taken = 0;
        take(&mut rings, 3, |_| taken += 1);
        assert_eq!((taken, rings[0].len()), (3, 1));
    }
}
