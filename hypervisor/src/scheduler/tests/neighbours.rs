// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever its neighbours do, a vCPU has its share of the CPU, and has it in time.

use super::*;
use proptest::prelude::*;

/// A turn.
const TURN: u64 = 10_000;
/// How long everything lasts.
const LENGTH: u64 = 400 * TURN;

/// What a vCPU does all the time.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// It works, and never sleeps.
    Busy,
    /// It works for so long, then sleeps for so long.
    Regular { work: u64, sleep: u64 },
    /// It works, then sleeps, each time for up to twice as long.
    ByChance { work: u64, sleep: u64 },
    /// It works, and sleeps for a moment so long after it got the CPU back, when others have slept and are to wake.
    Lurks { after: u64, nap: u64 },
}

struct Vcpu {
    habit: Habit,
    /// How long it still works before it sleeps.
    left: u64,
    /// When it wakes.
    wakes: Option<u64>,
    /// When it had to wait for the CPU last.
    waits: u64,
    /// How long it had to wait at most.
    waited: u64,
    /// How long it had the CPU.
    had: u64,
    /// How long it slept, as it wanted.
    slept: u64,
}

impl Vcpu {
    fn new(habit: Habit, random: &mut impl FnMut() -> u64) -> Self {
        let mut vcpu = Self { habit, left: 0, wakes: None, waits: 0, waited: 0, had: 0, slept: 0 };
        vcpu.work(random);
        vcpu
    }

    fn work(&mut self, random: &mut impl FnMut() -> u64) {
        self.left = match self.habit {
            Habit::Busy | Habit::Lurks { .. } => u64::MAX,
            Habit::Regular { work, .. } => work,
            Habit::ByChance { work, .. } => 1 + random() % (2 * work),
        };
    }

    fn sleep(&mut self, now: u64, random: &mut impl FnMut() -> u64) {
        let sleep = match self.habit {
            Habit::Busy => unreachable!("it always has work left"),
            Habit::Regular { sleep, .. } => sleep,
            Habit::ByChance { sleep, .. } => 1 + random() % (2 * sleep),
            Habit::Lurks { nap, .. } => nap,
        };
        self.wakes = Some(now + sleep);
        self.slept += sleep.min(LENGTH.saturating_sub(now));
    }
}

/// A CPU, whose vCPUs do what they do.
struct Cpu<R> {
    turns: Turns,
    vcpus: Vec<Vcpu>,
    ready: u64,
    now: u64,
    random: R,
}

impl<R: FnMut() -> u64> Cpu<R> {
    /// The time goes on, until then for who runs. Who sleeps wakes if it is time.
    fn pass(&mut self, time: u64) {
        self.now = time;
        self.turns.charge(self.now);
        for (slot, vcpu) in self.vcpus.iter_mut().enumerate() {
            if vcpu.wakes.is_some_and(|wakes| wakes <= self.now) {
                vcpu.wakes = None;
                vcpu.waits = self.now;
                vcpu.work(&mut self.random);
                self.ready |= 1 << slot;
            }
        }
    }

    /// When to look whether who runs has to make room, or sleeps.
    fn looks_at(&self, slot: usize) -> u64 {
        let mut next = self.now.saturating_add(self.vcpus[slot].left);
        if self.ready & !(1 << slot) != 0 {
            next = next.min(self.turns.ends());
        }
        for (other, vcpu) in self.vcpus.iter().enumerate() {
            if let Some(deadline) = vcpu.wakes {
                next = next.min(self.turns.wakes_at(other, deadline));
            }
        }
        next.max(self.now + 1)
    }

    /// Somebody runs until he sleeps or has to make room, or nobody until somebody wakes. `before` is who ran last.
    fn turn(&mut self, before: Option<usize>) -> Option<usize> {
        let Some(slot) = self.turns.next(self.ready) else {
            self.now = self.vcpus.iter().filter_map(|vcpu| vcpu.wakes).min().unwrap();
            self.turns.rest(self.now);
            self.pass(self.now);
            return before;
        };
        self.turns.begin(slot, self.now);
        let vcpu = &mut self.vcpus[slot];
        vcpu.waited = vcpu.waited.max(self.now - vcpu.waits);
        if let Habit::Lurks { after, .. } = vcpu.habit
            && before != Some(slot)
        {
            vcpu.left = after;
        }
        while self.now < LENGTH {
            let next = self.looks_at(slot);
            let vcpu = &mut self.vcpus[slot];
            vcpu.had += next - self.now;
            vcpu.left -= next - self.now;
            self.pass(next);
            let vcpu = &mut self.vcpus[slot];
            vcpu.waits = self.now;
            if vcpu.left == 0 {
                vcpu.sleep(self.now, &mut self.random);
                self.ready &= !(1 << slot);
                break;
            }
            if self.turns.is_over(self.ready) {
                break;
            }
        }
        Some(slot)
    }
}

