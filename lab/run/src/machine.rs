// SPDX-License-Identifier: MIT OR Apache-2.0
//! A running machine as a stream of events: bytes of either port, the end, Ctrl-C.

use crate::clock::Clock;
use crate::console::Port;
use crate::gdb::Gdb;
use crate::prepare::Prepared;
use crate::qemu::{CommandLine, Qemu};
use crate::qmp::{Control, Ending};
use crate::whereabouts::{self, Whereabouts};
use anyhow::{Context, Result};
use shared_abi::layout;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long to wait before looking again whether the user wants to stop.
const TICK: Duration = Duration::from_millis(100);
/// How long the other CPUs run before the first one.
const HEAD_START: Duration = Duration::from_millis(200);

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// A port said something.
    Bytes(Port, Vec<u8>),
    /// QEMU has ended, and nothing is left to read.
    Ended(Ending),
    /// The time is over.
    Silence,
    /// Ctrl-C, or the like.
    Interrupted,
}

/// QEMU with its ports read. Dropping it ends QEMU.
#[derive(Debug)]
pub struct Machine {
    qemu: Qemu,
    input: UnixStream,
    events: Receiver<(Port, Vec<u8>)>,
    /// Who holds some CPUs back.
    debugger: Option<Gdb>,
    clock: Clock,
    /// Who can be asked about it, until it has ended.
    control: Option<Control>,
}

impl Machine {
    /// Starts a prepared run's machine, all of it at once; what the ports say is kept in its folder too.
    pub fn start(prepared: &Prepared) -> Result<Self> {
        Self::with_line(&prepared.line, &prepared.folder)
    }

    /// Starts the machine as its scenario describes it: maybe with something in its secure memory, with the first CPU
    /// last, or with the others held back before their first instruction until [`Machine::release`].
    pub fn start_as_described(prepared: &Prepared) -> Result<Self> {
        let how = &prepared.plan.scenario.machine;
        if how.late_cpus.is_none() && how.secure_memory.is_none() {
            return Self::start(prepared);
        }
        let (mut machine, mut debugger) = Self::start_halted(prepared)?;
        if let Some(word) = how.secure_memory {
            debugger.fill(0, layout::MONITOR, word)?;
            debugger.fill(0, layout::TEE, word)?;
            let cpus = how.cpus as usize;
            if how.late_cpus.is_none() && cpus > 1 {
                debugger.let_run(1..cpus)?;
                machine.wait(HEAD_START);
                debugger.stop()?;
            }
        }
        if how.late_cpus.is_some() {
            debugger.let_run(0..1)?;
            machine.debugger = Some(debugger);
        } else {
            debugger.detach()?;
        }
        Ok(machine)
    }

    /// Starts the machine with all CPUs halted before their first instruction; returns with it who can change that.
    pub fn start_halted(prepared: &Prepared) -> Result<(Self, Gdb)> {
        let folder = TempDir::with_prefix("triptych-").context("cannot make a temporary folder")?;
        let socket = folder.path().join("gdb");
        let mut line = prepared.line.clone();
        line.wait_for_debugger(&socket);
        let machine = Self::with_line(&line, &prepared.folder)?;
        Ok((machine, Gdb::connect(&socket)?))
    }

    /// Lets the CPUs go that were held back, if any were.
    pub fn release(&mut self) -> Result<()> {
        let Some(mut debugger) = self.debugger.take() else { return Ok(()) };
        debugger.stop()?;
        debugger.detach()
    }

    /// Starts the machine with another command line.
    pub fn with_line(line: &CommandLine, folder: &Path) -> Result<Self> {
        interrupted();
        let mut qemu = Qemu::start(line, folder)?;
        let (socket, goes) = qemu.control()?;
        let (sender, events) = channel();
        for port in Port::ALL {
            let log = folder.join(format!("{}.txt", port.name()));
            let log = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
            let stream = qemu.port(port)?;
            let sender = sender.clone();
            thread::spawn(move || listen(port, stream, log, &sender));
        }
        let input = qemu.port(Port::NonSecure)?;
        let control = Control::open(socket, goes).context("cannot use QEMU's control socket")?;
        let clock = qemu.clock();
        Ok(Self { qemu, input, events, debugger: None, clock, control: Some(control) })
    }

    /// Returns what QEMU logs, if it was told to.
    pub const fn log(&mut self) -> Option<File> {
        self.qemu.log()
    }

    /// Types into the normal world's console.
    pub fn type_in(&mut self, bytes: &[u8]) {
        // A machine that has just ended doesn't listen any more; its end is an event of its own.
        let _ = self.input.write_all(bytes);
    }

    /// Says how long it has run. What the host lets it wait for a CPU doesn't count.
    pub fn time(&mut self) -> Duration {
        self.clock.now()
    }

    /// Stops it for good, and says where its CPUs are.
    pub fn stop_and_look(&mut self) -> Vec<Whereabouts> {
        let registers = self.control.as_mut().and_then(Control::stop_and_print_registers);
        registers.map_or_else(Vec::new, |registers| whereabouts::read(&registers))
    }

    /// Lets it run for so long.
    fn wait(&mut self, time: Duration) {
        let until = self.time() + time;
        while self.time() < until {
            thread::sleep(TICK / 10);
        }
    }

    /// Waits for the next event, at most until its [`Machine::time`] is this.
    pub fn next_until(&mut self, time: Duration) -> Result<Event> {
        loop {
            let left = time.saturating_sub(self.time());
            match self.next(Instant::now() + left.min(TICK))? {
                Event::Silence if !left.is_zero() => {}
                event => return Ok(event),
            }
        }
    }

    /// Waits for the next event, at most until `deadline`, a time of whoever waits.
    pub fn next(&mut self, deadline: Instant) -> Result<Event> {
        loop {
            if interrupted().load(Ordering::Relaxed) {
                return Ok(Event::Interrupted);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left.min(TICK)) {
                Ok((port, bytes)) => return Ok(Event::Bytes(port, bytes)),
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return Ok(Event::Silence),
                Err(RecvTimeoutError::Timeout) => {}
                // Both ports are closed: it is about to end, if it hasn't.
                Err(RecvTimeoutError::Disconnected) => {
                    if let Some(status) = self.qemu.ended()? {
                        let reason = self.control.take().and_then(Control::reason);
                        let complaints = self.qemu.complaints();
                        return Ok(Event::Ended(Ending::of(status.success(), &complaints, reason.as_deref())));
                    }
                    if left.is_zero() {
                        return Ok(Event::Silence);
                    }
                    thread::sleep(left.min(TICK / 10));
                }
            }
        }
    }
}

/// Reads a port until it closes.
fn listen(port: Port, mut stream: UnixStream, mut log: File, sender: &Sender<(Port, Vec<u8>)>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        let bytes = &buffer[..length];
        // The log is for people and the events for the verdict: a full disk fails neither the run nor its judgement.
        let _ = log.write_all(bytes);
        if sender.send((port, bytes.to_vec())).is_err() {
            return;
        }
    }
}

/// Returns the flag that is set once the user, or the system, wants the lab to stop. Everything that owns a QEMU or a
/// raw terminal looks here and ends in its usual way, so that both are cleaned up.
pub fn interrupted() -> &'static AtomicBool {
    static INTERRUPTED: OnceLock<&'static AtomicBool> = OnceLock::new();
    INTERRUPTED.get_or_init(|| {
        static FLAG: AtomicBool = AtomicBool::new(false);
        // Fails only where a handler is in place already; Ctrl-C then does what that one says.
        let _ = ctrlc::set_handler(|| FLAG.store(true, Ordering::Relaxed));
        &FLAG
    })
}
