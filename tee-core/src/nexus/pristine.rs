// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every partition begins as, written into pages that are zero.
//!
//! Nearly all of it is zero, so only the rest is written. Where that is, is looked up once in the bytes of the
//! constant: nothing is assumed of how the compiler lays it out, or of what it puts where a value has no bytes.
#![expect(unsafe_code, reason = "bytes of a partition")]

use crate::arch::{self, Machine};
use crate::partition::Partition;
use core::ops::Range;
use heapless::Vec;

/// Runs of words that are not zero. If there are more of them, the last one has the zeroes between in it.
type Runs = Vec<Range<u16>, 8>;

struct Constant(Partition<'static>);

// SAFETY: it is no partition, and only its bytes are looked at.
unsafe impl Sync for Constant {}

// SAFETY: as above: nobody has the brand.
static CONSTANT: Constant = Constant(unsafe { Partition::new() });

static RUNS: spin::Once<Runs> = spin::Once::new();

/// Words of a partition.
const WORDS: usize = size_of::<Partition<'_>>() / size_of::<u64>();
const _: () = assert!(align_of::<Partition<'_>>() == align_of::<u64>() && WORDS <= u16::MAX as usize);

/// Lists the constant's words.
fn words() -> impl Iterator<Item = u64> {
    let first = (&raw const CONSTANT.0).cast::<u64>();
    // SAFETY: they are in the constant.
    (0..WORDS).map(move |n| unsafe { arch::load(first.add(n)) })
}

/// What every partition begins as: here it is known without looking for it.
pub struct Pristine;

impl Pristine {
    /// Finds it, before the new partition is selected.
    #[inline(always)]
    pub fn find() -> Self {
        Self
    }

    /// Makes a partition.
    ///
    /// # Safety
    ///
    /// Its memory must be writable, zero, selected on this CPU, and nobody refer to it.
    #[inline(always)]
    pub unsafe fn write(self, _machine: &Machine, partition: *mut Partition<'_>) {
        // SAFETY: promised by the caller.
        unsafe { write(partition) };
    }
}

/// Returns the root entry that stands where partitions do while none is selected: nothing is mapped.
///
/// # Safety
///
/// Once, on the boot CPU.
pub const unsafe fn nothing() -> u64 {
    0
}

/// Finds what is not zero now, at boot, rather than in the first VM_CREATED.
pub fn prepare() {
    runs();
}

/// Finds what is not zero, if that wasn't done yet.
fn runs() -> &'static [Range<u16>] {
    RUNS.call_once(|| runs_of(words()))
}

fn runs_of(words: impl Iterator<Item = u64>) -> Runs {
    let mut runs = Runs::new();
    for (n, _) in (0u16..).zip(words).filter(|(_, word)| *word != 0) {
        let full = runs.is_full();
        match runs.last_mut() {
            Some(run) if run.end == n || full => run.end = n + 1,
            // There is room.
            _ => drop(runs.push(n..n + 1)),
        }
    }
    runs
}

/// Writes a partition.
///
/// # Safety
///
/// Its memory must be writable, zero, and nobody refer to it.
unsafe fn write(partition: *mut Partition<'_>) {
    let (from, to) = ((&raw const CONSTANT.0).cast::<u64>(), partition.cast::<u64>());
    for n in runs().iter().cloned().flatten().map(usize::from) {
        // SAFETY: promised by the caller; the place is in the partition.
        unsafe { to.add(n).write(arch::load(from.add(n))) };
    }
    // SAFETY: promised by the caller.
    debug_assert!(words().enumerate().all(|(n, word)| unsafe { arch::load(to.add(n)) } == word), "it was not zero");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a partition in memory that has this at this word; whether it is then what it should be.
    fn is_written(place: usize, value: u64) -> bool {
        let mut memory = vec![0u64; WORDS];
        memory[place] = value;
        let end = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // SAFETY: it has the size and alignment of a partition, and but for one word it is zero.
            unsafe { write(memory.as_mut_ptr().cast()) };
        }));
        assert_eq!(end.is_ok(), memory.iter().copied().eq(words()));
        end.is_ok()
    }

    #[test]
    fn a_partition_is_made_of_zeroes_and_little_else() {
        assert!(is_written(0, 0));
        let written: usize = runs().iter().map(ExactSizeIterator::len).sum();
        assert!((1..WORDS / 16).contains(&written), "{written} of {WORDS} words");
        let words: Vec<u64, WORDS> = words().collect();
        let needless = runs().iter().cloned().flatten().filter(|n| words[usize::from(*n)] == 0).count();
        assert!(needless == 0 || runs().len() == Runs::new().capacity(), "{needless} zeroes in {} runs", runs().len());
    }

    #[test]
    fn neighbours_are_one_run_and_the_last_one_takes_what_is_too_much() {
        assert_eq!(runs_of([0, 7, 8, 0, 0, 9].into_iter()), [1..3, 5..6]);
        let every_other = (0..20).map(|n| n % 2);
        let mut expected: Vec<Range<u16>, 8> = (0..8).map(|n| 2 * n + 1..2 * n + 2).collect();
        expected[7].end = 20;
        assert_eq!(runs_of(every_other), expected);
    }

    #[test]
    fn memory_that_is_not_zero_is_noticed() {
        let zero = words().position(|word| word == 0).unwrap();
        assert!(!is_written(zero, 1));
        let other = usize::from(runs()[0].start);
        assert!(is_written(other, 1), "what is not zero is written anyway");
    }
}
