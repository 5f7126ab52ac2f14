//! Which vCPU a CPU runs: of those that have something to do, the one that has had the least.
//!
//! Every vCPU belongs to one CPU for good, the one with the fewest when its VM is set up. So a vCPU's state has one
//! owner and needs no lock, its list registers and timers stay where they are, and no CPU waits for another's queue; the
//! price is that a CPU may idle while another one has two vCPUs to run, which suits VMs that are placed once and stay.
//!
//! Time is charged to whom it was spent on, with what the hypervisor did for him, the switch to him and the VM's devices among that.
//! Those that are ready share the CPU in turns of [`SLICE_PARTS`] of a second. Who wakes runs at once, or as soon as he has had no
//! more than his share, which is what those who are ready have had on the average; what he did not use while he slept is not made up
//! for.
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

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
    /// Nobody is ready.
    pub const fn new() -> Self {
        Self { ready: AtomicU64::new(0) }
    }

    /// A vCPU has something to do. What that is must have been written before. Whether it had nothing to do before.
    #[inline]
    pub fn wake(&self, slot: usize) -> bool {
        self.ready.fetch_or(1 << slot, SeqCst) & 1 << slot == 0
    }

    /// A vCPU waits. The caller must look afterwards whether something came up in between.
    #[inline]
    pub fn sleep(&self, slot: usize) {
        self.ready.fetch_and(!(1 << slot), SeqCst);
    }

    /// Those that are ready, a bit each.
    #[inline]
    pub fn ready(&self) -> u64 {
        self.ready.load(SeqCst)
    }

    /// Whether a vCPU is ready.
    #[inline]
    pub fn is_ready(&self, slot: usize) -> bool {
        self.ready() & 1 << slot != 0
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
    /// Those of them that have not had a turn since they woke.
    woken: u64,
    /// The least that anybody has had who was ready: where who wakes begins.
    floor: u64,
    /// Whose turn it is, or was, since when it has not been charged, and until when it lasts if others are ready.
    current: usize,
    /// He woke and runs before others for that.
    hurried: bool,
    since: u64,
    ends: u64,
}

impl Default for Turns {
    fn default() -> Self {
        Self::new()
    }
}

/// The slots of a set.
fn each(mut slots: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let slot = slots.trailing_zeros() as usize;
        slots &= slots.wrapping_sub(1);
        (slot < SLOTS).then_some(slot)
    })
}

impl Turns {
    /// Nobody has had anything.
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

    /// How long a turn is.
    pub fn set_slice(&mut self, slice: u64) {
        self.slice = slice;
    }

    /// Whose turn it is, or was last.
    #[inline]
    pub fn current(&self) -> usize {
        self.current
    }

    /// The time from the last charge until now was spent on whose turn it is.
    #[inline]
    pub fn charge(&mut self, now: u64) {
        self.used[self.current] += now.saturating_sub(self.since);
        self.since = now;
    }

    /// Of the time since the last charge, so much was spent because of somebody else.
    #[inline]
    pub fn blame(&mut self, slot: usize, time: u64) {
        self.used[slot] += time;
        self.since += time;
    }

    /// The time since the last charge was spent because somebody woke who has to wait, if anybody has since this was looked at before.
    pub fn blame_newcomer(&mut self, now: u64) {
        if let Some(slot) = each(self.newcomers).next() {
            self.blame(slot, now.saturating_sub(self.since));
        }
    }

    /// Whether anybody of these woke since this was looked at last.
    pub fn has_woken(&self, ready: u64) -> bool {
        ready & !self.known & !(1 << self.current) != 0
    }

    /// The time until now was spent on nobody.
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

    /// Who was ready until now has had what it had: nobody who wakes later has less.
    #[inline]
    fn raise_floor(&mut self) {
        if self.known != 0 {
            let first = self.used[self.known.trailing_zeros() as usize];
            // Nearly always it is one.
            let others = self.known & (self.known - 1);
            let least = if others == 0 { first } else { first.min(self.least_of(others)) };
            self.floor = self.floor.max(least);
        }
    }

    #[cold]
    fn least_of(&self, slots: u64) -> u64 {
        each(slots).map(|slot| self.used[slot]).min().unwrap_or(u64::MAX)
    }

