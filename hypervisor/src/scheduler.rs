// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which vCPU a CPU runs: of those that have something to do, the one that has had the least.
//!
//! Every vCPU belongs to one CPU for good, the one with the fewest when its VM is set up. So a vCPU's state has one
//! owner and needs no lock, its list registers and timers stay where they are, and no CPU waits for another's queue;
//! the price is that a CPU may idle while another one has two vCPUs to run, which suits VMs that stay where
//! they were placed.
//!
//! Time is charged to whom it was spent on, with what the hypervisor did for him, the switch to him and the VM's
//! devices among that. Those that are ready share the CPU in turns of [`SLICE_PARTS`] of a second. Who wakes runs at
//! once, or as soon as he has had no more than his share, which is what those who are ready have had on the average.
//!
//! Who wakes has had, as far as this is concerned, no less than a turn less than the least that anybody has had who was
//! ready: of what he did not use while he slept a turn is made up for, the rest is not. So whoever comes back, however
//! often and whenever he does, takes a turn at most from who is ready all the time. And who sleeps for a moment loses
//! nothing that he waited for, because others get hardly more than a turn ahead of him while he waits. Who uses less
//! than his share works for a turn before somebody who only slept for a moment has as good a right to the CPU as he.
//!
//! Who has to make room for somebody who woke, in the middle of his turn, runs on as soon as it is his right again, as
//! if he had woken; but once, or two who are busy would interrupt each other from then on. So nobody waits for another
//! one for longer than three turns: the one that he is ahead, the one that the other saved up, and the other's own.
#![forbid(unsafe_code)]

// In tests another CPU may act at each access to what CPUs share.
#[cfg(test)]
use crate::tests::shared;
#[cfg(not(test))]
use core::sync::atomic as shared;

use shared::{AtomicU64, Ordering::SeqCst};
use shared_abi::layout::MAX_CPUS;

/// vCPUs that one CPU can have.
pub const SLOTS: usize = 64;
/// Turns in a second.
pub const SLICE_PARTS: u64 = 200;
/// Of several that wake at the same time, each runs for this part of a turn before the next one takes over.
const LEAST_PART: u64 = 32;

/// A vCPU's place: its CPU, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The CPU.
    pub cpu: usize,
    /// The slot.
    pub slot: usize,
}

/// The vCPUs of a CPU that are ready to run, a bit each. Other CPUs set bits, the owner takes them in turn.
#[derive(Default)]
pub struct RunQueue {
    ready: AtomicU64,
}

impl RunQueue {
    /// Makes a queue in which nobody is ready.
    pub const fn new() -> Self {
        Self { ready: AtomicU64::new(0) }
    }

    /// Marks a vCPU that has something to do. What that is must have been written before. Says whether it had nothing
    /// to do before.
    #[inline]
    pub fn wake(&self, slot: usize) -> bool {
        self.ready.fetch_or(1 << slot, SeqCst) & 1 << slot == 0
    }

    /// Marks a vCPU that waits. The caller must look afterwards whether something came up in between.
    #[inline]
    pub fn sleep(&self, slot: usize) {
        self.ready.fetch_and(!(1 << slot), SeqCst);
    }

    /// Returns those that are ready, a bit each.
    #[inline]
    pub fn ready(&self) -> u64 {
        self.ready.load(SeqCst)
    }
}

/// Whose turn it is on a CPU. Times are counts of the system counter.
pub struct Turns {
    slice: u64,
    /// What each has had.
    used: [u64; SLOTS],
    /// Those that were ready when this was looked at last.
    known: u64,
    /// Those of them that were not before.
    newcomers: u64,
    /// Those of them that have not had a turn since they woke, or had to make room.
    woken: u64,
    /// A turn less than the least that anybody has had who was ready: where who wakes begins.
    floor: u64,
    /// Whose turn it is, or was, since when it has not been charged, and until when it lasts if others are ready.
    current: usize,
    /// He woke, or had to make room, and runs before others for that.
    hurried: bool,
    since: u64,
    ends: u64,
}

