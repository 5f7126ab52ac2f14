// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the types of a scenario cannot say.
//!
//! A scenario is evidence, so nothing in it may be without effect: what would be ignored, could never happen, or would
//! hold whatever the machine did, is refused when it is read.

mod expects;
mod machine;
mod sends;
mod vms;

use super::error::Fault;
use super::tables::Scenario;

/// A key to blame, and what is wrong with it.
type Mistake = (&'static str, String);

/// Finds the first mistake in what boots.
pub(super) fn what_boots(scenario: &Scenario) -> Result<(), Fault> {
    machine::check(scenario)?;
    vms::check(scenario)
}

/// Finds the first mistake in what must be seen, and in what is typed for it.
pub(super) fn what_is_seen(scenario: &Scenario) -> Result<(), Fault> {
    expects::check(scenario)?;
    sends::check(scenario)
}

/// Blames a key.
fn mistake(key: &'static str, message: impl Into<String>) -> Result<(), Mistake> {
    Err((key, message.into()))
}

/// Says whether a name may be a folder's or a node's.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Lists names as a sentence does.
fn listed(names: &[String], and: &str) -> String {
    match names {
        [] => "nobody".into(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} {and} {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests;
