//! The topics of the contract.

mod pl031;
mod timers;
mod vgic;

use crate::check::Topic;

/// All of them, in the order in which they are looked at.
pub const TOPICS: [&Topic; 3] = [&vgic::TOPIC, &pl031::TOPIC, &timers::TOPIC];
