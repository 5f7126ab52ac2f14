// SPDX-License-Identifier: MIT OR Apache-2.0
//! A reference model of the TEE as the normal world sees it, and the TEE beside it.
//!
//! The model is raw on its outside as the TEE is: registers and the bytes of non-secure RAM in, registers and bytes
//! out. Inside it has none of what makes the TEE hard: no pages, no mappings, no locks, no threads. A yielding call is
//! an `async` function that reads top to bottom; it is suspended by waiting. Every access to non-secure RAM is a point
//! where a foreign interrupt may come, or another CPU may change memory or make a call.

mod buffer;
mod call;
mod heap;
mod message;
mod nexus;
mod pair;
mod record;
mod rpc;
mod services;
mod vm;

pub use nexus::{HOLE, PAGE, RAM, RAM_PAGES};
pub use pair::Pair;
pub use record::scenario;
pub use services::Service;
pub use vm::{Exit, Suspension};