    /// Who runs next: who woke and has had no more than his share, or who has had the least; among equals the next one after who ran
    /// last.
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
        self.hurried = entitled != 0;
        let candidates = if self.hurried { entitled } else { ready };
        each(candidates).min_by_key(|slot| (self.used[*slot], slot.wrapping_sub(self.current + 1) % SLOTS))
    }

    /// A turn begins, which has been prepared since the last charge.
    #[inline]
    pub fn begin(&mut self, slot: usize, now: u64) {
        self.current = slot;
        self.ends = now + self.slice;
    }

    /// Until when the turn lasts if others are ready: less than a slice if one of them woke and waits for its share.
    #[inline]
    pub fn ends(&self) -> u64 {
        each(self.woken).map(|slot| self.entitled_from(slot)).fold(self.ends, u64::min)
    }

    /// Whether somebody else was to run at the last charge, if these are ready and who runs is one of them.
    pub fn is_over(&mut self, ready: u64) -> bool {
        self.look(ready);
        ready & !(1 << self.current) != 0 && (self.since >= self.ends || self.entitled() != 0)
    }

    /// When to wake a vCPU whose timer fires at `deadline`: not before it would run.
    pub fn wakes_at(&self, slot: usize, deadline: u64) -> u64 {
        deadline.max(self.entitled_from(slot).min(self.ends))
    }

    /// From when on a vCPU that woke may run, if who runs goes on running: it has had no more than its share, and somewhat less than
    /// who runs, if he woke himself.
    fn entitled_from(&self, slot: usize) -> u64 {
        let others = self.known & !(1 << slot);
        let had = self.used[slot].max(self.floor);
        let by_share = (had * u64::from(others.count_ones())).saturating_sub(self.had_by(others));
        let running = self.hurried && self.known >> self.current & 1 != 0;
        let by_turn = if running { (had + self.slice / LEAST_PART).saturating_sub(self.used[self.current]) } else { 0 };
        self.since + by_share.max(by_turn)
    }

    /// Those who woke, have not run since, and have had no more than their share.
    fn entitled(&self) -> u64 {
        each(self.woken).filter(|slot| self.entitled_from(*slot) <= self.since).fold(0, |slots, slot| slots | 1 << slot)
    }

    /// What these have had together.
    fn had_by(&self, slots: u64) -> u64 {
        each(slots).map(|slot| self.used[slot]).sum()
    }
}

/// Gives vCPUs their places: each goes to the CPU that has the fewest.
#[derive(Clone)]
pub struct Placement {
    used: heapless::Vec<usize, { shared_abi::layout::MAX_CPUS }>,
}

impl Placement {
    /// For `cpus` CPUs that have none yet.
    pub fn new(cpus: usize) -> Self {
        Self { used: core::iter::repeat_n(0, cpus.min(shared_abi::layout::MAX_CPUS)).collect() }
    }

