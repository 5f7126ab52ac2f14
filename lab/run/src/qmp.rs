// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's control socket (QMP): why a machine ended, and what its CPUs' registers are.
//!
//! QEMU's exit status does not say: with `-no-reboot` a machine that resets itself, and a QEMU that is ended from
//! outside, end like one that powers off.

use serde_json::{Value, json};
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It switched itself off.
    PoweredOff,
    /// It reset itself, which nobody lets it do.
    Reset,
    /// Something else happened to QEMU: in words.
    Broken(String),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PoweredOff => f.write_str("the machine powered off"),
            Self::Reset => f.write_str("the machine reset itself"),
            Self::Broken(words) => f.write_str(words),
        }
    }
}

impl Ending {
    /// Concludes how a machine ended from QEMU's exit, what it complained about, and the reason that it gave before.
    pub fn of(success: bool, complaints: &str, reason: Option<&str>) -> Self {
        match (success, reason, complaints.trim()) {
            (true, Some("guest-shutdown"), _) => Self::PoweredOff,
            (true, Some("guest-reset"), _) => Self::Reset,
            (true, Some(reason), _) => Self::Broken(format!("QEMU was ended from outside: {reason}")),
            (_, _, "") => Self::Broken("QEMU ended without a word; was it killed?".into()),
            (_, _, complaints) => Self::Broken(format!("QEMU failed: {complaints}")),
        }
    }
}

/// How long QEMU may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Marks the answer that is waited for; others are of no interest.
const ASKED: &str = "registers";

/// The connection to a QEMU.
#[derive(Debug)]
pub struct Control {
    /// Kept, because QEMU may write to it as long as it lives.
    socket: UnixStream,
    answers: Receiver<String>,
    listener: JoinHandle<Option<String>>,
}

impl Control {
    /// Listens to a QEMU that has connected, until it is gone, and lets its machine go if it waits for that.
    pub fn open(mut socket: UnixStream, goes: bool) -> std::io::Result<Self> {
        let reader = BufReader::new(socket.try_clone()?);
        // Without this it sends no events; commands are executed in order.
        socket.write_all(b"{\"execute\": \"qmp_capabilities\"}\n")?;
        if goes {
            socket.write_all(b"{\"execute\": \"cont\"}\n")?;
        }
        let (sender, answers) = channel();
        let listener = spawn(move || {
            let told = reader.lines().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok());
            told.inspect(|told| {
                // Nobody may be waiting any more.
                let _ = answer(told).map(|answer| sender.send(answer));
            })
            .filter_map(|told| reason(&told))
            .last()
        });
        Ok(Self { socket, answers, listener })
    }

    /// Returns the reason of the last SHUTDOWN event of a QEMU that has ended.
    pub fn reason(self) -> Option<String> {
        let Self { socket, listener, .. } = self;
        let reason = listener.join().ok().flatten();
        drop(socket);
        reason
    }

    /// Stops the machine for good, and returns its CPUs' registers, as QEMU prints them for people; nothing if it does
    /// not.
    pub fn stop_and_print_registers(&mut self) -> Option<String> {
        let print = json!({
            "execute": "human-monitor-command",
            "arguments": { "command-line": "info registers -a" },
            "id": ASKED,
        });
        // A CPU that runs has its registers elsewhere.
        self.socket.write_all(format!("{{\"execute\": \"stop\"}}\n{print}\n").as_bytes()).ok()?;
        self.answers.recv_timeout(ANSWER).ok()
    }
}

/// Takes the answer that is waited for, if this is it.
fn answer(told: &Value) -> Option<String> {
    let asked = told.get("id")? == ASKED;
    let text = told.get("return")?.as_str()?;
    asked.then(|| text.to_owned())
}

/// Reads why the machine ends, if that is what is told.
fn reason(told: &Value) -> Option<String> {
    let ended = told.get("event")? == "SHUTDOWN";
    let reason = told.get("data")?.get("reason")?.as_str()?;
    ended.then(|| reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_machine_that_switches_itself_off_has_powered_off() {
        assert_eq!(Ending::of(true, "", Some("guest-shutdown")), Ending::PoweredOff);
        assert_eq!(Ending::of(true, "warning: x", Some("guest-shutdown")), Ending::PoweredOff);
        assert_eq!(Ending::of(true, "", Some("guest-reset")), Ending::Reset);
        let words = |success, complaints, reason| Ending::of(success, complaints, reason).to_string();
        assert_eq!(words(true, "", Some("host-signal")), "QEMU was ended from outside: host-signal");
        assert_eq!(words(true, "", None), "QEMU ended without a word; was it killed?");
        assert_eq!(words(false, "", Some("guest-shutdown")), "QEMU ended without a word; was it killed?");
        assert_eq!(words(false, " no memory\n", None), "QEMU failed: no memory");
    }

    #[test]
    fn the_last_reason_counts_and_other_events_do_not() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let control = Control::open(ours, true).unwrap();
        let mut qemu = BufReader::new(theirs);
        let mut asked = String::new();
        qemu.read_line(&mut asked).unwrap();
        qemu.read_line(&mut asked).unwrap();
        assert_eq!(asked, "{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"cont\"}\n");
        for line in [
            r#"{"QMP": {"version": {}, "capabilities": ["oob"]}}"#,
            r#"{"return": {}}"#,
            r#"{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}"#,
            r#"{"event": "STOP"}"#,
            "no JSON",
            r#"{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}"#,
            r#"{"event": "OTHER", "data": {"reason": "x"}}"#,
        ] {
            writeln!(qemu.get_mut(), "{line}").unwrap();
        }
        drop(qemu);
        assert_eq!(control.reason().as_deref(), Some("guest-shutdown"));
    }

    #[test]
    fn registers_are_those_that_were_asked_for_of_a_machine_that_stands() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut control = Control::open(ours, false).unwrap();
        let qemu = spawn(move || {
            let mut qemu = BufReader::new(theirs);
            let mut asked = String::new();
            (0..3).for_each(|_| _ = qemu.read_line(&mut asked).unwrap());
            for line in [
                r#"{"return": {}}"#,
                r#"{"event": "STOP"}"#,
                r#"{"return": "CPU#9", "id": "another"}"#,
                r#"{"return": "CPU#0", "id": "registers"}"#,
            ] {
                writeln!(qemu.get_mut(), "{line}").unwrap();
            }
            asked
        });
        assert_eq!(control.stop_and_print_registers().as_deref(), Some("CPU#0"));
        let asked = qemu.join().unwrap();
        assert!(asked.contains("{\"execute\": \"stop\"}\n") && asked.contains("info registers -a"), "{asked}");
        // It is gone.
        assert_eq!(control.stop_and_print_registers(), None);
        assert_eq!(control.reason(), None);
    }
}
