// SPDX-License-Identifier: MIT OR Apache-2.0
//! Locks that say how long CPUs waited for them.
//!
//! None of them is taken where a CPU serves what it has no choice about: its timers, a guest that waits for an
//! interrupt, interrupts that vCPUs send each other ([`crate::vgic`], [`crate::scheduler`]). They are not fair. A lock
//! that serves in the order in which CPUs came hands itself over to a CPU that its host may not be running, and all
//! wait until it does; with more CPUs than the host has, that is most of the time. Whoever runs takes these. What they
//! are held over is short and never waits for a device, but for the console's, so that who comes late finds them free
//! soon.
//!
//! Waiting is counted where it happens, in the loop of who waits, so that taking a free lock costs nothing more. A
//! count is of looks at a lock that somebody else had.
#![forbid(unsafe_code)]

use crate::arch::cpu;
use crate::percpu::{self, LOCK_KINDS};
use spin::RelaxStrategy;

/// A VM's UART, clock, or power states.
pub const DEVICES: usize = 0;
/// A VM's side of the TEE mediator.
pub const TEE: usize = 1;
/// The console, which all VMs share.
pub const CONSOLE: usize = 2;
const _: () = assert!(CONSOLE + 1 == LOCK_KINDS);

/// A lock of one of the kinds above.
pub type Lock<T, const KIND: usize> = spin::mutex::SpinMutex<T, Counted<KIND>>;

/// What a CPU does between two looks at a lock.
pub struct Counted<const KIND: usize>;

impl<const KIND: usize> RelaxStrategy for Counted<KIND> {
    #[inline]
    fn relax() {
        count(KIND);
        // The lock's holder may be on a CPU that shares its host with this one.
        cpu::relax();
    }
}

#[cold]
fn count(kind: usize) {
    percpu::this().count_wait(kind);
}
