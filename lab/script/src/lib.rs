// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scripts for the probe: from a scenario's `[[step]]` tables to the bytes that it plays.
//!
//! [`source`] is what a scenario may write, and [`compile()`] makes the compact form of it. Which list is whose, and
//! what is expected of a probe without being written down, is the scenario's affair.
#![forbid(unsafe_code)]
// They panic where nobody reads any more; `lab_run::screen` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![deny(unreachable_pub)]

mod compile;
mod constant;
mod expect;
mod expression;
mod message;
mod names;
mod nearest;
mod size;
pub mod source;
mod step;

pub use compile::{Compiled, Mistake, Source, Target, compile};
pub use constant::{constant, place};
pub use names::Ram;
pub use nearest::distance;
pub use size::Size;
