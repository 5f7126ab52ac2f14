// SPDX-License-Identifier: MIT OR Apache-2.0
//! Typing into VMs' consoles, one text after another, each once the line was seen that it waits for.
//!
//! The hypervisor's console has one keyboard. Ctrl-A `n` gives it to the next VM, and the hypervisor says who has it.

use crate::console::Line;
use crate::judge::{Verdict, millis_since};
use crate::scenario::Send;
use std::collections::VecDeque;
use std::time::Instant;

/// Ctrl-A `n`: the next VM.
const NEXT_VM: &[u8] = b"\x01n";

/// What is still to be typed, and who has the keyboard.
#[derive(Debug)]
pub(crate) struct Typist {
    waiting: VecDeque<Send>,
    /// What was typed, and the line it waited for.
    typed: Vec<Verdict>,
    begin: Instant,
    selected: String,
    /// The line that the next text waits for, once it was seen.
    armed: Option<Line>,
    /// The keyboard was asked for and is on its way.
    switching: bool,
    /// Keys that a user pressed, and for whom.
    pressed: VecDeque<(String, Vec<u8>)>,
    /// How often the keyboard was passed on in vain.
    passes: usize,
}

/// A VM that doesn't get the keyboard in so many turns is not there.
const MOST_PASSES: usize = 64;

impl Typist {
    /// Gives the first VM the keyboard.
    pub(crate) fn new(sends: &[Send], first: String) -> Self {
        Self {
            waiting: sends.iter().cloned().collect(),
            typed: Vec::new(),
            begin: Instant::now(),
            selected: first,
            armed: None,
            switching: false,
            pressed: VecDeque::new(),
            passes: 0,
        }
    }

    /// Says whether all was typed.
    pub(crate) fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Judges every text: whether it was typed.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let not_typed = |(index, send): (usize, &Send)| {
            let why = match (index, &self.armed) {
                (0, None) => "NOT TYPED: its line never came".to_owned(),
                (0, Some(line)) => format!("NOT TYPED: {} never had the keyboard after {line}", send.to),
                _ => "NOT TYPED: its turn never came".to_owned(),
            };
            Verdict::new(false, words(send), why)
        };
        self.typed.iter().cloned().chain(self.waiting.iter().enumerate().map(not_typed)).collect()
    }

    /// Sees a line; returns what to type now.
    pub(crate) fn hear(&mut self, line: &Line) -> Vec<u8> {
        if line.speaker == "HYP"
            && let Some(vm) = line.text.strip_prefix("console: ")
        {
            self.selected = vm.trim().to_owned();
            self.switching = false;
        }
        self.glimpse(line)
    }

    /// Sees a line that has not ended: a prompt, or the beginning of something else. So it does not say who has the
    /// keyboard: half of `console: vm2` would name another VM.
    pub(crate) fn glimpse(&mut self, line: &Line) -> Vec<u8> {
        let Some(next) = self.waiting.front() else { return self.pressed() };
        if line.speaker == *next.from.as_ref().unwrap_or(&next.to) && line.says(&next.after) {
            self.armed.get_or_insert_with(|| line.clone());
        }
        let Some(after) = self.armed.as_ref().filter(|_| !self.switching) else { return self.pressed() };
        if next.to != self.selected {
            if self.passes == MOST_PASSES {
                return Vec::new();
            }
            self.passes += 1;
            self.switching = true;
            return NEXT_VM.to_vec();
        }
        let text = format!("{}\r", next.text.repeat(next.times)).into_bytes();
        let millis = Some(millis_since(self.begin));
        self.typed.push(Verdict { millis, ..Verdict::new(true, words(next), after.to_string()) });
        self.waiting.pop_front();
        self.armed = None;
        self.passes = 0;
        text
    }

    /// Takes the keys that a user presses for a VM; returns what to type now.
    pub(crate) fn press(&mut self, vm: &str, keys: &[u8]) -> Vec<u8> {
        match self.pressed.back_mut() {
            Some((last, waiting)) if last == vm => waiting.extend_from_slice(keys),
            _ => self.pressed.push_back((vm.to_owned(), keys.to_vec())),
        }
        self.pressed()
    }

    /// Returns what to type of what a user pressed.
    fn pressed(&mut self) -> Vec<u8> {
        let Some((vm, _)) = self.pressed.front() else { return Vec::new() };
        if self.switching {
            return Vec::new();
        }
        if *vm == self.selected {
            self.passes = 0;
            return self.pressed.pop_front().map(|(_, keys)| keys).unwrap_or_default();
        }
        if self.passes == MOST_PASSES {
            self.passes = 0;
            self.pressed.pop_front();
            return Vec::new();
        }
        self.passes += 1;
        self.switching = true;
        NEXT_VM.to_vec()
    }
}

