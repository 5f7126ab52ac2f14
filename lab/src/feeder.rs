// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is piped into `lab shell`, typed as a person would: not before somebody asks for it.
//!
//! A kernel throws away what its UART got before it was ready. So each line waits for a prompt: a VM's line that has
//! not ended, and stands still. A VM that was selected (Ctrl-A n) may be one that prompts for nothing, and gets its
//! line at once.

use crate::console::{Listener, Port, is_vm};
use std::collections::VecDeque;
use std::time::Duration;

/// Ctrl-A: the next key is a command.
const ESCAPE: u8 = 0x01;
/// A line that has stood so long is a prompt, and not half of what a busy machine says.
const PROMPT: Duration = Duration::from_secs(1);
/// After so long without a word nobody will prompt any more. A kernel that boots quietly on a busy host takes its time.
const NO_PROMPT: Duration = Duration::from_secs(60);

/// Input that waits for its prompts.
#[derive(Debug)]
pub struct Feeder {
    heard: Listener,
    /// Lines, and commands to the console.
    waiting: VecDeque<Vec<u8>>,
    unfinished: Vec<u8>,
    /// Something was said since the last piece was typed.
    answered: bool,
    /// The keyboard was passed on since then.
    switched: bool,
}

impl Feeder {
    /// Nothing piped yet.
    pub const fn new() -> Self {
        Self {
            heard: Listener::new(Port::NonSecure),
            waiting: VecDeque::new(),
            unfinished: Vec::new(),
            answered: false,
            switched: false,
        }
    }

    /// More input.
    pub fn pipe(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.unfinished.push(byte);
            let command = self.unfinished.len() > 1 && self.unfinished[self.unfinished.len() - 2] == ESCAPE;
            if command || byte == b'\n' {
                self.waiting.push_back(std::mem::take(&mut self.unfinished));
            }
        }
    }

    /// There is no more input.
    pub fn end(&mut self) {
        if !self.unfinished.is_empty() {
            self.waiting.push_back(std::mem::take(&mut self.unfinished));
        }
    }

    /// The normal world says something.
    pub fn hear(&mut self, bytes: &[u8]) {
        self.answered = true;
        let lines = self.heard.hear(bytes);
        self.switched |= lines.iter().any(|line| line.speaker == "HYP" && line.text.starts_with("console: "));
    }

    /// Nothing was said for so long: what is typed now.
    pub fn next(&mut self, silence: Duration) -> Option<Vec<u8>> {
        let prompt = self.heard.open().is_some_and(|line| is_vm(&line.speaker) && !line.text.is_empty());
        if !(self.switched || prompt && self.answered && silence >= PROMPT || silence >= NO_PROMPT) {
            return None;
        }
        let piece = self.waiting.pop_front()?;
        (self.answered, self.switched) = (false, false);
        Some(piece)
    }
}

impl Default for Feeder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(999);

    fn fed(input: &[u8]) -> Feeder {
        let mut feeder = Feeder::new();
        feeder.pipe(input);
        feeder.end();
        feeder
    }

    #[test]
    fn nothing_is_typed_before_a_prompt_and_one_line_at_each() {
        let mut feeder = fed(b"ls\nexit");
        assert_eq!(feeder.next(TICK), None);
        feeder.hear(b"[HYP] vm1: linux\r\n[vm1] init: booting\r\n");
        assert_eq!(feeder.next(TICK), None);
        feeder.hear(b"[vm1] linux# ");
        assert_eq!(feeder.next(TICK), None, "it may be half a line");
        assert_eq!(feeder.next(PROMPT).as_deref(), Some(&b"ls\n"[..]));
        assert_eq!(feeder.next(PROMPT), None, "the same prompt");
        feeder.hear(b"ls\r\n[vm1] bin\r\n");
        assert_eq!(feeder.next(TICK), None);
        feeder.hear(b"[vm1] linux# ");
        assert_eq!(feeder.next(PROMPT).as_deref(), Some(&b"exit"[..]));
        feeder.hear(b"exit\r\n[vm1] linux# ");
        assert_eq!(feeder.next(NO_PROMPT), None);
    }

    #[test]
    fn a_vm_that_was_selected_gets_its_line_without_a_prompt() {
        let mut feeder = fed(b"\x01n\n\x01x");
        feeder.hear(b"[vm1] linux# ");
        assert_eq!(feeder.next(PROMPT).as_deref(), Some(&b"\x01n"[..]));
        assert_eq!(feeder.next(TICK), None);
        feeder.hear(b"\r\n[HYP] console: vm2\r\n");
        assert_eq!(feeder.next(TICK).as_deref(), Some(&b"\n"[..]));
        assert_eq!(feeder.next(TICK), None);
    }

    #[test]
    fn who_never_prompts_gets_it_after_a_long_silence() {
        let mut feeder = fed(b"a\n");
        feeder.hear(b"[vm1] waiting\r\n[HYP] half a li");
        assert_eq!(feeder.next(NO_PROMPT - TICK), None);
        assert_eq!(feeder.next(NO_PROMPT).as_deref(), Some(&b"a\n"[..]));
    }
}
