// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who runs when, and what is charged to whom.

use super::*;

mod neighbours;

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
    // It slept all the time: it is at once its turn, and it has one turn saved up.
    let mut now = 100 * SLICE;
    assert!(is_over(&mut turns, 0b11, now));
    assert_eq!(turns.next(0b11), Some(other));
    turns.begin(other, now);
    now += 2 * SLICE;
    assert!(is_over(&mut turns, 0b11, now));
    assert_eq!(turns.next(0b11), Some(hog));
    turns.begin(hog, now);
    // It slept for a moment after one turn more: the hog has its turn first.
    assert!(!is_over(&mut turns, 0b01, now + 10));
    assert_eq!(turns.wakes_at(other, now + 20), now + SLICE);
    assert!(!is_over(&mut turns, 0b11, now + 20));
    assert!(is_over(&mut turns, 0b11, now + SLICE));
}

/// One sleeps and works, others are busy all the time; how late it runs after it wanted to, at most, and what each
/// gets.
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
    assert!(!is_over(&mut turns, 0b101, now + 10 + SLICE - 1));
    assert!(is_over(&mut turns, 0b101, now + 10 + SLICE));
    assert_eq!(turns.next(0b101), Some(0));
}

#[test]
fn a_nap_costs_nobody_what_he_waited_for() {
    let mut turns = turns();
    let (napper, other) = (0, 1);
    turns.begin(other, 0);
    assert!(is_over(&mut turns, 0b11, SLICE), "it was a whole turn that this one waited");
    assert_eq!(turns.next(0b11), Some(napper));
    turns.begin(napper, SLICE);
    // It sleeps after a moment, again and again: it still has that turn before the other one.
    let (mut now, mut worked) = (SLICE, 0);
    while worked < SLICE - 20 {
        now += 20;
        worked += 20;
        assert!(!is_over(&mut turns, 0b11, now));
        assert_eq!(turns.next(0b10), Some(other));
        turns.begin(other, now);
        assert_eq!(turns.wakes_at(napper, now + 1), now + 1);
        now += 1;
        assert!(is_over(&mut turns, 0b11, now), "after {worked}");
        assert_eq!(turns.next(0b11), Some(napper));
        turns.begin(napper, now);
    }
}

#[test]
fn who_had_to_make_room_runs_on_as_if_he_had_woken() {
    let mut turns = turns();
    let (busy, naps) = (0, 1);
    turns.begin(naps, 0);
    turns.charge(SLICE);
    assert_eq!(turns.next(1 << busy), Some(busy));
    turns.begin(busy, SLICE);
    // In the middle of its turn, when both have had the same, the other one wakes.
    let now = 2 * SLICE - 1;
    assert!(!is_over(&mut turns, 0b01, now));
    turns.used[busy] += 1;
    assert!(is_over(&mut turns, 0b11, now));
    assert_eq!(turns.next(0b11), Some(naps));
    turns.begin(naps, now);
    // That lasts until it is ahead by a little, not for a turn.
    let soon = now + SLICE / LEAST_PART;
    assert_eq!(turns.ends(), soon);
    assert!(!is_over(&mut turns, 0b11, soon - 1) && is_over(&mut turns, 0b11, soon));
    assert_eq!(turns.next(0b11), Some(busy));
    turns.begin(busy, soon);
    // Now both are busy, and have turns as others.
    assert_eq!(turns.ends(), soon + SLICE);
    assert!(!is_over(&mut turns, 0b11, soon + SLICE - 1) && is_over(&mut turns, 0b11, soon + SLICE));
    assert_eq!(turns.next(0b11), Some(naps));
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
    // It is a turn behind, until it has worked for one.
    turns.charge(2 * SLICE + 100);
    assert_eq!(turns.next(0b01), Some(hog));
    turns.begin(hog, 2 * SLICE + 100);
    // The way from one to the other took 20, and it was the other who left.
    turns.blame(other, 20);
    turns.charge(2 * SLICE + 150);
    assert_eq!((turns.used[hog], turns.used[other]), (SLICE + 30, SLICE + 120));
    // He wakes, and has to wait until they have had the same: which is when the turn ends.
    assert!(!turns.is_over(0b11));
    assert_eq!(turns.ends(), 2 * SLICE + 150 + 90);
    turns.blame_newcomer(2 * SLICE + 160);
    assert_eq!((turns.used[hog], turns.used[other]), (SLICE + 30, SLICE + 130));
    assert_eq!(turns.ends(), 2 * SLICE + 160 + 100);
    assert!(!is_over(&mut turns, 0b11, 2 * SLICE + 259));
    assert!(is_over(&mut turns, 0b11, 2 * SLICE + 260));
    assert_eq!(turns.next(0b11), Some(other));
    // Nobody waits any more.
    turns.begin(other, 2 * SLICE + 260);
    assert!(!is_over(&mut turns, 0b11, 2 * SLICE + 261));
    turns.blame_newcomer(2 * SLICE + 270);
    turns.charge(2 * SLICE + 270);
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
    turns.charge(SLICE + 10);
    assert_eq!(turns.next(0), None);
    turns.rest(1_000_000);
    assert_eq!(turns.next(0b10), Some(1));
    turns.begin(1, 1_000_000);
    turns.charge(1_000_020);
    assert_eq!((turns.used[0], turns.used[1]), (SLICE + 10, 30), "it begins a turn behind the other one");
}