/// Says in words what a send types.
fn words(send: &Send) -> String {
    let from = send.from.as_ref().unwrap_or(&send.to);
    let times = if send.times == 1 { String::new() } else { format!(" {} times", send.times) };
    format!("{} is sent \"{}\"{times} after {from} says \"{}\"", send.to, send.text, send.after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(to: &str, after: &str, text: &str) -> Send {
        Send { to: to.into(), after: after.into(), from: None, text: text.into(), times: 1 }
    }

    fn line(speaker: &str, text: &str) -> Line {
        Line { speaker: speaker.into(), text: text.into() }
    }

    #[test]
    fn text_waits_for_its_line() {
        let mut typist = Typist::new(&[send("vm1", "#", "ls"), send("vm1", "#", "poweroff")], "vm1".into());
        assert_eq!(typist.hear(&line("vm1", "booting")), b"");
        assert_eq!(typist.hear(&line("vm2", "~ #")), b"");
        assert_eq!(typist.hear(&line("vm1", "~ #")), b"ls\r");
        assert_eq!(typist.hear(&line("vm1", "bin")), b"");
        assert!(!typist.is_done());
        assert_eq!(typist.hear(&line("vm1", "~ #")), b"poweroff\r");
        assert!(typist.is_done());
    }

    #[test]
    fn a_step_that_prints_a_word_is_waited_for_and_not_the_command_line_that_has_the_word() {
        let mut typist = Typist::new(&[send("vm1", "ready", "go")], "vm1".into());
        assert_eq!(typist.hear(&line("vm1", "Kernel command line: triptych.print=ready")), b"");
        assert_eq!(typist.hear(&line("vm1", "ready")), b"go\r");
    }

    #[test]
    fn keys_of_a_user_find_their_vm() {
        let mut typist = Typist::new(&[], "vm1".into());
        assert_eq!(typist.press("vm1", b"a"), b"a");
        assert_eq!(typist.press("vm2", b"b"), NEXT_VM);
        assert_eq!(typist.press("vm2", b"c"), b"");
        assert_eq!(typist.press("vm1", b"d"), b"");
        assert_eq!(typist.hear(&line("HYP", "console: vm2")), b"bc");
        assert_eq!(typist.press("vm1", b"e"), NEXT_VM);
        assert_eq!(typist.hear(&line("HYP", "console: vm1")), b"de");
    }

    #[test]
    fn keys_for_nobody_are_given_up() {
        let mut typist = Typist::new(&[], "vm1".into());
        assert_eq!(typist.press("vm9", b"a"), NEXT_VM);
        while typist.hear(&line("HYP", "console: vm1")) == NEXT_VM {}
        assert_eq!(typist.press("vm1", b"b"), b"b");
    }

    #[test]
    fn half_a_line_says_nothing_about_the_keyboard() {
        let mut typist = Typist::new(&[send("vm2", "?", "y")], "vm1".into());
        assert_eq!(typist.glimpse(&line("vm2", "really?")), NEXT_VM);
        assert_eq!(typist.glimpse(&line("HYP", "console: vm")), b"");
        assert_eq!(typist.hear(&line("HYP", "console: vm2")), b"y\r");
    }

    #[test]
    fn text_for_one_vm_can_wait_for_another() {
        let send = Send { from: Some("HYP".into()), ..send("vm1", "vm2: powered off", "go") };
        let mut typist = Typist::new(&[send], "vm1".into());
        assert_eq!(typist.hear(&line("vm1", "vm2: powered off")), b"");
        assert_eq!(typist.hear(&line("HYP", "vm2: powered off")), b"go\r");
    }

    #[test]
    fn the_keyboard_goes_round_until_the_right_vm_has_it() {
        let mut typist = Typist::new(&[send("vm3", "?", "y")], "vm1".into());
        assert_eq!(typist.hear(&line("vm3", "really?")), NEXT_VM);
        assert_eq!(typist.hear(&line("vm3", "really?")), b"");
        assert_eq!(typist.hear(&line("HYP", "console: vm2")), NEXT_VM);
        assert_eq!(typist.hear(&line("HYP", "console: vm3")), b"y\r");
    }

    #[test]
    fn what_was_never_typed_is_told_with_the_reason() {
        let sends = [send("vm1", "#", "ls"), send("vm2", "?", "y"), send("vm1", "#", "exit")];
        let mut typist = Typist::new(&sends, "vm1".into());
        let told = |typist: &Typist| -> Vec<_> {
            typist.verdicts().into_iter().map(|verdict| (verdict.holds, verdict.evidence)).collect()
        };
        let turn = || (false, "NOT TYPED: its turn never came".to_owned());
        assert_eq!(told(&typist), [(false, "NOT TYPED: its line never came".into()), turn(), turn()]);
        assert_eq!(typist.verdicts()[1].claim, "vm2 is sent \"y\" after vm2 says \"?\"");
        typist.hear(&line("vm1", "linux#"));
        assert_eq!(told(&typist)[0], (true, "[vm1] linux#".into()));
        assert_eq!(told(&typist)[1], (false, "NOT TYPED: its line never came".into()));
        assert_eq!(typist.hear(&line("vm2", "really?")), NEXT_VM);
        // A VM that is off never gets the keyboard; asking for it has an end.
        let mut turns = 1;
        while typist.hear(&line("HYP", "console: vm1")) == NEXT_VM {
            turns += 1;
        }
        assert_eq!(turns, MOST_PASSES);
        let why = "NOT TYPED: vm2 never had the keyboard after [vm2] really?";
        assert_eq!(told(&typist)[1..], [(false, why.into()), turn()]);
        assert_eq!(typist.hear(&line("HYP", "console: vm2")), b"y\r");
        assert!(told(&typist)[1].0);
    }
}
