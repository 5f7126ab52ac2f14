// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whom PSCI shares the CPUs with.

use crate::world::cpu::Cpu;
use crate::world::next::{Next, Step};

/// The secure payload as PSCI knows it: something of the secure world that has a part in each step of power.
pub trait SecurePayload {
    /// Tells the payload of a step that this CPU, or the machine, is about to take or has taken.
    ///
    /// Returns what the CPU does so that the payload runs; what that says to the step comes back as
    /// [`Next::Power`]. `None`, with nothing changed, if there is nobody on this CPU to be told.
    fn tell(&self, cpu: &mut Cpu, step: Step) -> Option<Next>;
}
