// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every record so far, and what was going on at each.

use super::filter::{Filter, News};
use super::status::Status;
use lab_trace::Entry;

/// A status is kept for every so many records; the ones between are made again from it.
const STRIDE: usize = 4096;
/// Records that are kept: about 200 MB. The oldest go first.
const MOST: usize = 512 * STRIDE;

/// The records of a run that is watched.
#[derive(Debug)]
pub struct History {
    frequency: u64,
    entries: Vec<Entry>,
    /// Whether each is news.
    told: Vec<bool>,
    news: News,
    /// Before the entries at multiples of [`STRIDE`].
    checkpoints: Vec<Status>,
    now: Status,
    /// Records that are not kept any more.
    forgotten: u64,
}

impl History {
    /// Begins with nothing; `frequency` ticks of a record's time are a second.
    pub fn new(frequency: u64) -> Self {
        Self {
            frequency,
            entries: Vec::new(),
            told: Vec::new(),
            news: News::default(),
            checkpoints: Vec::new(),
            now: Status::default(),
            forgotten: 0,
        }
    }

    /// Takes note of a record; says how many of the oldest were given up for it.
    pub fn hear(&mut self, entry: Entry) -> usize {
        let mut given_up = 0;
        if self.entries.len() == MOST {
            given_up = MOST / 4;
            self.entries.drain(..given_up);
            self.told.drain(..given_up);
            self.checkpoints.drain(..given_up / STRIDE);
            self.forgotten += given_up as u64;
        }
        if self.entries.len().is_multiple_of(STRIDE) {
            self.checkpoints.push(self.now.clone());
        }
        self.now.hear(&entry, self.frequency);
        self.told.push(self.news.hear(&entry));
        self.entries.push(entry);
        given_up
    }

    /// Says how many ticks are a second.
    pub const fn frequency(&self) -> u64 {
        self.frequency
    }

    /// Says how many records there are to look at.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Says whether there is none yet.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Says how many there were in all.
    pub const fn heard(&self) -> u64 {
        self.forgotten + self.entries.len() as u64
    }

    /// Returns a record.
    pub fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    /// Says what is going on now.
    pub const fn now(&self) -> &Status {
        &self.now
    }

    /// Says what was going on after a record.
    pub fn status_after(&self, index: usize) -> Status {
        let Some(checkpoint) = self.checkpoints.get(index / STRIDE) else { return self.now.clone() };
        let mut status = checkpoint.clone();
        for entry in self.entries.iter().take(index + 1).skip(index / STRIDE * STRIDE) {
            status.hear(entry, self.frequency);
        }
        status
    }

    /// Says whether a filter shows a record.
    pub fn shows(&self, index: usize, filter: &Filter) -> bool {
        let entry = self.entries.get(index).zip(self.told.get(index));
        entry.is_some_and(|(entry, news)| filter.shows(entry, *news))
    }

    /// Lists the last `count` records up to `end` (not included) that a filter shows, oldest first.
    pub fn window(&self, end: usize, count: usize, filter: &Filter) -> Vec<usize> {
        let end = end.min(self.entries.len());
        let shown = (0..end).rev().filter(|index| self.shows(*index, filter));
        let mut window: Vec<_> = shown.take(count).collect();
        window.reverse();
        window
    }

    /// Finds the next record after `index` that a filter shows.
    pub fn after(&self, index: usize, filter: &Filter) -> Option<usize> {
        (index + 1..self.entries.len()).find(|index| self.shows(*index, filter))
    }

    /// Finds the last record before `index` that a filter shows.
    pub fn before(&self, index: usize, filter: &Filter) -> Option<usize> {
        (0..index.min(self.entries.len())).rev().find(|index| self.shows(*index, filter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::trace::{Event, Layer, Record};

    fn exit(time: u64) -> Entry {
        let event = Event::Interrupt { vcpu: 0, intid: 27, pc: 0 };
        let record = Record { time, sequence: time as u32, client: 1, event };
        Entry { layer: Layer::Hypervisor, cpu: 0, record }
    }

    #[test]
    fn what_was_is_what_it_was_then() {
        let mut history = History::new(1000);
        (0..3 * STRIDE as u64).for_each(|time| assert_eq!(history.hear(exit(time)), 0));
        for index in [0, 1, STRIDE - 1, STRIDE, 2 * STRIDE + 7] {
            assert_eq!(history.status_after(index).vms[&1].exits, index as u64 + 1);
        }
        assert_eq!(history.now().vms[&1].exits, 3 * STRIDE as u64);
    }

    #[test]
    fn the_oldest_records_go_and_what_they_told_stays() {
        let mut history = History::new(1000);
        let given_up: usize = (0..MOST as u64 + 10).map(|time| history.hear(exit(time))).sum();
        assert_eq!((given_up, history.len()), (MOST / 4, MOST - MOST / 4 + 10));
        assert_eq!(history.heard(), MOST as u64 + 10);
        assert_eq!(history.status_after(5).vms[&1].exits, (MOST / 4) as u64 + 6);
    }

    #[test]
    fn stepping_keeps_to_what_is_shown() {
        let mut history = History::new(1000);
        (0..10).for_each(|time| {
            history.hear(exit(time));
        });
        let every = Filter { all: true, ..Filter::default() };
        assert_eq!(history.window(10, 3, &every), [7, 8, 9]);
        assert_eq!((history.before(5, &every), history.after(9, &every)), (Some(4), None));
        assert!(history.window(10, 3, &Filter::default()).is_empty());
        assert_eq!((history.before(0, &every), history.before(99, &every)), (None, Some(9)));
    }
}
