// SPDX-License-Identifier: MIT OR Apache-2.0
//! The topics of the contract.

mod aarch32;
mod caches;
mod debug;
mod endianness;
mod faults;
mod fp;
mod id_registers;
mod mmio;
mod pl011;
mod pl031;
mod psci;
mod random;
pub mod reset;
mod timers;
mod vgic;

use crate::check::Topic;

/// All of them but [`reset`], in the order in which they are looked at.
pub const TOPICS: &[&Topic] = &[
    &vgic::TOPIC,
    &pl031::TOPIC,
    &pl011::TOPIC,
    &timers::TOPIC,
    &debug::TOPIC,
    &mmio::TOPIC,
    &endianness::TOPIC,
    &psci::TOPIC,
    &id_registers::TOPIC,
    &fp::TOPIC,
    &caches::TOPIC,
    &faults::TOPIC,
    &aarch32::TOPIC,
    &random::TOPIC,
];
