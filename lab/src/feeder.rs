// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is piped into `lab shell`, typed as a person would: not before somebody asks for it.
//!
//! A kernel throws away what its UART got before it was ready. So each line waits for a prompt: a VM's line that has
//! not ended, and stands still. A VM that was selected (Ctrl-A n) may be one that prompts for nothing, and gets its
//! line at once; so does the one that gets the keyboard because the one before it is off.
//!
//! Once all of it is typed and answered nobody can type any more, and the machine would wait without end.

use lab_run::console::{FOREIGN, Listener, Port, is_vm};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Ctrl-A: the next key is a command.
const ESCAPE: u8 = 0x01;
/// A line that has stood so long is a prompt, and not half of what a busy machine says.
const PROMPT: Duration = Duration::from_secs(1);
/// After so long without a word nobody will prompt any more. A kernel that boots quietly on a busy host takes its time.
const NO_PROMPT: Duration = Duration::from_secs(60);
/// When nothing is left to be typed: a prompt that has stood so long shows that what was typed is answered.
const ANSWERED: Duration = Duration::from_secs(5);
/// And after so long without a word nobody works on an answer.
const NO_ANSWER: Duration = Duration::from_secs(600);

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
    /// There is no more input.
    ended: bool,
    /// Who has the keyboard.
    selected: String,
    /// Who was typed to.
    typed_to: BTreeSet<String>,
    /// Who is off.
    off: BTreeSet<String>,
    /// What was typed last goes to whom the hypervisor will name: who had the keyboard is off.
    passed_on: bool,
}

impl Feeder {
    /// Begins with nothing piped. The keyboard is this VM's.
    pub fn new(first: &str) -> Self {
        Self {
            heard: if first == FOREIGN {
                Listener::new(Port::NonSecure).of_foreign_world()
            } else {
                Listener::new(Port::NonSecure)
            },
            waiting: VecDeque::new(),
            unfinished: Vec::new(),
            answered: false,
            switched: false,
            ended: false,
            selected: first.to_owned(),
            typed_to: BTreeSet::new(),
            off: BTreeSet::new(),
            passed_on: false,
        }
    }

