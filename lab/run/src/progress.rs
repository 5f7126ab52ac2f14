// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the lab is doing before there is a machine to watch.
//!
//! On a terminal a spinner that goes away; in a log one plain line per step.

use crate::screen::{complain, is_clever};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// Steps of preparation, shown one at a time on standard error.
#[derive(Debug)]
pub struct Progress {
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Spinner(ProgressBar),
    Lines,
    Nothing,
}

impl Progress {
    /// Shows a spinner if standard error is a terminal that can show one, lines otherwise.
    pub fn new() -> Self {
        if !is_clever(&std::io::stderr()) {
            return Self { shown: Shown::Lines };
        }
        let bar = ProgressBar::new_spinner();
        // A template made of literals and known keys cannot fail; the plain spinner does as well.
        if let Ok(style) = ProgressStyle::with_template("{spinner} [{elapsed}] {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { shown: Shown::Spinner(bar) }
    }

    /// Shows nothing: for tests, whose output is only read when they fail.
    pub fn silent() -> Self {
        Self { shown: Shown::Nothing }
    }

    /// Says that another step has begun.
    pub fn step(&self, message: &str) {
        match &self.shown {
            Shown::Spinner(bar) => bar.set_message(message.to_owned()),
            Shown::Lines => complain(format_args!("lab: {message}")),
            Shown::Nothing => {}
        }
    }

    /// Says something that is to be read: it stays.
    pub fn note(&self, message: &str) {
        match &self.shown {
            Shown::Spinner(bar) => bar.println(format!("lab: {message}")),
            Shown::Lines => complain(format_args!("lab: {message}")),
            Shown::Nothing => {}
        }
    }

    /// Says a detail of the step at hand; only a terminal shows it, over the one before.
    pub fn detail(&self, message: &str) {
        if let Shown::Spinner(bar) = &self.shown {
            bar.set_message(message.to_owned());
        }
    }

    /// Ends the display: the machine starts, and its lines have the screen from here on.
    pub fn finish(&self) {
        if let Shown::Spinner(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
