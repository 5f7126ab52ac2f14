// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scripts for the probe: from a scenario's `[[step]]` tables to the bytes that it plays.
//!
//! [`source`] is what a scenario may write, `compile` makes the compact form of it, and `play` puts the result into
//! the scenario: which list is whose, and what is expected of a probe without being written down.

mod compile;
mod constant;
mod expect;
mod expression;
mod message;
mod names;
mod play;
pub mod source;
mod step;
#[cfg(test)]
mod tests;

pub use compile::{Compiled, Mistake, Source, compile};
pub use constant::{constant, place};
pub use names::Ram;
pub use play::{append, prepare};
