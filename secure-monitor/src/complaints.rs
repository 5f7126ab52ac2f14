//! How much is said about what lower levels do wrong.

use core::sync::atomic::{AtomicU32, Ordering};

/// A number of lines that is used up.
pub struct Complaints(AtomicU32);

impl Complaints {
    /// So many lines.
    pub const fn new(lines: u32) -> Self {
        Self(AtomicU32::new(lines))
    }

    /// The right to one line, and how many are left after it. `None` when there was none left.
    pub fn take(&self) -> Option<u32> {
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok()?;
        Some(before - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_lines_as_were_said_and_the_last_one_is_known_to_be_that() {
        let complaints = Complaints::new(2);
        assert_eq!([(); 4].map(|()| complaints.take()), [Some(1), Some(0), None, None]);
    }
}
