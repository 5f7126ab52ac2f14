// SPDX-License-Identifier: MIT OR Apache-2.0
//! What of a CPU is a vCPU's while it is loaded.
#![forbid(unsafe_code)]

use super::machine::{Guest, with_cpu};

/// The registers of a vCPU that is not loaded.
#[derive(Clone)]
pub struct Context(Guest);

impl Context {
    /// Returns a vCPU out of reset, at `entry`, with `mpidr` for its affinity.
    pub fn reset(mpidr: u64, entry: u64) -> Self {
        Self(Guest { pc: entry, pstate: 0x3C5, mpidr, ..Guest::default() })
    }

    /// Takes the registers from the CPU.
    pub fn save(&mut self) {
        self.0 = with_cpu(|cpu| cpu.guest.clone());
    }

    /// Gives the registers to the CPU.
    pub fn restore(&self) {
        with_cpu(|cpu| cpu.guest = self.0.clone());
    }

    /// Says when the first of this vCPU's timers fires; `None` if they are off or masked.
    pub fn timer_deadline(&self) -> Option<u64> {
        let on = self.0.timers.iter().filter(|(control, _)| control & 3 == 1);
        on.map(|(_, value)| *value).min()
    }
}
