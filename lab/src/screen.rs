//! Lines on the user's terminal.

use crate::console::Line;
use std::io::{IsTerminal, Write};

/// Prints lines, each speaker's prefix in a colour of its own where that is wanted.
#[derive(Debug)]
pub struct Screen {
    colours: bool,
}

impl Screen {
    /// Colours on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    pub fn new() -> Self {
        Self { colours: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    /// Without colours.
    pub const fn plain() -> Self {
        Self { colours: false }
    }

    /// Prints one line. A closed pipe ends printing, not the run.
    pub fn print(&self, line: &Line) {
        let _ = writeln!(std::io::stdout(), "{}", self.dress(line));
    }

    /// The line as it is printed.
    pub fn dress(&self, line: &Line) -> String {
        if !self.colours {
            return line.to_string();
        }
        let colour = match line.speaker.as_str() {
            "EL3" => 31,
            "TEE" => 35,
            "HYP" => 33,
            "vm1" => 36,
            "vm2" => 32,
            vm if vm.starts_with("vm") => 34,
            _ => 90,
        };
        format!("\u{1b}[{colour}m[{}]\u{1b}[0m {}", line.speaker, line.text)
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}
