// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random choices that are written down, so that what was made of them can be made again of simpler ones.
//!
//! `proptest` is not used: it takes half a millisecond to make a sequence of steps, and playing one takes less.

/// SplitMix64.
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let n = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        n ^ (n >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Where choices come from.
enum Source {
    Random(Random),
    /// These, the first one last; 0 when there are no more.
    Given(Vec<u64>),
}

/// Makes choices, of which 0 is always the simplest.
pub struct Draw {
    source: Source,
    made: Vec<u64>,
}

impl Draw {
    pub fn random(seed: u64) -> Self {
        Self { source: Source::Random(Random(seed)), made: Vec::new() }
    }

    pub fn again(choices: &[u64]) -> Self {
        Self { source: Source::Given(choices.iter().rev().copied().collect()), made: Vec::new() }
    }

    /// The choices since it was asked last.
    pub fn made(&mut self) -> Vec<u64> {
        std::mem::replace(&mut self.made, Vec::with_capacity(16))
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        let choice = match &mut self.source {
            Source::Random(random) => random.next(),
            Source::Given(choices) => choices.pop().unwrap_or(0),
        };
        self.made.push(choice);
        choice
    }

    /// A number less than `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        let choice = match &mut self.source {
            // What is written down is what matters of it.
            Source::Random(random) => random.next() % n,
            Source::Given(choices) => choices.pop().unwrap_or(0) % n,
        };
        self.made.push(choice);
        choice
    }

    /// A number of this range, of any type that has room for it.
    pub fn within<T: TryFrom<u64>>(&mut self, range: std::ops::Range<u64>) -> T {
        let number = range.start + self.below(range.end - range.start);
        T::try_from(number).ok().expect("the type has room for the range")
    }

    /// One of these.
    pub fn of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len() as u64) as usize]
    }

    /// One of these, each as often as the number before it says.
    pub fn weighted<T: Copy>(&mut self, these: &[(u64, T)]) -> T {
        let mut n = self.below(these.iter().map(|(weight, _)| weight).sum());
        for (weight, this) in these {
            match n.checked_sub(*weight) {
                Some(rest) => n = rest,
                None => return *this,
            }
        }
        unreachable!("the number is below the sum")
    }
}

/// One of several values, each as often as the number before it says; the others are not even made.
macro_rules! one_of {
    ($draw:expr, $($weight:literal => $value:expr),+ $(,)?) => {{
        let mut n: u64 = $draw.below(0 $(+ $weight)+);
        loop {
            $(
                match n.checked_sub($weight) {
                    Some(rest) => n = rest,
                    None => break $value,
                }
            )+
            unreachable!("the number is below the sum: {n}");
        }
    }};
}
pub(crate) use one_of;

/// Makes choices simpler as long as `fails` says so: parts are left out, then each choice becomes 0, or less.
pub fn shrink(mut parts: Vec<Vec<u64>>, mut fails: impl FnMut(&[Vec<u64>]) -> bool) -> Vec<Vec<u64>> {
    let mut size = parts.len().next_power_of_two();
    while size > 0 {
        let mut end = parts.len();
        while end > 0 {
            let start = end.saturating_sub(size);
            let mut fewer = parts.clone();
            fewer.drain(start..end);
            if fails(&fewer) {
                parts = fewer;
            }
            end = start;
        }
        size /= 2;
    }
    for part in 0..parts.len() {
        for place in 0..parts[part].len() {
            // Zero if that is enough; else by halves of the way towards it.
            let mut step = parts[part][place];
            while step > 0 {
                let mut simpler = parts.clone();
                simpler[part][place] -= step;
                if fails(&simpler) {
                    parts = simpler;
                    step = step.min(parts[part][place]);
                } else {
                    step /= 2;
                }
            }
        }
    }
    parts
}

#[test]
fn what_fails_is_made_as_simple_as_it_still_fails() {
    let mut draw = Draw::random(1);
    let parts: Vec<Vec<u64>> = (0..40).map(|_| [draw.below(100), draw.any(), draw.below(7)].to_vec()).collect();
    let fails = |parts: &[Vec<u64>]| parts.iter().filter(|part| part[0] >= 10).count() >= 2;
    assert_eq!(shrink(parts, fails), [[10, 0, 0], [10, 0, 0]]);
}

#[test]
fn choices_can_be_made_again() {
    let mut draw = Draw::random(7);
    let make = |draw: &mut Draw| {
        (draw.any(), draw.within::<u8>(3..9), draw.weighted(&[(1, 'a'), (2, 'b')]), one_of!(draw, 3 => 'c', 1 => 'd'))
    };
    let first = make(&mut draw);
    let choices = draw.made();
    assert_eq!(make(&mut Draw::again(&choices)), first);
    assert_eq!(make(&mut Draw::again(&[])), (0, 3, 'a', 'c'), "without choices all is as simple as it can be");
}
