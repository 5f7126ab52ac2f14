// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest contract as a suite of bare programs: what a guest sees of its hardware.
//!
//! One file a topic (`topic`), one line a check, with what was observed and no verdict. The lab runs the same image on
//! plain QEMU and as a guest, and compares the lines: `cargo lab contract`. Where they differ, `differences.toml` says
//! what the guest contract has instead, and why.
//!
//! It needs RAM at 0x4000_0000, a device tree in x0, a GICv3, PL011, PL031 and PSCI. `bootargs` names the topics to
//! look at, or with `-` before them those that are left out; else it is all of them. With `noise` it is the neighbour
//! of a VM that looks (`noise.rs`).
#![cfg_attr(not(test), no_std)]
#![deny(unreachable_pub)]

#[cfg(target_os = "none")]
pub mod arch;
#[cfg(target_os = "none")]
pub mod check;
#[cfg(target_os = "none")]
pub mod clock;
#[cfg(target_os = "none")]
pub mod console;
#[cfg(target_os = "none")]
mod devices;
#[cfg(target_os = "none")]
pub mod gic;
#[cfg(target_os = "none")]
pub mod inventory;
#[cfg(target_os = "none")]
pub mod noise;
#[cfg(target_os = "none")]
mod shared;
#[cfg(target_os = "none")]
pub mod topic;
