//! `lab watch` on a terminal: what it shows, and that it gives the terminal back on every way out.

mod program;

use anyhow::{Context, Result, ensure};
use lab::workspace::Workspace;
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough to build the layers on a loaded host.
const PATIENCE: Duration = Duration::from_secs(900);
/// What leaves the alternate screen (xterm's private mode 1049).
const LEAVE: &str = "\x1b[?1049l";

/// A lab on a terminal of its own.
struct Watched {
    lab: Child,
    terminal: File,
    screen: Arc<Mutex<String>>,
}

impl Watched {
    fn start(scenario: &str, columns: u16, rows: u16) -> Result<Self> {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&terminal)?;
        unlockpt(&terminal)?;
        let name = ptsname(&terminal, Vec::new())?;
        tcsetwinsize(&terminal, Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 })?;
        let other = File::from(open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?);
        let lab = Command::new(program::lab())
            .arg("watch")
            .arg(Workspace::locate()?.scenarios().join(scenario))
            .env("TERM", "xterm-256color")
            .stdin(Stdio::from(other.try_clone()?))
            .stdout(Stdio::from(other.try_clone()?))
            .stderr(Stdio::from(other))
            .spawn()?;
        let terminal = File::from(terminal);
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut reader, heard) = (terminal.try_clone()?, Arc::clone(&screen));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if let Ok(mut heard) = heard.lock() {
                    heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
                }
            }
        });
        Ok(Self { lab, terminal, screen })
    }

    fn screen(&self) -> String {
        self.screen.lock().map(|screen| screen.clone()).unwrap_or_default()
    }

    fn wait_for(&mut self, what: &str) -> Result<()> {
        let begin = Instant::now();
        while !self.screen().contains(what) {
            ensure!(begin.elapsed() < PATIENCE, "never showed {what:?}: {}", self.screen());
            ensure!(self.lab.try_wait()?.is_none(), "ended before it showed {what:?}: {}", self.screen());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// After the lab has ended the terminal is as it was: its usual screen, echo, lines, signals.
    fn gives_back(mut self) -> Result<String> {
        let begin = Instant::now();
        while self.lab.try_wait()?.is_none() {
            ensure!(begin.elapsed() < Duration::from_secs(30), "didn't end: {}", self.screen());
            thread::sleep(Duration::from_millis(20));
        }
        let modes = tcgetattr(&self.terminal)?.local_modes;
        ensure!(modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG), "still raw: {modes:?}");
        self.wait_for_last_words()?;
        let screen = self.screen();
        let (_, after) = screen.rsplit_once(LEAVE).context("the alternate screen was not left")?;
        Ok(after.to_owned())
    }

    fn wait_for_last_words(&self) -> Result<()> {
        let begin = Instant::now();
        while !self.screen().contains("trace and logs:") {
            ensure!(begin.elapsed() < Duration::from_secs(10), "said nothing in the end: {}", self.screen());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn qemu(&self) -> Result<u32> {
        let children = format!("/proc/{0}/task/{0}/children", self.lab.id());
        let text = std::fs::read_to_string(&children).with_context(|| format!("cannot read {children}"))?;
        text.split_whitespace().next().context("the lab has no child")?.parse().context("not a number")
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Fails only for a process that has ended.
        let _ = self.lab.kill();
        let _ = self.lab.wait();
    }
}

#[test]
fn the_view_is_shown_and_left_with_q() -> Result<()> {
    let mut watched = Watched::start("second-vm.toml", 80, 24)?;
    watched.wait_for("the machine powered off")?;
    for what in ["second-vm", "S-EL1 TEE", "VM_CREATED", "q leave"] {
        ensure!(watched.screen().contains(what), "no {what}: {}", watched.screen());
    }
    watched.terminal.write_all(b"q")?;
    let after = watched.gives_back()?;
    ensure!(after.contains("PASS second-vm"), "{after}");
    Ok(())
}

#[test]
fn ctrl_c_gives_the_terminal_back() -> Result<()> {
    let mut watched = Watched::start("ten-thousand-cycles.toml", 200, 60)?;
    watched.wait_for("S-EL1 TEE")?;
    watched.terminal.write_all(b"\x03")?;
    let after = watched.gives_back()?;
    ensure!(after.contains("nothing is judged"), "{after}");
    Ok(())
}

/// Only Linux tells who a process's children are this easily.
#[cfg(target_os = "linux")]
#[test]
fn a_crash_of_qemu_is_shown_and_the_terminal_is_given_back() -> Result<()> {
    let mut watched = Watched::start("ten-thousand-cycles.toml", 80, 24)?;
    watched.wait_for("S-EL1 TEE")?;
    Command::new("kill").args(["-KILL", &watched.qemu()?.to_string()]).status()?;
    watched.wait_for("QEMU ended without a word")?;
    watched.terminal.write_all(b"q")?;
    let after = watched.gives_back()?;
    ensure!(after.contains("FAIL ten-thousand-cycles"), "{after}");
    Ok(())
}
