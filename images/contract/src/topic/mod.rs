//! The topics of the contract.

mod debug;
mod endianness;
mod mmio;
mod pl031;
mod timers;
mod vgic;

use crate::check::Topic;

/// All of them, in the order in which they are looked at.
pub const TOPICS: [&Topic; 6] =
    [&vgic::TOPIC, &pl031::TOPIC, &timers::TOPIC, &debug::TOPIC, &mmio::TOPIC, &endianness::TOPIC];
