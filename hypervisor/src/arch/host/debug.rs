// SPDX-License-Identifier: MIT OR Apache-2.0
//! The debug registers of a guest.
#![forbid(unsafe_code)]

/// A vCPU's debug registers: MDSCR_EL1, and whether the guest has the registers.
#[derive(Clone, Default)]
pub struct Debug {
    mdscr: u64,
    live: bool,
}

impl Debug {
    /// Says what a guest wrote to MDSCR_EL1.
    pub fn mdscr(&self) -> u64 {
        self.mdscr
    }

    /// Keeps it.
    pub fn set_mdscr(&mut self, value: u64) {
        self.mdscr = value;
    }

    /// Gives the registers to the guest from now on.
    pub fn make_live(&mut self) {
        self.live = true;
    }

    /// Says whether the guest has the registers.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Takes the registers from the CPU, which has none.
    pub fn save(&mut self) {}

    /// Gives the registers to the CPU.
    pub fn restore(&self) {}
}
