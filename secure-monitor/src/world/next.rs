// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the CPU does when a call or an exception has been handled.

use super::context::World;

/// What the CPU does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Goes on in this world; the one that came is kept.
    Enter(World),
    /// Begins the normal world anew in the context prepared for it. The TEE is kept if it came from there.
    BeginNormal,
    /// Begins the normal world anew after a suspension: what may have woken the CPU is still to be handled, so timers
    /// and interrupts stay.
    ResumeNormal,
    /// Begins the TEE anew on this CPU; nothing else is worth keeping.
    BeginSecure,
    /// Goes on in the TEE, where it came from, but at another of its entries.
    Redirect,
    /// Waits for an interrupt, then goes on where the call came from.
    Standby,
    /// Waits for an interrupt, then asks PSCI how a suspended CPU wakes up.
    PowerDown,
    /// Is off until it is switched on, then asks PSCI how it begins.
    Park,
    /// Asks PSCI how a step goes on of which the secure payload has been told.
    Power(Step, Verdict),
    /// Lets the normal world begin: the TEE has answered its first entry.
    Boot,
    /// Switches the machine off.
    SystemOff,
    /// Resets the machine.
    SystemReset,
}

/// A step of a CPU's or the machine's power that the secure payload is told of. Numbered as the trace numbers the
/// errands that they are ([`super::tee::Errand`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// This CPU was switched on.
    On = 4,
    /// This CPU is about to be switched off.
    Off,
    /// This CPU is about to be suspended, and its context lost.
    Suspend,
    /// This CPU woke up.
    Resume,
    /// The machine is about to be switched off.
    SystemOff,
    /// The machine is about to be reset.
    SystemReset,
}

/// What the secure payload says to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has done its part.
    Done,
    /// It refused, or broke its contract and is gone.
    Failed,
}
