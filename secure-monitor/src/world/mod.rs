// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a CPU holds for each world, and what can be decided from that alone: no service's state, no hardware.

pub mod call;
pub mod context;
pub mod cpu;
pub mod errors;
pub mod injection;
pub mod next;
pub mod predictor;
pub mod tee;
