// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of the CPUs that were switched on come.
//!
//! CPU_ON is answered before anybody knows whether the CPU will get through the firmware and the TEE (PSCI 1.1 §5.6):
//! one on which the TEE does not begin goes off again. Who comes says so here; of who does not AFFINITY_INFO tells.
#![forbid(unsafe_code)]

use crate::arch::{cpu, one_per_machine, timer};
use crate::firmware;
use core::sync::atomic::{AtomicBool, Ordering};
use heapless::Vec;
use shared_abi::layout::MAX_CPUS;
use smccc::psci::AffinityState;

/// Seconds after which a CPU that is neither here nor off is left to come when it comes. Our monitor gives a TEE two to
/// begin, counted from when the CPU itself runs.
const PATIENCE: u64 = 5;
/// For this part of a second the CPU that waits looks all the time, for others come at once; then it sleeps.
const ALERT_PARTS: u64 = 256;
/// And the firmware is asked each time when so much of a second has passed.
const ASK_PARTS: u64 = 64;

one_per_machine! {
    /// Returns which CPUs have come.
    fn here() -> &'static [AtomicBool; MAX_CPUS] = [const { AtomicBool::new(false) }; MAX_CPUS];
}

/// Says that the CPU with this number has come.
pub fn report(index: usize) {
    here()[index].store(true, Ordering::Release);
}

/// What is known of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// It may still come.
    OnItsWay,
    /// It has come.
    Here,
    /// It is off, and does not come.
    Off,
}

/// A CPU that was switched on.
pub struct Entry {
    /// Its number.
    pub index: usize,
    /// Its affinities.
    pub affinity: u64,
    /// Where it is.
    pub whereabouts: Whereabouts,
    /// The firmware has called it about to be on: if it is off after that, then again, and not still.
    was_pending: bool,
}

/// All that were switched on.
#[derive(Default)]
pub struct Muster {
    entries: Vec<Entry, MAX_CPUS>,
}

impl Muster {
    /// Notes that the firmware has accepted to switch a CPU on.
    pub fn expect(&mut self, index: usize, affinity: u64) {
        let entry = Entry { index, affinity, whereabouts: Whereabouts::OnItsWay, was_pending: false };
        // There are no more CPUs than that.
        let _ = self.entries.push(entry);
    }

    /// Lists them.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Counts those of which this is known.
    pub fn count(&self, whereabouts: Whereabouts) -> usize {
        self.entries().filter(|entry| entry.whereabouts == whereabouts).count()
    }

    /// Waits until each has come or is off; a few seconds at most.
    pub fn wait(&mut self) {
        let (start, second) = (timer::now(), timer::frequency());
        let mut ask_at = start + second / ALERT_PARTS;
        while !self.is_complete(|index| here()[index].load(Ordering::Acquire)) {
            let now = timer::now();
            if now < ask_at {
                // It wakes for other reasons, too, and those of this time stay until somebody sees to them.
                if now - start < second / ALERT_PARTS {
                    cpu::relax()
                } else {
                    cpu::wait_for_interrupt()
                }
                continue;
            }
            let is_over = now - start >= PATIENCE * second;
            self.ask(is_over, |affinity| firmware::affinity_info(affinity).ok());
            if is_over {
                break;
            }
            ask_at = now + second / ASK_PARTS;
            timer::set(Some(ask_at));
        }
        timer::set(None);
    }

    /// Looks who has come. Says whether nobody is on his way any more.
    fn is_complete(&mut self, has_come: impl Fn(usize) -> bool) -> bool {
        for entry in self.on_their_way() {
            if has_come(entry.index) {
                entry.whereabouts = Whereabouts::Here;
            }
        }
        self.count(Whereabouts::OnItsWay) == 0
    }

    /// Asks the firmware about those who are on their way. `is_over`: who is off now is not waited for.
    fn ask(&mut self, is_over: bool, state: impl Fn(u64) -> Option<AffinityState>) {
        for entry in self.on_their_way() {
            match state(entry.affinity) {
                Some(AffinityState::Off) if entry.was_pending || is_over => entry.whereabouts = Whereabouts::Off,
                Some(AffinityState::OnPending) => entry.was_pending = true,
                _ => {}
            }
        }
    }

    fn on_their_way(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut().filter(|entry| entry.whereabouts == Whereabouts::OnItsWay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AffinityState::{Off, On, OnPending};
    use Whereabouts::{Here, OnItsWay};

    fn muster(cpus: usize) -> Muster {
        let mut muster = Muster::default();
        (1..cpus).for_each(|index| muster.expect(index, 0x100 * index as u64));
        muster
    }

    fn known(muster: &Muster) -> std::vec::Vec<Whereabouts> {
        muster.entries().map(|entry| entry.whereabouts).collect()
    }

    #[test]
    fn who_comes_is_here_and_nobody_is_asked_about_him() {
        let mut muster = muster(4);
        assert!(!muster.is_complete(|index| index == 2));
        assert_eq!(known(&muster), [OnItsWay, Here, OnItsWay]);
        muster.ask(true, |affinity| {
            assert_ne!(affinity, 0x200);
            Some(On)
        });
        assert!(muster.is_complete(|_| true));
        assert_eq!((known(&muster), muster.count(Here)), (std::vec![Here; 3], 3));
    }

    #[test]
    fn who_was_about_to_be_on_and_is_off_does_not_come() {
        let mut muster = muster(3);
        // Nobody has begun with the first one yet: firmware may accept first and note it later.
        let state = |first, second| move |affinity| Some(if affinity == 0x100 { first } else { second });
        muster.ask(false, state(Off, OnPending));
        assert_eq!(known(&muster), [OnItsWay; 2]);
        muster.ask(false, state(OnPending, Off));
        assert_eq!(known(&muster), [OnItsWay, Whereabouts::Off]);
        muster.ask(false, state(Off, On));
        assert_eq!(known(&muster), [Whereabouts::Off; 2]);
        assert!(muster.is_complete(|_| false));
    }

    #[test]
    fn when_the_time_is_over_who_is_off_is_given_up_and_nobody_else() {
        let states = [Some(Off), Some(OnPending), Some(On), None];
        let mut muster = muster(5);
        muster.ask(true, |affinity| states[affinity as usize / 0x100 - 1]);
        assert_eq!(known(&muster), [Whereabouts::Off, OnItsWay, OnItsWay, OnItsWay]);
    }

    #[test]
    fn one_cpu_waits_for_nobody() {
        assert!(muster(1).is_complete(|_| unreachable!()));
    }
}
