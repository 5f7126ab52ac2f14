// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls of one VM that compete for two numbers: what shows that its locks hold while they do (OP-TEE's mutex test).

use super::mutex::Mutex;
use core::sync::atomic::{AtomicU32, Ordering};

/// The two numbers: the second is twice the first whenever nobody has them alone.
#[derive(Default)]
pub struct Numbers {
    once: u64,
    twice: u64,
}

impl Numbers {
    /// Makes one step, after which they fit each other again.
    pub fn step(&mut self) {
        self.once = self.once.wrapping_add(1);
        // In steps that the compiler cannot see as one.
        let numbers = core::hint::black_box(self);
        numbers.twice = numbers.twice.wrapping_add(1);
        let numbers = core::hint::black_box(numbers);
        numbers.twice = numbers.twice.wrapping_add(1);
    }

    /// Says whether they fit each other.
    pub fn fit(&self) -> bool {
        let numbers = core::hint::black_box(self);
        numbers.once.wrapping_mul(2) == numbers.twice
    }
}

/// Counts calls in a place.
pub struct Crowd(AtomicU32);

/// A call that is in the place, until it is dropped.
pub struct Present<'c>(&'c Crowd);

impl Crowd {
    const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Comes; returns also how many are there now.
    pub fn come(&self) -> (Present<'_>, u32) {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        (Present(self), before.wrapping_add(1))
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Calls of one kind.
pub struct Kind {
    /// Those that want the numbers.
    pub before: Crowd,
    /// Those that have them.
    pub during: Crowd,
}

impl Kind {
    const fn new() -> Self {
        Self { before: Crowd::new(), during: Crowd::new() }
    }
}

/// All of it.
pub struct Rivals {
    /// The numbers.
    pub numbers: Mutex<Numbers>,
    /// Those who change the numbers.
    pub writers: Kind,
    /// Those who look at them.
    pub readers: Kind,
}

impl Rivals {
    /// Begins with nobody, and with numbers that fit.
    pub const fn new() -> Self {
        Self { numbers: Mutex::new(Numbers { once: 0, twice: 0 }), writers: Kind::new(), readers: Kind::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_after_whole_steps_alone() {
        let mut numbers = Numbers::default();
        assert!(numbers.fit());
        numbers.step();
        assert!(numbers.fit() && numbers.twice == 2);
        numbers.once += 1;
        assert!(!numbers.fit());
    }

    #[test]
    fn a_crowd_is_who_came_and_did_not_go() {
        let crowd = Crowd::new();
        let (first, one) = crowd.come();
        let (second, two) = crowd.come();
        assert_eq!((one, two), (1, 2));
        drop(first);
        assert_eq!(crowd.come().1, 2);
        drop(second);
        assert_eq!(crowd.come().1, 1);
    }
}
