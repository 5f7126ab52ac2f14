//! How much a layer says about what others make happen.
//!
//! A guest can reset itself, and a hypervisor create a VM, as often as it likes. A line takes long, on a console that all
//! share, and a log that grows with every call is nobody's to read: of each kind there is a number of lines, and the last
//! one says that it is the last.

use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

/// A number of lines that is used up.
pub struct Lines(AtomicU32);

/// The right to a line. What it displays belongs to the line's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// There may be others.
    Usual,
    /// There are no more of these.
    Last,
}

impl Lines {
    /// So many.
    pub const fn new(lines: u32) -> Self {
        Self(AtomicU32::new(lines))
    }

    /// Takes one, if there is one left.
    pub fn take(&self) -> Option<Line> {
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok()?;
        Some(if before == 1 { Line::Last } else { Line::Usual })
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
        let lines = Lines::new(3);
        let said: Vec<_> = (0..100).filter_map(|n| lines.take().map(|line| format!("{n}{line}"))).collect();
        assert_eq!(said, ["0", "1", "2; no more of these"]);
    }

    #[test]
    fn cpus_that_speak_at_once_say_no_more_than_there_is() {
        let lines = Lines::new(1000);
        let said = std::thread::scope(|scope| {
            let speakers = [(); 4].map(|()| scope.spawn(|| (0..1000).filter_map(|_| lines.take()).collect::<Vec<_>>()));
            speakers.map(|speaker| speaker.join().unwrap()).concat()
        });
        assert_eq!((said.len(), said.iter().filter(|line| **line == Line::Last).count()), (1000, 1));
    }
}
