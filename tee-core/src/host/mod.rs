// SPDX-License-Identifier: MIT OR Apache-2.0
//! What plays the other side on the host: the monitor that boots and calls the TEE, and a normal world for tests.

pub mod monitor;
pub mod normal_world;