#[test]
fn who_woke_since_the_last_look_is_told_from_who_waits_already() {
    let mut turns = turns();
    assert_eq!(turns.next(0b01), Some(0));
    turns.begin(0, 0);
    assert!(!turns.has_woken(0b01) && turns.has_woken(0b11));
    is_over(&mut turns, 0b11, 10);
    assert!(!turns.has_woken(0b11) && turns.has_woken(0b111));
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
    turns.charge(3 * SLICE);
    assert_eq!(turns.next(0b01), Some(0));
    turns.begin(0, 3 * SLICE);
    assert!(!is_over(&mut turns, 0b11, 3 * SLICE + 10), "it woke, and waits for its share");
    turns.blame_newcomer(3 * SLICE + 20);
    let waits = turns.used[1];
    assert!(!is_over(&mut turns, 0b11, 3 * SLICE + 30));
    turns.blame_newcomer(3 * SLICE + 100);
    turns.charge(3 * SLICE + 100);
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
fn who_is_alone_first_after_a_sleep_has_no_more_than_a_turn_saved_up() {
    let mut turns = turns();
    run(&mut turns, 0b01, 0, 10 * SLICE);
    assert_eq!(turns.next(0), None);
    turns.rest(10 * SLICE);
    assert_eq!(turns.next(0b10), Some(1));
    turns.begin(1, 10 * SLICE);
    assert!(!is_over(&mut turns, 0b11, 10 * SLICE + 500), "it is a turn behind, of which it has had a half");
    assert!(is_over(&mut turns, 0b11, 11 * SLICE + 1), "the first one has had no more, and woke");
}

#[test]
fn that_who_is_ready_has_had_little_gives_who_wakes_no_more() {
    let mut turns = turns();
    run(&mut turns, 0b001, 0, 10 * SLICE);
    let mut now = 10 * SLICE;
    for slot in 1..3 {
        assert_eq!(turns.next(1 << slot), Some(slot));
        turns.begin(slot, now);
        now += 10;
        turns.charge(now);
    }
    assert_eq!(turns.used[1..3], [9 * SLICE + 10; 2]);
}

#[test]
fn who_wakes_is_told_from_who_was_awake() {
    let queue = RunQueue::new();
    assert!(queue.wake(1) && !queue.wake(1) && queue.wake(63));
    assert_eq!(queue.ready(), 1 << 1 | 1 << 63);
    queue.sleep(1);
    assert_eq!(queue.ready(), 1 << 63);
}

#[test]
fn vcpus_are_spread_over_the_cpus() {
    let mut placement = Places::on([0, 1]);
    let places: Vec<Place> = (0..3).map(|_| placement.place().unwrap()).collect();
    assert_eq!(places, [Place { cpu: 0, slot: 0 }, Place { cpu: 1, slot: 0 }, Place { cpu: 0, slot: 1 }]);
    assert_eq!((0..).map_while(|_| placement.place()).count(), 2 * SLOTS - 3);
    assert_eq!(Places::none().place(), None);
}

#[test]
fn a_cpu_that_does_not_run_has_no_places() {
    let mut placement = Places::on([0, 2, 5]);
    let mut cpus: Vec<usize> = core::iter::from_fn(|| placement.place()).map(|place| place.cpu).collect();
    assert_eq!(cpus[..4], [0, 2, 5, 0]);
    cpus.sort_unstable();
    cpus.dedup();
    assert_eq!(cpus, [0, 2, 5]);
    placement.leave(Place { cpu: 2, slot: 9 });
    assert_eq!(placement.place(), Some(Place { cpu: 2, slot: 9 }));
}
