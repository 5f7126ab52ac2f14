// SPDX-License-Identifier: MIT OR Apache-2.0
//! An interactive machine: the terminal becomes the keyboard of the selected VM.
//!
//! Keys go to the normal world's serial port as they are typed. Ctrl-A is the escape: `n` after it is for the
//! hypervisor (next VM), `x` is for the lab (quit), another Ctrl-A is one for the VM. What is piped in waits for
//! prompts, and ends with the last answer ([`Feeder`]).

use crate::feeder::Feeder;
use anyhow::{Context, Result};
use lab_run::console::{Controls, Listener, Port};
use lab_run::machine::{Event, Machine};
use lab_run::prepare::Prepared;
use lab_run::say;
use lab_run::screen::{Screen, show};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use std::io::{Read, Stdin, stdin, stdout};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

const ESCAPE: u8 = 0x01;
/// How soon a key is passed on while the machine is silent.
const KEY_TICK: Duration = Duration::from_millis(20);
/// What the keys after Ctrl-A do.
const HELP: &str = "Ctrl-A n: next VM   Ctrl-A x: quit   Ctrl-A Ctrl-A: a Ctrl-A for the VM   Ctrl-A ?: this";

/// Runs until the machine ends, the user quits, or what was piped in is answered. The keyboard is the first VM's.
pub fn shell(prepared: &Prepared) -> Result<()> {
    let typed = isatty(stdin());
    if typed {
        say!("{HELP}");
    }
    let mut machine = Machine::start(prepared)?;
    let terminal = RawTerminal::enter()?;
    let keys = read_keys();
    let mut keyboard = Keyboard::default();
    let mut out = Display::new(typed, typed && isatty(stdout()));
    let mut feeder = (!typed).then(|| Feeder::new(&prepared.plan.scenario.keyboard()));
    // In the machine's time: on a busy host it may be in the midst of a word for long.
    let mut last = Duration::ZERO;
    let said = loop {
        let mut typed = None;
        match (keys.try_recv(), &mut feeder) {
            (Ok(keys), None) => typed = Some(keys),
            (Ok(piped), Some(feeder)) => feeder.pipe(&piped),
            // Standard input has ended: the machine may still have something to say.
            (Err(TryRecvError::Disconnected), Some(feeder)) => feeder.end(),
            (Err(TryRecvError::Empty | TryRecvError::Disconnected), _) => {}
        }
        let now = machine.time();
        if let Some(feeder) = feeder.as_mut().filter(|_| now >= last + KEY_TICK) {
            typed = feeder.next(now.saturating_sub(last));
        }
        if let Some(typed) = typed {
            last = now;
            let pressed = keyboard.press(&typed);
            machine.type_in(&pressed.bytes);
            for notice in &pressed.notices {
                show(&out.notice(notice));
            }
            if pressed.quit {
                break "quit".to_owned();
            }
        } else if let Some(why) = feeder.as_ref().and_then(|feeder| feeder.is_over(now.saturating_sub(last))) {
            break format!("all that was piped in is typed, and {why}: the lab stopped the machine");
        }
        match machine.next(Instant::now() + KEY_TICK)? {
            Event::Bytes(port, bytes) => {
                last = machine.time();
                if let (Port::NonSecure, Some(feeder)) = (port, &mut feeder) {
                    feeder.hear(&bytes);
                }
                show(&if port == Port::NonSecure { out.normal(&bytes) } else { out.secure(&bytes) });
            }
            Event::Silence => show(&out.silence()),
            Event::Interrupted => break "stopped".to_owned(),
            Event::Ended(ending) => break ending.to_string(),
        }
    };
    drop(terminal);
    say!("\n{said}");
    Ok(())
}

/// Reads the keyboard in a thread of its own, which lives until the process ends.
fn read_keys() -> Receiver<Vec<u8>> {
    let (sender, keys) = channel();
    thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok(length @ 1..) = stdin().read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    keys
}

