// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab on a terminal of its own, and what that terminal shows.

use crate::program;
use anyhow::{Context, Result, ensure};
use lab_run::workspace::Workspace;
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use vt100::Parser;

/// It only ends what hangs: layers are built in it, on hosts that have other things to do.
const PATIENCE: Duration = Duration::from_secs(1200);

/// What a terminal knows.
#[derive(Default)]
pub struct Heard {
    /// Every byte that it was sent.
    pub bytes: Vec<u8>,
    /// What it makes of them.
    pub terminal: Parser,
}

impl Heard {
    /// Reads the text on it.
    pub fn text(&self) -> String {
        self.terminal.screen().contents()
    }
}

/// A lab on a terminal of its own.
pub struct Terminal {
    lab: Child,
    master: File,
    heard: Arc<Mutex<Heard>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts it, with these variables of the environment.
    pub fn start(arguments: &[&str], (columns, rows): (u16, u16), environment: &[(&str, &str)]) -> Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        tcsetwinsize(&master, Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 })?;
        let slave = File::from(open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?);
        let mut command = Command::new(program::lab());
        command.args(arguments).current_dir(Workspace::locate()?.root());
        command.env_remove("NO_COLOR").env("TERM", "xterm-256color").envs(environment.iter().copied());
        command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(Stdio::from(slave));
        let lab = command.spawn()?;
        let master = File::from(master);
        let [rows, columns] = [rows, columns].map(|size| NonZero::new(size).expect("no terminal is that small"));
        let heard = Arc::new(Mutex::new(Heard { bytes: Vec::new(), terminal: Parser::new(rows, columns, 0) }));
        let (mut port, told) = (master.try_clone()?, Arc::clone(&heard));
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = port.read(&mut buffer) {
                let mut heard = told.lock().unwrap_or_else(PoisonError::into_inner);
                heard.terminal.process(&buffer[..length]);
                heard.bytes.extend_from_slice(&buffer[..length]);
            }
        });
        Ok(Self { lab, master, heard, reader: Some(reader) })
    }

    /// Returns the number of the lab's process.
    pub fn id(&self) -> u32 {
        self.lab.id()
    }

    /// Returns what it shows now.
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until this can be read on it.
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        self.wait_until(text, |heard| heard.text().contains(text))
    }

    /// Waits until it shows this. A picture comes in pieces: who has seen one part of it waits for the next, too.
    pub fn wait_until(&mut self, what: &str, is_shown: impl Fn(&Heard) -> bool) -> Result<()> {
        let begin = Instant::now();
        while !is_shown(&self.heard()) {
            ensure!(begin.elapsed() < PATIENCE, "never showed {what:?}:\n{}", self.heard().text());
            ensure!(self.lab.try_wait()?.is_none(), "ended before it showed {what:?}:\n{}", self.heard().text());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &[u8]) -> Result<()> {
        self.master.write_all(keys).context("cannot type")
    }

    /// Waits for the lab to end. The terminal is as it was then: its usual screen, echo, lines, signals.
    pub fn end(mut self) -> Result<Heard> {
        let begin = Instant::now();
        while self.lab.try_wait()?.is_none() {
            ensure!(begin.elapsed() < PATIENCE, "didn't end:\n{}", self.heard().text());
            thread::sleep(Duration::from_millis(20));
        }
        let modes = tcgetattr(&self.master)?.local_modes;
        ensure!(modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG), "still raw: {modes:?}");
        // Nobody has the other end any more: reading ends, with the last word.
        ensure!(self.reader.take().is_some_and(|reader| reader.join().is_ok()), "the reader panicked");
        let heard = std::mem::take(&mut *self.heard());
        ensure!(!heard.terminal.screen().alternate_screen(), "the alternate screen was not left");
        ensure!(!heard.terminal.screen().hide_cursor(), "the cursor is hidden");
        Ok(heard)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Fails only for a process that has ended.
        let _ = self.lab.kill();
        let _ = self.lab.wait();
    }
}
