//! The topics of the contract.

mod vgic;

use crate::check::Topic;

/// All of them, in the order in which they are looked at.
pub const TOPICS: [&Topic; 1] = [&vgic::TOPIC];
