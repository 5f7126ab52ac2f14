// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pseudo-TAs: trusted services that are part of the TEE core.

pub mod device;
pub mod rng;
pub mod self_test;
pub mod stats;
pub mod vault;