/// Goes over the slots of a set.
fn each(mut slots: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let slot = slots.trailing_zeros() as usize;
        slots &= slots.wrapping_sub(1);
        (slot < SLOTS).then_some(slot)
    })
}

impl Turns {
    /// Makes turns of which nobody has had any.
    pub const fn new() -> Self {
        Self {
            slice: 0,
            used: [0; SLOTS],
            known: 0,
            newcomers: 0,
            woken: 0,
            floor: 0,
            current: 0,
            hurried: false,
            since: 0,
            ends: 0,
        }
    }

    /// Admits a new vCPU to a slot, of whom nothing is known: he begins as who wakes does.
    pub fn admit(&mut self, slot: usize) {
        self.used[slot] = self.floor;
    }

    /// Sets how long a turn is.
    pub fn set_slice(&mut self, slice: u64) {
        self.slice = slice;
    }

    /// Says whose turn it is, or was last.
    #[inline]
    pub fn current(&self) -> usize {
        self.current
    }

    /// Charges the time from the last charge until now to whose turn it is.
    #[inline]
    pub fn charge(&mut self, now: u64) {
        self.used[self.current] += now.saturating_sub(self.since);
        self.since = now;
    }

    /// Counts so much of the time since the last charge as spent because of somebody else.
    #[inline]
    pub fn blame(&mut self, slot: usize, time: u64) {
        self.used[slot] += time;
        self.since += time;
    }

    /// Counts the time since the last charge as spent because somebody woke who has to wait, if anybody has since this
    /// was looked at before.
    pub fn blame_newcomer(&mut self, now: u64) {
        if let Some(slot) = each(self.newcomers).next() {
            self.blame(slot, now.saturating_sub(self.since));
        }
    }

    /// Says whether anybody of these woke since this was looked at last.
    pub fn has_woken(&self, ready: u64) -> bool {
        ready & !self.known & !(1 << self.current) != 0
    }

    /// Charges the time until now to nobody.
    #[inline]
    pub fn rest(&mut self, now: u64) {
        self.since = now;
    }

    /// Looks who is ready, and who woke meanwhile.
    fn look(&mut self, ready: u64) {
        let newcomers = ready & !self.known;
        self.raise_floor();
        for slot in each(newcomers) {
            self.used[slot] = self.used[slot].max(self.floor);
        }
        self.known = ready;
        self.newcomers = newcomers & !(1 << self.current);
        self.woken = (self.woken | newcomers) & ready & !(1 << self.current);
    }

    /// Raises the floor, which is what anybody who wakes later counts as having had at least: a turn less than those
    /// who were ready until now.
    #[inline]
    fn raise_floor(&mut self) {
        if self.known != 0 {
            let first = self.used[self.known.trailing_zeros() as usize];
            // Nearly always it is one.
            let others = self.known & (self.known - 1);
            let least = if others == 0 { first } else { first.min(self.least_of(others)) };
            self.floor = self.floor.max(least.saturating_sub(self.slice));
        }
    }

    #[cold]
    fn least_of(&self, slots: u64) -> u64 {
        each(slots).map(|slot| self.used[slot]).min().unwrap_or(u64::MAX)
    }

    /// Chooses who runs next: who woke, or had to make room, and has had no more than his share; or else who has had
    /// the least. Among equals it is the next one after who ran last.
    #[inline]
    pub fn next(&mut self, ready: u64) -> Option<usize> {
        if ready & ready.wrapping_sub(1) == 0 {
            // Nearly always it is one, or none.
            if self.known & !ready != 0 {
                self.raise_floor();
            }
            (self.known, self.hurried) = (ready, false);
            if ready == 0 {
                return None;
            }
            let slot = ready.trailing_zeros() as usize;
            self.used[slot] = self.used[slot].max(self.floor);
            return Some(slot);
        }
        self.look(ready);
        let entitled = self.entitled();
        let hurries = entitled != 0;
        if hurries && !self.hurried && self.since < self.ends {
            self.woken |= ready & 1 << self.current;
        }
        self.hurried = hurries;
        let candidates = if hurries { entitled } else { ready };
        let after = self.current + 1;
        let next = each(candidates).min_by_key(|slot| (self.used[*slot], slot.wrapping_sub(after) % SLOTS))?;
        self.woken &= !(1 << next);
        Some(next)
    }

