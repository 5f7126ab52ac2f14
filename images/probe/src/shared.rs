// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the CPUs that play a script share: variables, barriers, where everybody is, how many expectations failed.
//!
//! Each word is written by plain stores, and the counters by one CPU each: see [`crate::lock`] for why.

use crate::script::{BARRIERS, VARIABLES};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use shared_abi::layout::MAX_CPUS;

/// What a CPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// It was not started.
    Off = 0,
    /// It plays.
    Playing = 1,
    /// It has played its list.
    Done = 2,
    /// It is in a step that must not return.
    Gone = 3,
}

impl State {
    const fn from_u32(number: u32) -> Self {
        match number {
            1 => Self::Playing,
            2 => Self::Done,
            3 => Self::Gone,
            _ => Self::Off,
        }
    }
}

/// How much was played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Steps.
    pub steps: u32,
    /// Expectations.
    pub expectations: u32,
    /// Those that did not hold.
    pub failed: u32,
}

/// The shared state.
#[derive(Debug)]
pub struct Shared {
    variables: [AtomicU64; VARIABLES],
    /// How often each CPU came to each barrier.
    arrivals: [[AtomicU32; MAX_CPUS]; BARRIERS],
    states: [AtomicU32; MAX_CPUS],
    lists: [AtomicU32; MAX_CPUS],
    steps: [AtomicU32; MAX_CPUS],
    expectations: [AtomicU32; MAX_CPUS],
    failed: [AtomicU32; MAX_CPUS],
}

impl Shared {
    /// Makes what there is before the first step.
    pub const fn new() -> Self {
        Self {
            variables: [const { AtomicU64::new(0) }; VARIABLES],
            arrivals: [const { [const { AtomicU32::new(0) }; MAX_CPUS] }; BARRIERS],
            states: [const { AtomicU32::new(0) }; MAX_CPUS],
            lists: [const { AtomicU32::new(0) }; MAX_CPUS],
            steps: [const { AtomicU32::new(0) }; MAX_CPUS],
            expectations: [const { AtomicU32::new(0) }; MAX_CPUS],
            failed: [const { AtomicU32::new(0) }; MAX_CPUS],
        }
    }

    /// Returns a variable's value; 0 before it has one.
    pub fn variable(&self, index: u8) -> u64 {
        self.variables.get(usize::from(index)).map_or(0, |variable| variable.load(SeqCst))
    }

    /// Gives a variable a value.
    pub fn set(&self, index: u8, value: u64) {
        if let Some(variable) = self.variables.get(usize::from(index)) {
            variable.store(value, SeqCst);
        }
    }

    /// Says what a CPU does; nothing if there is no such CPU.
    pub fn state(&self, cpu: usize) -> State {
        self.states.get(cpu).map_or(State::Off, |state| State::from_u32(state.load(SeqCst)))
    }

    /// Says what a CPU does.
    pub fn enter(&self, cpu: usize, state: State) {
        if let Some(word) = self.states.get(cpu) {
            word.store(state as u32, SeqCst);
        }
    }

    /// Says which list a CPU will play.
    pub fn assign(&self, cpu: usize, list: u8) {
        if let Some(word) = self.lists.get(cpu) {
            word.store(list.into(), SeqCst);
        }
    }

    /// Says which list a CPU is to play.
    pub fn list(&self, cpu: usize) -> usize {
        self.lists.get(cpu).map_or(0, |list| list.load(SeqCst) as usize)
    }

    /// Comes to a barrier; how often this CPU has been there now.
    pub fn arrive(&self, barrier: usize, cpu: usize) -> u32 {
        let Some(mine) = self.arrivals.get(barrier).and_then(|cpus| cpus.get(cpu)) else { return 0 };
        let round = mine.load(SeqCst).wrapping_add(1);
        mine.store(round, SeqCst);
        round
    }

    /// Says how many CPUs were at a barrier so many times.
    pub fn arrived(&self, barrier: usize, round: u32) -> usize {
        let cpus = self.arrivals.get(barrier).map_or(&[][..], |cpus| &cpus[..]);
        cpus.iter().filter(|arrivals| arrivals.load(SeqCst) >= round).count()
    }

    /// Says whether no CPU but this one plays.
    pub fn is_alone(&self, cpu: usize) -> bool {
        (0..MAX_CPUS).all(|other| other == cpu || self.state(other) != State::Playing)
    }

    /// Counts for one CPU.
    pub fn count(&self, cpu: usize, tally: Tally) {
        let add = |words: &[AtomicU32; MAX_CPUS], number: u32| {
            if let Some(word) = words.get(cpu) {
                word.store(word.load(SeqCst).saturating_add(number), SeqCst);
            }
        };
        add(&self.steps, tally.steps);
        add(&self.expectations, tally.expectations);
        add(&self.failed, tally.failed);
    }

    /// Says what all CPUs counted.
    pub fn tally(&self) -> Tally {
        let sum =
            |words: &[AtomicU32; MAX_CPUS]| words.iter().fold(0_u32, |sum, word| sum.saturating_add(word.load(SeqCst)));
        Tally { steps: sum(&self.steps), expectations: sum(&self.expectations), failed: sum(&self.failed) }
    }
}
