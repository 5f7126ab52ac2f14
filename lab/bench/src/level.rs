// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exception levels that instructions are counted at.

use serde::Deserialize;
use std::fmt;

/// An exception level of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Level {
    /// The monitor.
    #[serde(rename = "EL3")]
    El3,
    /// The TEE.
    #[serde(rename = "S-EL1")]
    SecureEl1,
    /// The hypervisor, or the probe in its place.
    #[serde(rename = "EL2")]
    El2,
    /// The guest.
    #[serde(rename = "EL1")]
    El1,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::El3 => "EL3",
            Self::SecureEl1 => "S-EL1",
            Self::El2 => "EL2",
            Self::El1 => "EL1",
        })
    }
}
