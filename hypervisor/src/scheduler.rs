//! Which vCPU a CPU runs: round-robin over those that have something to do.
//!
//! Every vCPU belongs to one CPU for good, the one with the fewest when its VM is set up. So a vCPU's state has one
//! owner and needs no lock, its list registers and timer stay where they are, and no CPU waits for another's queue; the
//! price is that a CPU may idle while another one has two vCPUs to run, which suits VMs that are placed once and stay.
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

/// vCPUs that one CPU can have.
pub const SLOTS: usize = 64;

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

    /// A vCPU has something to do. What that is must have been written before.
    #[inline]
    pub fn wake(&self, slot: usize) {
        self.ready.fetch_or(1 << slot, Ordering::Release);
    }

    /// A vCPU waits. The caller must look afterwards whether something came up in between.
    #[inline]
    pub fn sleep(&self, slot: usize) {
        self.ready.fetch_and(!(1 << slot), Ordering::AcqRel);
    }

    /// The next ready vCPU after `last`, which may be `last` itself if there is no other.
    #[inline]
    pub fn next(&self, last: usize) -> Option<usize> {
        let ready = self.ready.load(Ordering::Acquire);
        if ready == 0 {
            return None;
        }
        // Bit 0 is now the slot after `last`.
        let first = (last + 1) % SLOTS;
        let turned = ready.rotate_right(first as u32);
        Some((turned.trailing_zeros() as usize + first) % SLOTS)
    }

    /// Whether a vCPU is ready.
    #[inline]
    pub fn is_ready(&self, slot: usize) -> bool {
        self.ready.load(Ordering::Relaxed) & 1 << slot != 0
    }

    /// Whether anybody else than `slot` is ready.
    #[inline]
    pub fn has_others(&self, slot: usize) -> bool {
        self.ready.load(Ordering::Relaxed) & !(1 << slot) != 0
    }
}

/// Gives vCPUs their places: each goes to the CPU that has the fewest.
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

    #[test]
    fn everybody_who_is_ready_gets_a_turn() {
        let queue = RunQueue::new();
        for slot in [0, 3, 63] {
            queue.wake(slot);
        }
        let mut last = 0;
        let turns: Vec<usize> = (0..4)
            .map(|_| {
                last = queue.next(last).unwrap();
                last
            })
            .collect();
        assert_eq!(turns, [3, 63, 0, 3]);
    }

    #[test]
    fn who_waits_is_passed_over_until_woken() {
        let queue = RunQueue::new();
        queue.wake(1);
        queue.wake(2);
        assert!(queue.has_others(1));
        queue.sleep(2);
        assert_eq!(queue.next(1), Some(1));
        assert!(!queue.has_others(1));
        queue.sleep(1);
        assert_eq!(queue.next(1), None);
        queue.wake(2);
        assert_eq!(queue.next(1), Some(2));
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
