// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of a VM's vCPUs are on, and why the VM stops.
#![forbid(unsafe_code)]

use crate::vpsci::{Psci, Start};

/// Why a VM stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// It asked for it, or its last CPU went off.
    Off,
    /// It asked to start again.
    Reset,
    /// It can't go on.
    Crash(&'static str),
}

/// The vCPUs' power states, and what becomes of them.
pub struct Power {
    /// Which are on.
    pub psci: Psci,
    /// Why the VM is about to stop.
    pub stop: Option<StopReason>,
}

impl Power {
    /// Makes them all off but the first one, which is to start.
    pub fn new(vcpus: usize, first: Start) -> Self {
        Self { psci: Psci::new(vcpus, first), stop: None }
    }
}
