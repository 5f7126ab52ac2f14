// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a VM has beside RAM and CPUs' registers: its devices and the power states of its vCPUs.
//!
//! The interrupt controller needs no lock ([`crate::vgic`]); each of the others has one of its own ([`crate::device`]).
#![forbid(unsafe_code)]

use crate::device::Devices;
use crate::lock::{self, Lock};
use crate::trace::Client;
use crate::vgic::Vgic;
use crate::vpsci::{Psci, Start};
use shared_abi::client::VmId;

/// Why a VM ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
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
    /// Why the VM is about to end.
    pub end: Option<End>,
}

/// The devices and power states of a VM.
pub struct Machine {
    /// The interrupt controller.
    pub vgic: Vgic,
    /// Power states.
    pub power: Lock<Power, { lock::DEVICES }>,
    /// The devices.
    pub devices: Devices,
}

impl Machine {
    /// All out of reset.
    pub fn new(id: VmId, vcpus: usize, first: Start) -> Self {
        Self {
            vgic: Vgic::new(Client::of(id), vcpus),
            power: Lock::new(Power { psci: Psci::new(vcpus, first), end: None }),
            devices: Devices::new(id),
        }
    }

    /// All out of reset again, as a machine's that stays on. No vCPU is on.
    pub fn reset(&self, first: Start) {
        self.devices.reset(&self.vgic);
        *self.power.lock() = Power { psci: Psci::new(self.vgic.vcpus(), first), end: None };
    }
}