/// Two ports on one terminal: the normal world's bytes as they come, the secure world's lines between its lines.
struct Display {
    screen: Screen,
    secure: Listener,
    /// Lines of the secure world that wait for the end of the normal world's.
    waiting: Vec<u8>,
    /// The normal world is inside a line.
    inside: bool,
    /// What ends a line: a raw terminal needs a carriage return before each new line.
    end: &'static [u8],
    /// Guests' controls are not for whoever reads this, or can't answer them: a question for the cursor's place, say.
    controls: Option<Controls>,
}

impl Display {
    /// Begins for a raw terminal or not, which is asked by guests and answers them, or not.
    fn new(raw: bool, answers: bool) -> Self {
        Self {
            screen: Screen::new(),
            secure: Listener::new(Port::Secure),
            waiting: Vec::new(),
            inside: false,
            end: if raw { b"\r\n" } else { b"\n" },
            controls: (!answers).then(Controls::default),
        }
    }

    /// Returns what is shown of the normal world's bytes.
    fn normal(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + 8);
        for &byte in bytes {
            if self.controls.as_mut().is_some_and(|controls| !controls.keeps(byte)) {
                continue;
            }
            self.inside = byte != b'\n';
            if self.inside {
                out.push(byte);
                continue;
            }
            if out.last() == Some(&b'\r') {
                out.pop();
            }
            out.extend_from_slice(self.end);
            out.append(&mut self.waiting);
        }
        out
    }

    /// Writes a word of the lab's own, on a line of its own.
    fn notice(&mut self, text: &str) -> Vec<u8> {
        let mut out = if std::mem::take(&mut self.inside) { self.end.to_vec() } else { Vec::new() };
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(self.end);
        out.append(&mut self.waiting);
        out
    }

    /// Returns what is shown of the secure world's bytes.
    fn secure(&mut self, bytes: &[u8]) -> Vec<u8> {
        for line in self.secure.hear(bytes) {
            self.waiting.extend_from_slice(self.screen.dress(&line).as_bytes());
            self.waiting.extend_from_slice(self.end);
        }
        if self.inside { Vec::new() } else { std::mem::take(&mut self.waiting) }
    }

    /// Takes note of silence: a line that has stood a while is a prompt, and what waits for its end has waited long
    /// enough.
    fn silence(&mut self) -> Vec<u8> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let mut out = if std::mem::take(&mut self.inside) { self.end.to_vec() } else { Vec::new() };
        out.append(&mut self.waiting);
        out
    }
}

/// Knows whether Ctrl-A was the last key.
#[derive(Debug, Default)]
struct Keyboard {
    escaped: bool,
}

/// What keys come to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pressed {
    /// For the machine.
    bytes: Vec<u8>,
    /// For the user.
    notices: Vec<String>,
    /// The user wants to leave.
    quit: bool,
}

impl Keyboard {
    /// Says what these keys come to.
    fn press(&mut self, typed: &[u8]) -> Pressed {
        let mut pressed = Pressed::default();
        for &key in typed {
            match (std::mem::take(&mut self.escaped), key) {
                (false, ESCAPE) => self.escaped = true,
                (false, key) => pressed.bytes.push(key),
                (true, b'x' | b'X') => return Pressed { quit: true, ..pressed },
                // The hypervisor's own escape is the same: it makes of two one for the VM.
                (true, b'n' | b'N') => pressed.bytes.extend([ESCAPE, b'n']),
                (true, ESCAPE) => pressed.bytes.extend([ESCAPE, ESCAPE]),
                (true, b'?') => pressed.notices.push(HELP.to_owned()),
                (true, key) => {
                    pressed.notices.push(format!("Ctrl-A {} does nothing.   {HELP}", key.escape_ascii()));
                }
            }
        }
        pressed
    }
}

/// Standard input without echo, line editing and signals, until dropped.
#[derive(Debug)]
struct RawTerminal {
    before: Option<(Stdin, Termios)>,
}

