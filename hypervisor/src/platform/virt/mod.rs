// SPDX-License-Identifier: MIT OR Apache-2.0
//! The devices of QEMU's `virt`.

pub mod gic;
pub mod rtc;
pub mod uart;
