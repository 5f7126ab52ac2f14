// SPDX-License-Identifier: MIT OR Apache-2.0
//! A lock that needs no atomic read-modify-write: Lamport's bakery.
//!
//! The probe runs with its MMU off, so its memory is Device memory to its CPUs, where exclusive accesses need not work
//! (Arm ARM B2.9.2); plain loads and stores of words do.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use shared_abi::layout::MAX_CPUS;

/// The lock. It has no owner's guard: it is only held while a line is printed.
#[derive(Debug)]
pub struct Bakery {
    choosing: [AtomicBool; MAX_CPUS],
    tickets: [AtomicU32; MAX_CPUS],
}

impl Bakery {
    /// Makes one that nobody has.
    pub const fn new() -> Self {
        Self {
            choosing: [const { AtomicBool::new(false) }; MAX_CPUS],
            tickets: [const { AtomicU32::new(0) }; MAX_CPUS],
        }
    }

    /// Does something that no other CPU does meanwhile.
    pub fn hold(&self, cpu: usize, work: impl FnOnce()) {
        let cpu = cpu % MAX_CPUS;
        self.choosing[cpu].store(true, SeqCst);
        let last = self.tickets.iter().map(|ticket| ticket.load(SeqCst)).max().unwrap_or(0);
        let mine = last.wrapping_add(1).max(1);
        self.tickets[cpu].store(mine, SeqCst);
        self.choosing[cpu].store(false, SeqCst);
        for other in (0..MAX_CPUS).filter(|other| *other != cpu) {
            while self.choosing[other].load(SeqCst) {
                core::hint::spin_loop();
            }
            loop {
                let theirs = self.tickets[other].load(SeqCst);
                if theirs == 0 || (mine, cpu) < (theirs, other) {
                    break;
                }
                core::hint::spin_loop();
            }
        }
        work();
        self.tickets[cpu].store(0, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_is_in() {
        static LOCK: Bakery = Bakery::new();
        static INSIDE: AtomicU32 = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for cpu in 0..2 {
                scope.spawn(move || {
                    for _ in 0..40 {
                        LOCK.hold(cpu, || {
                            let before = INSIDE.load(SeqCst);
                            std::thread::yield_now();
                            INSIDE.store(before + 1, SeqCst);
                        });
                    }
                });
            }
        });
        assert_eq!(INSIDE.load(SeqCst), 80);
    }
}