    /// The next vCPU's place; `None` if all slots are taken.
    pub fn place(&mut self) -> Option<Place> {
        let (cpu, used) = self.used.iter_mut().enumerate().min_by_key(|(_, used)| **used)?;
        if *used == SLOTS {
            return None;
        }
        *used += 1;
        Some(Place { cpu, slot: *used - 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: u64 = 1000;

    fn turns() -> Turns {
        let mut turns = Turns::new();
        turns.set_slice(SLICE);
        turns
    }

    fn is_over(turns: &mut Turns, ready: u64, now: u64) -> bool {
        turns.charge(now);
        turns.is_over(ready)
    }

    /// Lets those who are ready run for so many counts, each until its turn ends; what each of the first four gets.
    fn run(turns: &mut Turns, ready: u64, from: u64, counts: u64) -> [u64; 4] {
        let mut got = [0; 4];
        let mut now = from;
        while now < from + counts {
            let slot = turns.next(ready).unwrap();
            turns.begin(slot, now);
            while !is_over(turns, ready, now) && now < from + counts {
                now += 10;
                got[slot] += 10;
            }
        }
        got
    }

    #[test]
    fn those_who_are_ready_share_the_cpu() {
        let mut turns = turns();
        let got = run(&mut turns, 0b1011, 0, 30 * SLICE);
        assert_eq!(got, [10 * SLICE, 10 * SLICE, 0, 10 * SLICE]);
    }

    #[test]
    fn the_next_one_after_the_last_is_first_among_equals() {
        let mut turns = turns();
        turns.begin(3, 0);
        assert_eq!(turns.next(0b1011), Some(0));
        turns.begin(0, 0);
        assert_eq!(turns.next(0b1011), Some(1));
        assert_eq!(turns.next(0), None);
        turns.begin(63, 0);
        assert_eq!(turns.next(1 << 63 | 1 << 62), Some(62));
    }

    #[test]
    fn who_wakes_runs_at_once_unless_it_has_had_its_share() {
        let mut turns = turns();
        let (hog, other) = (0, 1);
        run(&mut turns, 1 << hog, 0, 100 * SLICE);
        // It slept all the time: it is at once its turn, but it has nothing saved up.
        let mut now = 100 * SLICE;
        assert!(is_over(&mut turns, 0b11, now));
        assert_eq!(turns.next(0b11), Some(other));
        turns.begin(other, now);
        now += SLICE;
        assert!(is_over(&mut turns, 0b11, now));
        assert_eq!(turns.next(0b11), Some(hog));
        turns.begin(hog, now);
        // It slept for a moment after a whole turn: the hog has its turn first.
        assert!(!is_over(&mut turns, 0b01, now + 10));
        assert_eq!(turns.wakes_at(other, now + 20), now + SLICE);
        assert!(!is_over(&mut turns, 0b11, now + 20));
        assert!(is_over(&mut turns, 0b11, now + SLICE));
    }

    /// One sleeps and works, others are busy all the time; how late it runs after it wanted to, at most, and what each gets.
    fn beside_busy_ones(busy: usize, mut sleep_and_work: impl FnMut() -> (u64, u64)) -> (u64, Vec<u64>) {
        let (mut turns, sleeper, mut ready, mut now) = (turns(), busy, (1 << busy) - 1, 0);
        let (mut late, mut got) = (0, vec![0; busy + 1]);
        for _ in 0..10_000 {
            let (sleep, work) = sleep_and_work();
            let deadline = now + sleep;
            loop {
                turns.charge(now);
                let slot = turns.next(ready).unwrap();
                turns.begin(slot, now);
                if slot == sleeper {
                    break;
                }
                let began = now;
                while !is_over(&mut turns, ready, now) {
                    let mut next = if ready & !(1 << slot) == 0 { u64::MAX } else { turns.ends() };
                    if ready >> sleeper == 0 {
                        next = next.min(turns.wakes_at(sleeper, deadline));
                    }
                    now = now.max(next);
                    ready |= u64::from(deadline <= now) << sleeper;
                }
                got[slot] += now - began;
            }
            late = late.max(now - deadline);
            now += work;
            got[sleeper] += work;
            ready &= !(1 << sleeper);
        }
        (late, got)
    }

    #[test]
    fn who_has_had_less_than_its_share_is_never_late() {
        for busy in 1..5 {
            let mut random = random();
            let (late, got) = beside_busy_ones(busy, || (1 + random() % (3 * SLICE), 1));
            assert_eq!(late, 0, "beside {busy}: {got:?}");
            // It works for less of each time than the time divided among all of them.
            let (late, got) = beside_busy_ones(busy, || {
                let sleep = SLICE / 5 + random() % (SLICE / 5);
                (sleep, sleep / 12)
            });
            assert_eq!(late, 0, "beside {busy}: {got:?}");
        }
    }

    /// Numbers by chance, the same in every run.
    fn random() -> impl FnMut() -> u64 {
        let mut state = 1_u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        }
    }

    #[test]
    fn who_wants_more_than_its_share_gets_just_that_however_often_it_sleeps() {
        for busy in 1..5 {
            for work in [SLICE / 100, SLICE / 10, SLICE] {
                let mut random = random();
                let (_, got) = beside_busy_ones(busy, || (1 + random() % (SLICE / 100), work / 2 + random() % work));
                let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
                assert!(most - least <= 2 * SLICE + most / 20, "{work}: {got:?}");
            }
        }
    }

    #[test]
    fn those_who_wake_together_do_not_interrupt_each_other() {
        let mut turns = turns();
        run(&mut turns, 0b001, 0, 10 * SLICE);
        let now = 10 * SLICE;
        assert!(is_over(&mut turns, 0b111, now));
        assert_eq!(turns.next(0b111), Some(1));
        turns.begin(1, now);
        assert_eq!(turns.ends(), now + SLICE / LEAST_PART);
        assert!(!is_over(&mut turns, 0b111, now + 10));
        // It goes to sleep: the other one has waited for no more than that.
        assert_eq!(turns.next(0b101), Some(2));
        turns.begin(2, now + 10);
        assert!(!is_over(&mut turns, 0b101, now + SLICE - 1));
        assert_eq!(turns.next(0b101), Some(0));
        turns.begin(0, now + SLICE);
    }

    #[test]
    fn of_those_who_wake_together_nobody_works_for_long_before_the_others() {
        let mut turns = turns();
        run(&mut turns, 0b001, 0, 10 * SLICE);
        let now = 10 * SLICE;
        assert!(is_over(&mut turns, 0b111, now));
        assert_eq!(turns.next(0b111), Some(1));
        turns.begin(1, now);
        assert!(is_over(&mut turns, 0b111, now + SLICE / LEAST_PART));
        assert_eq!(turns.next(0b111), Some(2));
    }

    #[test]
    fn what_is_done_for_who_waits_is_charged_to_him() {
        let mut turns = turns();
        let (hog, other) = (0, 1);
        run(&mut turns, 1 << hog, 0, SLICE);
        assert_eq!(turns.next(0b11), Some(other));
        turns.begin(other, SLICE);
        turns.charge(SLICE + 100);
        assert_eq!(turns.next(0b01), Some(hog));
        turns.begin(hog, SLICE + 100);
        // The way from one to the other took 20, and it was the other who left.
        turns.blame(other, 20);
        turns.charge(SLICE + 150);
        assert_eq!((turns.used[hog], turns.used[other]), (SLICE + 30, SLICE + 120));
        // He wakes, and has to wait until they have had the same: which is when the turn ends.
        assert!(!turns.is_over(0b11));
        assert_eq!(turns.ends(), SLICE + 150 + 90);
        turns.blame_newcomer(SLICE + 160);
        assert_eq!((turns.used[hog], turns.used[other]), (SLICE + 30, SLICE + 130));
        assert_eq!(turns.ends(), SLICE + 160 + 100);
        assert!(!is_over(&mut turns, 0b11, SLICE + 259));
        assert!(is_over(&mut turns, 0b11, SLICE + 260));
        assert_eq!(turns.next(0b11), Some(other));
        // Nobody waits any more.
        turns.begin(other, SLICE + 260);
        assert!(!is_over(&mut turns, 0b11, SLICE + 261));
        turns.blame_newcomer(SLICE + 270);
        turns.charge(SLICE + 270);
        assert_eq!((turns.used[hog], turns.used[other]), (SLICE + 130, SLICE + 140));
    }

    /// Who wakes as often as it can takes no more than its share, with all that is done for it.
    #[test]
    fn waking_all_the_time_takes_nothing_from_others() {
        let mut turns = turns();
        let (victim, waker) = (0, 1);
        let (mut now, mut got) = (0, [0; 2]);
        turns.begin(victim, now);
        while now < 1000 * SLICE {
            // The victim runs for 50, the waker wakes.
            now += 50;
            got[victim] += 50;
            if is_over(&mut turns, 0b11, now) {
                assert_eq!(turns.next(0b11), Some(waker));
                turns.begin(waker, now);
                // The way there and back costs more than it does.
                now += 90;
                got[waker] += 90;
                turns.charge(now);
                assert_eq!(turns.next(0b01), Some(victim));
                turns.begin(victim, now);
            }
        }
        assert!(got[victim] * 100 >= got[waker] * 95, "{got:?}");
    }

    #[test]
    fn a_cpu_that_rested_charges_nobody() {
        let mut turns = turns();
        assert_eq!(turns.next(1), Some(0));
        turns.begin(0, 0);
        turns.charge(10);
        assert_eq!(turns.next(0), None);
        turns.rest(1_000_000);
        assert_eq!(turns.next(0b10), Some(1));
        turns.begin(1, 1_000_000);
        turns.charge(1_000_020);
        assert_eq!((turns.used[0], turns.used[1]), (10, 30), "it begins where the other one was");
    }

    #[test]
    fn who_worked_while_the_other_slept_is_not_behind_it_for_that() {
        let mut turns = turns();
        // For long it works, in bursts, alone.
        let mut now = 0;
        for _ in 0..1000 {
            assert_eq!(turns.next(0b01), Some(0));
            turns.begin(0, now);
            now += SLICE;
            turns.charge(now);
            assert_eq!(turns.next(0), None);
            now += SLICE;
            turns.rest(now);
        }
        // The other one wakes while it sleeps, and works without end.
        assert_eq!(turns.next(0b10), Some(1));
        turns.begin(1, now);
        assert!(is_over(&mut turns, 0b11, now + SLICE), "it has its turn as soon as it wakes");
        assert_eq!(turns.next(0b11), Some(0));
    }

    #[test]
    fn an_interrupt_for_who_runs_is_not_charged_to_who_waits() {
        let mut turns = turns();
        run(&mut turns, 0b01, 0, SLICE);
        assert_eq!(turns.next(0b11), Some(1));
        turns.begin(1, SLICE);
        turns.charge(2 * SLICE);
        assert_eq!(turns.next(0b01), Some(0));
        turns.begin(0, 2 * SLICE);
        assert!(!is_over(&mut turns, 0b11, 2 * SLICE + 10), "it woke, and waits for its share");
        turns.blame_newcomer(2 * SLICE + 20);
        let waits = turns.used[1];
        assert!(!is_over(&mut turns, 0b11, 2 * SLICE + 30));
        turns.blame_newcomer(2 * SLICE + 100);
        turns.charge(2 * SLICE + 100);
        assert_eq!(turns.used[1], waits, "nobody woke");
    }

    #[test]
    fn who_was_alone_meanwhile_is_told_from_who_wakes() {
        let mut turns = turns();
        assert_eq!(turns.next(0b11), Some(1));
        turns.begin(1, 0);
        turns.charge(10);
        // The other one is asleep, and this one alone for long. That is no turn which others wait for the end of.
        assert_eq!(turns.next(0b10), Some(1));
        turns.begin(1, 10);
        assert!(!is_over(&mut turns, 0b10, 5 * SLICE));
        turns.charge(6 * SLICE);
        assert_eq!(turns.next(0b10), Some(1));
        turns.begin(1, 6 * SLICE);
        turns.charge(6 * SLICE + 10);
        assert!(turns.is_over(0b11), "who wakes runs at once");
        assert_eq!(turns.next(0b11), Some(0));
        turns.begin(0, 6 * SLICE + 10);
        // Now that one is alone: for having slept it has nothing saved up when the first one is back.
        assert_eq!(turns.next(0b01), Some(0));
        assert!(turns.used[0] >= 5 * SLICE, "{:?}", &turns.used[..2]);
    }

    #[test]
    fn who_is_alone_first_after_a_sleep_has_nothing_saved_up() {
        let mut turns = turns();
        run(&mut turns, 0b01, 0, 10 * SLICE);
        assert_eq!(turns.next(0), None);
        turns.rest(10 * SLICE);
        assert_eq!(turns.next(0b10), Some(1));
        turns.begin(1, 10 * SLICE);
        assert!(is_over(&mut turns, 0b11, 10 * SLICE + 500), "the first one has had no more, and woke");
    }

    #[test]
    fn who_wakes_is_told_from_who_was_awake() {
        let queue = RunQueue::new();
        assert!(queue.wake(1) && !queue.wake(1) && queue.wake(63));
        assert!(queue.is_ready(1) && !queue.is_ready(0));
        queue.sleep(1);
        assert_eq!(queue.ready(), 1 << 63);
    }

    #[test]
    fn vcpus_are_spread_over_the_cpus() {
        let mut placement = Placement::new(2);
        let places: Vec<Place> = (0..3).map(|_| placement.place().unwrap()).collect();
        assert_eq!(places, [Place { cpu: 0, slot: 0 }, Place { cpu: 1, slot: 0 }, Place { cpu: 0, slot: 1 }]);
        assert_eq!((0..).map_while(|_| placement.place()).count(), 2 * SLOTS - 3);
        assert_eq!(Placement::new(0).place(), None);
    }
}
