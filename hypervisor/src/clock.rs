// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine's clock: its real-time clock, read once and carried on by the counter.
#![forbid(unsafe_code)]

use crate::arch::{one_per_machine, timer};
use crate::platform;
use spin::Once;

/// A clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The time when the counter stood at `count`, in seconds.
    pub start: u64,
    /// What the counter stood at.
    pub count: u64,
    /// Counts per second.
    pub frequency: u64,
}

impl Clock {
    /// Returns the time at a count.
    pub fn seconds(&self, count: u64) -> u64 {
        self.start + count.saturating_sub(self.count) / self.frequency.max(1)
    }

    /// Returns the count at which that time begins.
    pub fn count(&self, seconds: u64) -> u64 {
        let since = seconds.saturating_sub(self.start);
        self.count.saturating_add(since.saturating_mul(self.frequency.max(1)))
    }
}

one_per_machine! {
    /// Says where the machine's clock is kept.
    fn kept() -> &'static Once<Clock> = Once::new();
}

/// Returns the machine's clock, which begins when this is asked first.
pub fn machine() -> Clock {
    *kept().call_once(|| Clock {
        start: platform::rtc::seconds().into(),
        count: timer::now(),
        frequency: timer::frequency(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_time_and_the_counter_agree() {
        let clock = Clock { start: 1000, count: 77, frequency: 10 };
        assert_eq!([0, 77, 86, 87].map(|count| clock.seconds(count)), [1000, 1000, 1000, 1001]);
        assert_eq!(clock.count(1001), 87);
        assert_eq!(clock.seconds(clock.count(1234)), 1234);
        assert_eq!(clock.count(u64::MAX), u64::MAX);
    }
}