    /// Takes more input.
    pub fn pipe(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.unfinished.push(byte);
            let command = self.unfinished.len() > 1 && self.unfinished[self.unfinished.len() - 2] == ESCAPE;
            if command || byte == b'\n' {
                self.waiting.push_back(std::mem::take(&mut self.unfinished));
            }
        }
    }

    /// Takes note that there is no more input.
    pub fn end(&mut self) {
        self.ended = true;
        if !self.unfinished.is_empty() {
            self.waiting.push_back(std::mem::take(&mut self.unfinished));
        }
    }

    /// Hears what the normal world says.
    pub fn hear(&mut self, bytes: &[u8]) {
        self.answered = true;
        for line in self.heard.hear(bytes).iter().filter(|line| line.speaker == "HYP") {
            if let Some(vm) = line.text.strip_prefix("console: ") {
                vm.clone_into(&mut self.selected);
                self.switched = true;
                if std::mem::take(&mut self.passed_on) {
                    self.typed_to.insert(vm.to_owned());
                }
            } else if let Some((vm, what)) = line.text.split_once(": ")
                && is_vm(vm)
                && (what.starts_with("powered off") || what.starts_with("crashed"))
            {
                self.off.insert(vm.to_owned());
            }
        }
    }

    /// Says whether a VM's line stands open.
    fn prompt(&self) -> bool {
        self.heard.open().is_some_and(|line| (is_vm(&line.speaker) || line.speaker == FOREIGN) && !line.text.is_empty())
    }

    /// Returns what is typed now that nothing was said for so long.
    pub fn next(&mut self, silence: Duration) -> Option<Vec<u8>> {
        let is_off = self.off.contains(&self.selected);
        let at_once = self.switched || is_off && !self.passed_on;
        let asked = self.prompt() && self.answered && silence >= PROMPT;
        if !(at_once || asked || silence >= NO_PROMPT) {
            return None;
        }
        let piece = self.waiting.pop_front()?;
        (self.answered, self.switched) = (false, false);
        if piece.first() != Some(&ESCAPE) {
            self.passed_on = is_off;
            if !is_off {
                self.typed_to.insert(self.selected.clone());
            }
        }
        Some(piece)
    }

    /// Says why nothing more is to be waited for, now that nothing was said for so long, if so.
    pub fn is_over(&self, silence: Duration) -> Option<String> {
        if !self.ended || !self.waiting.is_empty() || self.passed_on {
            return None;
        }
        if !self.typed_to.is_empty() && self.typed_to.is_subset(&self.off) {
            let vms: Vec<_> = self.typed_to.iter().map(String::as_str).collect();
            return Some(format!("{} {}", vms.join(", "), if vms.len() == 1 { "is off" } else { "are off" }));
        }
        if self.prompt() && self.answered && silence >= ANSWERED {
            return Some(format!("{} waits at its prompt", self.heard.open()?.speaker));
        }
        let minutes = NO_ANSWER.as_secs() / 60;
        (silence >= NO_ANSWER).then(|| format!("nobody has said anything for {minutes} minutes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(999);

    fn fed(input: &[u8]) -> Feeder {
        let mut feeder = Feeder::new("vm1");
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

    /// Types all that is fed at the prompts of VM 1.
    fn typed(input: &[u8]) -> Feeder {
        let mut feeder = fed(input);
        feeder.hear(b"[vm1] linux# ");
        while feeder.next(PROMPT).is_some() {
            feeder.hear(b"\r\n[vm1] linux# ");
        }
        feeder
    }

    #[test]
    fn it_is_over_when_who_was_typed_to_is_off_whoever_else_waits() {
        let mut feeder = typed(b"ls\nexit\n");
        feeder.hear(b"\r\n[vm2] waiting\r\n[HYP] vm2: reset\r\n");
        assert_eq!(feeder.is_over(NO_ANSWER - TICK), None);
        feeder.hear(b"[HYP] vm1: powered off\r\n");
        assert_eq!(feeder.is_over(Duration::ZERO).as_deref(), Some("vm1 is off"));
        // Not before the end of the input, and not while a line of it waits.
        let mut feeder = Feeder::new("vm1");
        feeder.hear(b"[vm1] linux# ");
        feeder.pipe(b"exit\n");
        assert!(feeder.next(PROMPT).is_some());
        feeder.hear(b"\r\n[HYP] vm1: crashed: no reason\r\n");
        assert_eq!(feeder.is_over(NO_ANSWER), None);
        feeder.pipe(b"\n");
        feeder.end();
        assert_eq!(feeder.is_over(NO_ANSWER), None);
        // Which goes to whoever gets the keyboard now, and that is waited for.
        assert_eq!(feeder.next(Duration::ZERO).as_deref(), Some(&b"\n"[..]));
        assert_eq!(feeder.is_over(NO_ANSWER), None);
        feeder.hear(b"[HYP] console: vm2\r\n[vm2] thanks\r\n");
        assert_eq!(feeder.is_over(Duration::ZERO), None);
        feeder.hear(b"[HYP] vm2: powered off\r\n");
        assert_eq!(feeder.is_over(Duration::ZERO).as_deref(), Some("vm1, vm2 are off"));
    }

    #[test]
    fn it_is_over_when_the_last_line_is_answered_by_a_prompt() {
        let feeder = typed(b"ls");
        assert_eq!(feeder.is_over(ANSWERED - TICK), None);
        assert_eq!(feeder.is_over(ANSWERED).as_deref(), Some("vm1 waits at its prompt"));
        // Work that takes long says nothing.
        let mut feeder = typed(b"sleep 100\n");
        feeder.hear(b"sleep 100\r\n");
        assert_eq!(feeder.is_over(NO_ANSWER - TICK), None);
        assert_eq!(feeder.is_over(NO_ANSWER).as_deref(), Some("nobody has said anything for 10 minutes"));
        // So does nothing at all, from the beginning.
        let mut feeder = fed(b"");
        feeder.hear(b"[vm1] linux# ");
        assert_eq!(feeder.is_over(ANSWERED).as_deref(), Some("vm1 waits at its prompt"));
    }
}
