// SPDX-License-Identifier: MIT OR Apache-2.0
//! The clock.
#![forbid(unsafe_code)]

/// Seconds since 1970.
pub fn seconds() -> u32 {
    1_000_000_000
}
