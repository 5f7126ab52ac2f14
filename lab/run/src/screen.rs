// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines on the user's terminal, or wherever they go.
//!
//! All that the lab prints goes through here. Who reads it through a pipe may have seen enough (`lab run … | head`):
//! that ends printing and nothing else, for the exit status is still of use. A disk that is full is an error, which the
//! lab ends with.

use crate::console::Line;
use std::env;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdout};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The first error of printing that nobody chose.
static FAILED: OnceLock<io::Error> = OnceLock::new();
/// What is printed goes to standard error.
static ASIDE: AtomicBool = AtomicBool::new(false);

/// Prints a line as `println!` does, which panics where nobody reads any more.
#[macro_export]
macro_rules! say {
    () => { $crate::screen::print("\n") };
    ($($text:tt)*) => { $crate::screen::print(format_args!("{}\n", format_args!($($text)*))) };
}

/// Leaves standard output to bytes that somebody asked for ([`show`]); what people read goes to standard error from
/// here on.
pub fn step_aside() {
    ASIDE.store(true, Ordering::Relaxed);
}

/// Prints for people: on standard output unless that is for something else.
pub fn print(text: impl Display) {
    if ASIDE.load(Ordering::Relaxed) {
        let _ = write!(stderr(), "{text}");
    } else {
        note(stdout().write_fmt(format_args!("{text}")));
    }
}

/// Prints bytes as they are on standard output.
pub fn show(bytes: &[u8]) {
    note(stdout().write_all(bytes));
}

/// Prints a line on standard error. If that fails there is nobody to be told.
pub fn complain(text: impl Display) {
    let _ = writeln!(stderr(), "{text}");
}

/// Notes whether all was printed, and sends it on its way before anything else happens.
fn note(printed: io::Result<()>) {
    if let Err(error) = printed.and_then(|()| stdout().flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        // Only the first one is told.
        let _ = FAILED.set(error);
    }
}

/// Says why something that was to be printed is not, unless its reader had seen enough.
pub fn failure() -> Option<&'static io::Error> {
    FAILED.get()
}

/// Says whether this is a terminal that does more than print text.
pub fn is_clever(terminal: &impl IsTerminal) -> bool {
    terminal.is_terminal() && is_clever_by(env::var_os("TERM").as_deref())
}

/// Says whether a terminal of this type does more than print text. Without a type nothing is known of it.
fn is_clever_by(term: Option<&OsStr>) -> bool {
    term.is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// Says whether colours are wanted (<https://no-color.org>: set to nothing is not set).
pub fn wants_colours() -> bool {
    env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}

/// Prints lines, each speaker's prefix in a colour of its own where that is wanted.
#[derive(Debug)]
pub struct Screen {
    colours: bool,
}

impl Screen {
    /// Takes colours on a terminal that has them, unless `NO_COLOR` is set.
    pub fn new() -> Self {
        let clever = if ASIDE.load(Ordering::Relaxed) { is_clever(&stderr()) } else { is_clever(&stdout()) };
        Self { colours: clever && wants_colours() }
    }

    /// Takes no colours.
    pub const fn plain() -> Self {
        Self { colours: false }
    }

    /// Prints one line.
    pub fn print(&self, line: &Line) {
        say!("{}", self.dress(line));
    }

    /// Writes the line as it is printed.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dumb_terminal_and_one_of_no_type_only_print() {
        assert!(is_clever_by(Some(OsStr::new("xterm-256color"))));
        assert!([None, Some(""), Some("dumb")].iter().all(|term| !is_clever_by(term.map(OsStr::new))));
    }
}
