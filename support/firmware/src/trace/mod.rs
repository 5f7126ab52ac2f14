// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a layer's records leave it, in builds that trace. What they say and how they stand in memory is a contract:
//! [`shared_abi::trace`].

pub mod recorder;
pub mod ring;

pub use recorder::{Recorder, Tracer, Tracers};
