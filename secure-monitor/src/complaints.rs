// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the monitor says about what lower levels do wrong.

use core::fmt;
use firmware_support::lines::Lines;

/// They can do it as often as they like, and a line takes long where nothing interrupts.
static LINES: Lines<32> = Lines::new();

/// Logs it, unless there was much of it.
#[cold]
pub fn complain(text: fmt::Arguments<'_>) {
    if let Some(line) = LINES.take() {
        log::warn!("{text}{line}");
    }
}
