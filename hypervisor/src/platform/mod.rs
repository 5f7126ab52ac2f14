// SPDX-License-Identifier: MIT OR Apache-2.0
//! The board: its devices, the only home of MMIO, and its memory. Addresses are
//! [`firmware_support::board`]'s.
//!
//! Of the devices there are two sets: those of QEMU's `virt`, and on the host what the fake machine has.

pub mod console;
#[cfg(target_os = "none")]
pub mod heap;
pub mod memory;
#[cfg(all(feature = "trace", target_os = "none"))]
pub mod trace;

#[cfg(not(target_os = "none"))]
pub mod host;
#[cfg(target_os = "none")]
pub mod virt;

#[cfg(not(target_os = "none"))]
pub use host::{gic, rtc, uart};
#[cfg(target_os = "none")]
pub use virt::{DEVICES, gic, rtc, uart};
