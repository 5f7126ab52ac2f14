// SPDX-License-Identifier: MIT OR Apache-2.0
//! The devices of the host's fake machine.

pub mod gic;
pub mod rtc;
pub mod uart;