impl RawTerminal {
    fn enter() -> Result<Self> {
        let input = stdin();
        if !isatty(&input) {
            return Ok(Self { before: None });
        }
        let before = tcgetattr(&input).context("cannot ask the terminal how it is set")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&input, OptionalActions::Now, &raw).context("cannot set the terminal")?;
        Ok(Self { before: Some((input, before)) })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some((input, before)) = &self.before {
            // Nothing is left to try if the terminal is gone.
            let _ = tcsetattr(input, OptionalActions::Drain, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(bytes: &[u8]) -> Pressed {
        Pressed { bytes: bytes.to_vec(), ..Pressed::default() }
    }

    #[test]
    fn keys_go_through_and_escapes_are_told_apart() {
        let mut keyboard = Keyboard::default();
        assert_eq!(keyboard.press(b"ls\r\x03"), pressed(b"ls\r\x03"));
        assert_eq!(keyboard.press(b"\x01"), pressed(b""));
        assert_eq!(keyboard.press(b"na"), pressed(b"\x01na"));
        assert_eq!(keyboard.press(b"\x01\x01n"), pressed(b"\x01\x01n"));
        assert_eq!(keyboard.press(b"q\x01xz"), Pressed { quit: true, ..pressed(b"q") });
    }

    #[test]
    fn who_asks_is_told_the_keys_and_so_is_who_presses_another() {
        let mut keyboard = Keyboard::default();
        assert_eq!(keyboard.press(b"a\x01?b"), Pressed { notices: vec![HELP.to_owned()], ..pressed(b"ab") });
        let nothing = format!("Ctrl-A \\r does nothing.   {HELP}");
        assert_eq!(keyboard.press(b"\x01\rb"), Pressed { notices: vec![nothing], ..pressed(b"b") });
        for key in ["n", "x", "Ctrl-A", "?"] {
            assert!(HELP.contains(&format!("Ctrl-A {key}: ")), "{key}");
        }
    }

    fn display() -> Display {
        // Without colours, which would depend on where the tests run.
        Display { screen: Screen::plain(), ..Display::new(true, true) }
    }

    #[test]
    fn new_lines_return_to_the_left_once() {
        assert_eq!(display().normal(b"a\nb\r\nc"), b"a\r\nb\r\nc");
    }

    #[test]
    fn a_pipe_gets_text_alone() {
        let mut display = Display { screen: Screen::plain(), ..Display::new(false, false) };
        assert_eq!(display.normal(b"[vm1] \x1b[1ma\x1b"), b"[vm1] a");
        assert_eq!(display.normal(b"[6n\r\nb"), b"\nb");
        assert_eq!(display.secure(b"[TEE] one\n"), b"");
        assert_eq!(display.silence(), b"\n[TEE] one\n");
    }

    #[test]
    fn a_notice_has_a_line_of_its_own() {
        let mut display = display();
        assert_eq!(display.notice("keys"), b"keys\r\n");
        assert_eq!(display.normal(b"[vm1] # "), b"[vm1] # ");
        assert_eq!(display.notice("keys"), b"\r\nkeys\r\n");
    }

    #[test]
    fn the_secure_world_does_not_cut_a_line_but_waits_no_longer_than_a_prompt() {
        let mut display = display();
        assert_eq!(display.secure(b"[TEE] one\n"), b"[TEE] one\r\n");
        assert_eq!(display.normal(b"[HYP] vm1"), b"[HYP] vm1");
        assert_eq!(display.secure(b"[TEE] two\n"), b"");
        assert_eq!(display.normal(b": off\n["), b": off\r\n[TEE] two\r\n[");
        assert_eq!(display.normal(b"vm1] # "), b"vm1] # ");
        assert_eq!(display.secure(b"[TEE] three\n"), b"");
        assert_eq!(display.silence(), b"\r\n[TEE] three\r\n");
        assert_eq!(display.silence(), b"");
    }
}
