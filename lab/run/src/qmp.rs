// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a machine ended, as QEMU tells on its control socket (QMP).
//!
//! Its exit status does not say: with `-no-reboot` a machine that resets itself, and a QEMU that is ended from outside,
//! end like one that powers off.

use serde_json::Value;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread::{JoinHandle, spawn};

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

/// Listens to a QEMU that has connected, until it is gone, and lets its machine go if it waits for that; returns the
/// reason of its last SHUTDOWN event.
pub fn listen(mut socket: UnixStream, goes: bool) -> std::io::Result<JoinHandle<Option<String>>> {
    let reader = BufReader::new(socket.try_clone()?);
    // Without this it sends no events; commands are executed in order.
    socket.write_all(b"{\"execute\": \"qmp_capabilities\"}\n")?;
    if goes {
        socket.write_all(b"{\"execute\": \"cont\"}\n")?;
    }
    Ok(spawn(move || {
        // It keeps the connection, which QEMU may write to as long as it lives.
        let _socket = socket;
        reader.lines().map_while(Result::ok).filter_map(|line| reason(&line)).last()
    }))
}

/// Reads why the machine ends, if that is what a line tells.
fn reason(line: &str) -> Option<String> {
    let told: Value = serde_json::from_str(line).ok()?;
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
        let listener = listen(ours, true).unwrap();
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
        assert_eq!(listener.join().unwrap().as_deref(), Some("guest-shutdown"));
    }
}
