// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much a layer says about what others make happen.
//!
//! A guest can reset itself, and a hypervisor create a VM, as often as it likes. A line takes long, on a console that
//! all share, and a log that grows with every call is nobody's to read: of each kind there is a number of lines, and
//! the last one says that it is the last.

use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

/// A number of lines that is used up: how many were taken, of `MOST`. It begins as zero, so that a table of them takes
/// no room in an image.
#[derive(Default)]
pub struct Lines<const MOST: u32>(AtomicU32);

/// The right to a line. What it displays belongs to the line's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// There may be others.
    Usual,
    /// There are no more of these.
    Last,
}

impl<const MOST: u32> Lines<MOST> {
    /// Makes one of which all are left.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Takes one, if there is one left.
    pub fn take(&self) -> Option<Line> {
        let taken = |taken| if taken < MOST { Some(taken + 1) } else { None };
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).ok()?;
        Some(if before + 1 == MOST { Line::Last } else { Line::Usual })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usual => Ok(()),
            Self::Last => f.write_str("; no more of these"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_lines_as_were_given_and_the_last_one_says_so() {
        let lines = Lines::<3>::new();
        let said: Vec<_> = (0..100).filter_map(|n| lines.take().map(|line| format!("{n}{line}"))).collect();
        assert_eq!(said, ["0", "1", "2; no more of these"]);
    }

    #[test]
    fn cpus_that_speak_at_once_say_no_more_than_there_is() {
        let lines = Lines::<1000>::new();
        let said = std::thread::scope(|scope| {
            let speakers = [(); 4].map(|()| scope.spawn(|| (0..1000).filter_map(|_| lines.take()).collect::<Vec<_>>()));
            speakers.map(|speaker| speaker.join().unwrap()).concat()
        });
        assert_eq!((said.len(), said.iter().filter(|line| **line == Line::Last).count()), (1000, 1));
    }
}
