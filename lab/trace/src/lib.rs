// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layers' records of a run, collected while it runs, kept, reopened.
//!
//! What a record is and how it leaves the machine is the contract of [`shared_abi::trace`]; here is the side that
//! reads. The way in: [`recording::Recording::start`] while a machine runs, and [`Trace`], which is what comes of it.
//!
//! | module | what |
//! |---|---|
//! | `collector` | reads the rings of a running machine from the file behind its memory |
//! | [`memory`] | the file behind a machine's memory |
//! | [`frames`] | takes records out of what a serial port says, where nobody can read the machine's memory |
//! | [`recording`] | a trace in the making, by either way |
//! | `merge` | many rings, each in its own order, become one sequence |
//! | [`mod@file`] | a trace as a file |
//! | [`text`] | records as lines of a log |
//! | [`summary`] | how much there is of it, and its end |
//! | [`Tracing`], [`Traced`] | how a run is traced |
//! | [`verify`] | compares a trace with QEMU's own log of exceptions |
#![forbid(unsafe_code)]
// They panic where nobody reads any more; `lab_run::screen` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![deny(unreachable_pub)]

mod collector;
pub mod file;
pub mod frames;
pub mod memory;
mod merge;
pub mod recording;
pub mod summary;
pub mod text;
mod told;
pub mod verify;
mod way;

pub use told::{Entry, Trace};
pub use way::{Traced, Tracing};

#[cfg(test)]
mod tests;
