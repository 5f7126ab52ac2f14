//! Locks that say how long CPUs waited for them.
//!
//! The lock of a VM's devices is a *ticket* lock: who comes first is served first. Others than the VM's own vCPUs take it
//! too, a CPU that has input for the VM for example, and a vCPU that accesses a device in a loop must not keep them out.
//! The other locks need no such order.
//!
//! Waiting is counted where it happens, in the loop of who waits, so that taking a free lock costs nothing more. A count
//! is of looks at a lock that somebody else had.
#![forbid(unsafe_code)]

use spin::RelaxStrategy;

/// A VM's devices and power states.
pub const DEVICES: usize = 0;
/// A VM's side of the TEE mediator.
pub const TEE: usize = 1;
/// The console, which all VMs share.
pub const CONSOLE: usize = 2;
/// How many kinds of locks are told apart.
pub const KINDS: usize = 3;

/// A lock of one of the kinds above that serves in the order in which they came.
pub type TicketLock<T, const KIND: usize> = spin::mutex::TicketMutex<T, Counted<KIND>>;

/// What a CPU does between two looks at a lock.
pub struct Counted<const KIND: usize>;

impl<const KIND: usize> RelaxStrategy for Counted<KIND> {
    #[inline]
    fn relax() {
        count(KIND);
        // The lock's holder may be on a CPU that shares its host with this one.
        #[cfg(target_os = "none")]
        crate::arch::sysreg::relax();
        #[cfg(not(target_os = "none"))]
        core::hint::spin_loop();
    }
}

#[cfg(target_os = "none")]
#[cold]
fn count(kind: usize) {
    crate::cpu::this().count_wait(kind);
}

/// Tests have no CPUs to count for.
#[cfg(not(target_os = "none"))]
fn count(_: usize) {}