    /// Begins a turn, which has been prepared since the last charge.
    #[inline]
    pub fn begin(&mut self, slot: usize, now: u64) {
        self.current = slot;
        self.ends = now + self.slice;
    }

    /// Says until when the turn lasts if others are ready: less than a slice if one of them woke and waits for its
    /// share.
    #[inline]
    pub fn ends(&self) -> u64 {
        each(self.woken).map(|slot| self.entitled_from(slot)).fold(self.ends, u64::min)
    }

    /// Says whether somebody else was to run at the last charge, if these are ready and who runs is one of them.
    pub fn is_over(&mut self, ready: u64) -> bool {
        self.look(ready);
        ready & !(1 << self.current) != 0 && (self.since >= self.ends || self.entitled() != 0)
    }

    /// Says when to wake a vCPU whose timer fires at `deadline`: not before it would run.
    pub fn wakes_at(&self, slot: usize, deadline: u64) -> u64 {
        deadline.max(self.entitled_from(slot).min(self.ends))
    }

    /// Says from when on a vCPU that woke may run, if who runs goes on running: it has had no more than its share, and
    /// somewhat less than who runs, if he woke himself.
    fn entitled_from(&self, slot: usize) -> u64 {
        let others = self.known & !(1 << slot);
        let had = self.used[slot].max(self.floor);
        let by_share = (had * u64::from(others.count_ones())).saturating_sub(self.had_by(others));
        let running = self.hurried && self.known >> self.current & 1 != 0;
        let by_turn = if running { (had + self.slice / LEAST_PART).saturating_sub(self.used[self.current]) } else { 0 };
        self.since + by_share.max(by_turn)
    }

    /// Returns those who woke or had to make room, have not run since, and have had no more than their share.
    fn entitled(&self) -> u64 {
        each(self.woken).filter(|slot| self.entitled_from(*slot) <= self.since).fold(0, |slots, slot| slots | 1 << slot)
    }

    /// Says what these have had together.
    fn had_by(&self, slots: u64) -> u64 {
        each(slots).map(|slot| self.used[slot]).sum()
    }
}

/// Gives vCPUs their places: each goes to the CPU that has the fewest.
#[derive(Clone)]
pub struct Places {
    /// For each CPU, the slots that are taken: all of one that there is not.
    taken: [u64; MAX_CPUS],
}

impl Places {
    /// Makes places on no CPU.
    pub const fn none() -> Self {
        Self { taken: [u64::MAX; MAX_CPUS] }
    }

    /// Makes places on these CPUs, which have no vCPU yet.
    pub fn on(cpus: impl IntoIterator<Item = usize>) -> Self {
        let mut places = Self::none();
        for cpu in cpus {
            places.taken[cpu] = 0;
        }
        places
    }

    /// Takes a place for a vCPU; `None` if all slots are taken.
    pub fn place(&mut self) -> Option<Place> {
        let (cpu, taken) = self.taken.iter_mut().enumerate().min_by_key(|(_, taken)| taken.count_ones())?;
        let slot = taken.trailing_ones() as usize;
        if slot == SLOTS {
            return None;
        }
        *taken |= 1 << slot;
        Some(Place { cpu, slot })
    }

    /// Takes a place back: nobody is there any more.
    pub fn leave(&mut self, place: Place) {
        self.taken[place.cpu] &= !(1 << place.slot);
    }
}

const _: () = assert!(SLOTS == u64::BITS as usize);

#[cfg(test)]
mod tests;
