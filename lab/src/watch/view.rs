// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user looks at: where in time, which filter, which console.

use super::filter::Filter;
use super::history::History;
use super::status::Status;
use std::borrow::Cow;

/// The user's side of the picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The record that is looked at; none while the picture follows the machine.
    pub at: Option<usize>,
    /// Which records are shown.
    pub filter: Filter,
    /// Which console has the focus, by its place among them.
    pub console: usize,
    /// Keys go to that console's VM.
    pub typing: bool,
    /// The next key is a command although keys go to a VM.
    pub escaped: bool,
    /// The keys are explained.
    pub help: bool,
}

impl View {
    /// Stops at the newest record, or follows again.
    pub fn pause(&mut self, history: &History) {
        self.at = match self.at {
            Some(_) => None,
            None => history.len().checked_sub(1),
        };
    }

    /// Goes so many shown records back or, if negative, forward; stops if it wasn't.
    pub fn step(&mut self, history: &History, back: isize) {
        let Some(mut at) = self.at.or_else(|| history.len().checked_sub(1)) else { return };
        for _ in 0..back.unsigned_abs() {
            let next = if back > 0 { history.before(at, &self.filter) } else { history.after(at, &self.filter) };
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        self.at = Some(at);
    }

    /// Goes to the first record that is kept.
    pub fn first(&mut self, history: &History) {
        self.at = (!history.is_empty()).then_some(0);
    }

    /// Forgets the oldest records.
    pub fn forget(&mut self, records: usize) {
        self.at = self.at.map(|at| at.saturating_sub(records));
    }

    /// Says how many records, from the first on, are in the past of what is looked at.
    pub fn end(&self, history: &History) -> usize {
        self.at.map_or(history.len(), |at| at + 1)
    }

    /// Says what was going on there.
    pub fn status<'h>(&self, history: &'h History) -> Cow<'h, Status> {
        match self.at {
            None => Cow::Borrowed(history.now()),
            Some(at) => Cow::Owned(history.status_after(at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_report::sample::Sample;

    #[test]
    fn one_steps_back_from_now_and_forward_to_now() {
        let mut sample = Sample::new();
        sample.guest_call(1);
        let mut history = History::new(1);
        let mut view = View::default();
        view.step(&history, 1);
        view.pause(&history);
        assert_eq!(view.at, None);
        sample.trace().entries.into_iter().for_each(|entry| {
            history.hear(entry);
        });
        view.step(&history, 3);
        let there = view.at.unwrap();
        assert!(there < history.len() - 1 && view.end(&history) == there + 1);
        view.step(&history, -2);
        assert!(view.at.unwrap() > there);
        view.step(&history, isize::MAX);
        let first = view.at.unwrap();
        assert_eq!(history.before(first, &view.filter), None);
        view.forget(1_000_000);
        assert_eq!(view.at, Some(0));
        view.pause(&history);
        assert_eq!((view.at, view.end(&history)), (None, history.len()));
    }
}