/// What becomes of vCPUs with these habits on one CPU.
fn play(habits: &[Habit]) -> Vec<Vcpu> {
    let mut turns = Turns::new();
    turns.set_slice(TURN);
    let mut random = random();
    let vcpus = habits.iter().map(|habit| Vcpu::new(*habit, &mut random)).collect();
    let mut cpu = Cpu { turns, vcpus, ready: (1 << habits.len()) - 1, now: 0, random };
    let mut ran = None;
    while cpu.now < LENGTH {
        ran = cpu.turn(ran);
    }
    cpu.vcpus
}

/// What one with this habit gets beside neighbours with that one.
fn beside(habit: Habit, neighbours: usize, theirs: Habit) -> u64 {
    let mut habits = vec![theirs; neighbours + 1];
    habits[0] = habit;
    play(&habits)[0].had
}

/// Whatever they do to seem asleep at the right moment, neighbours take no more than if they were busy all the time.
#[test]
fn neighbours_that_nap_take_no_more_than_busy_ones() {
    let patterns = [(1000, 100), (400, 60), (100, 500), (400, 1600), (1000, 1500), (4000, 12_000), (6000, 600)];
    for (work, sleep) in patterns {
        let victim = Habit::Regular { work, sleep };
        let mut theirs = Vec::new();
        for nap in [1, 10, 60, 300] {
            for work in [60, 300, 1000, 3000, 7000, 9900, 11_000, 15_000, 25_000] {
                if work > 10 * nap {
                    theirs.push(Habit::Regular { work, sleep: nap });
                    theirs.push(Habit::ByChance { work, sleep: nap });
                    theirs.push(Habit::Lurks { after: work, nap });
                }
            }
            theirs.push(Habit::Lurks { after: sleep.max(nap + 1) - nap, nap });
            theirs.push(Habit::Lurks { after: sleep - nap.min(sleep) / 2, nap });
        }
        for neighbours in 1..4 {
            let most = beside(victim, neighbours, Habit::Busy);
            for habit in &theirs {
                let had = beside(victim, neighbours, *habit);
                assert!(had * 100 >= most * 95, "{victim:?} has {had} of {most} beside {neighbours} of {habit:?}");
            }
        }
    }
}

fn length() -> impl Strategy<Value = u64> {
    prop_oneof![1..100_u64, 50..1000_u64, 1000..TURN, TURN..5 * TURN]
}

fn habit() -> impl Strategy<Value = Habit> {
    prop_oneof![
        Just(Habit::Busy),
        (length(), length()).prop_map(|(work, sleep)| Habit::Regular { work, sleep }),
        (length(), length()).prop_map(|(work, sleep)| Habit::ByChance { work, sleep }),
        (length(), 1..200_u64).prop_map(|(after, nap)| Habit::Lurks { after, nap }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { ProptestConfig::default().cases },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Each does its work at least as fast as on a CPU of its own that is slower by their number: what it has while it
    /// has something to do is less than an equal part by a tenth at most: who works for some microseconds at a time is
    /// worst off. And it waits for its own turn and the one that it is
    /// ahead, and for one that another saved up, for each of them.
    #[test]
    fn each_has_its_share_and_in_time(habits in prop::collection::vec(habit(), 2..=5)) {
        let number = habits.len() as u64;
        for (slot, vcpu) in play(&habits).iter().enumerate() {
            let least = match habits[slot] {
                Habit::Busy => LENGTH / number * 90 / 100,
                // How much it sleeps is chance.
                Habit::ByChance { .. } => (LENGTH * 90 / 100).saturating_sub(vcpu.slept) / number,
                Habit::Regular { work, sleep: rest } | Habit::Lurks { after: work, nap: rest } => {
                    LENGTH * work / (work * number + rest) * 90 / 100
                }
            };
            prop_assert!(vcpu.had + 3 * TURN >= least, "{slot} has {} of {least}", vcpu.had);
            prop_assert!(vcpu.waited <= 3 * (number - 1) * TURN, "{slot} waits for {}", vcpu.waited);
        }
    }
}
