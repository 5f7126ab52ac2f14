//! The machine, its consoles and its records, as they come.

use super::history::History;
use crate::console::{Line, Listener, Port};
use crate::judge::{Judge, Verdict};
use crate::machine::{Event, Machine};
use crate::prepare::Prepared;
use crate::scenario::{End, Scenario, model};
use crate::trace::recording::Recording;
use crate::trace::{Entry, Trace, file};
use crate::typist::Typist;
use anyhow::{Context, Result};
use shared_abi::trace::Way;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Records that are taken in at once, so that the picture is drawn in between.
const MOUTHFUL: usize = 50_000;

/// How the machine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// As the scenario has it.
    pub well: bool,
    /// In words.
    pub words: String,
}

/// A run that is watched.
#[derive(Debug)]
pub struct Session {
    /// The scenario's name and the CPU's model.
    pub title: String,
    /// Every record so far.
    pub history: History,
    /// Every line so far.
    pub lines: Vec<Line>,
    /// How the machine ended, once it has.
    pub ended: Option<Ended>,
    end: End,
    timeout: Duration,
    machine: Option<Machine>,
    judge: Judge,
    typist: Typist,
    listeners: [Listener; 2],
    recording: Option<Recording>,
    entries: Receiver<Entry>,
    damaged: [u64; 2],
    folder: PathBuf,
}

/// What a session came to.
#[derive(Debug)]
pub struct Verdicts {
    /// Of every expectation, and of how the machine ended; none if it was left before.
    pub verdicts: Vec<Verdict>,
    /// Where the trace and the logs are.
    pub folder: PathBuf,
    /// Every record.
    pub trace: Trace,
}

impl Session {
    /// Starts the machine. It must be one that traces.
    pub fn start(scenario: &Scenario, cpu: &str, prepared: &Prepared) -> Result<Self> {
        let (sender, entries) = channel();
        let traced = prepared.traced.as_ref().context("the machine is not prepared for tracing")?;
        let frames = traced.way == Way::Frames;
        let recording = Recording::start(prepared, Some(sender))?;
        Ok(Self {
            title: format!("{} on {}", scenario.name, model(cpu)),
            history: History::new(traced.frequency),
            lines: Vec::new(),
            ended: None,
            end: scenario.end,
            timeout: scenario.timeout(),
            machine: Some(Machine::start(prepared)?),
            judge: Judge::new(&scenario.expects_on(cpu))?,
            typist: Typist::new(&scenario.sends, scenario.console(0)),
            listeners: Port::ALL.map(if frames { Listener::traced } else { Listener::new }),
            recording,
            entries,
            damaged: [0; 2],
            folder: prepared.folder.clone(),
        })
    }

    /// Takes in what comes until `deadline`. Lines and records are where they belong then; how many of the oldest records
    /// were given up. `Err` if the user stopped the lab.
    pub fn pump(&mut self, deadline: Instant) -> Result<usize, Interrupted> {
        while let Some(machine) = &mut self.machine {
            match machine.next(deadline) {
                Ok(Event::Bytes(port, bytes)) => self.hear(port, &bytes),
                Ok(Event::Silence) => break,
                Ok(Event::Interrupted) => return Err(Interrupted),
                Ok(Event::Ended { success, complaints }) => {
                    let well = success && self.end == End::PowersOff;
                    let words = match (success, complaints.trim()) {
                        (true, _) => "the machine powered off".to_owned(),
                        (false, "") => "QEMU ended without a word; was it killed?".to_owned(),
                        (false, complaints) => format!("QEMU failed: {complaints}"),
                    };
                    self.end_with(Ended { well, words });
                }
                Err(error) => self.end_with(Ended { well: false, words: format!("{error:#}") }),
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        let taken = self.entries.try_iter().take(MOUTHFUL);
        Ok(taken.map(|entry| self.history.hear(entry)).sum())
    }

    /// How long the scenario may take.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Ends the machine, which has had its time.
    pub fn time_is_over(&mut self) {
        let words = format!("still running after {} s", self.timeout.as_secs());
        self.end_with(Ended { well: self.end == End::KeepsRunning, words });
    }

    fn end_with(&mut self, ended: Ended) {
        for listener in &self.listeners {
            if let Some(line) = listener.open() {
                self.judge.hear(&line);
                self.lines.push(line);
            }
        }
        self.machine = None;
        self.ended = Some(ended);
    }

    fn hear(&mut self, port: Port, bytes: &[u8]) {
        let Some(index) = Port::ALL.iter().position(|each| *each == port) else { return };
        let mut keys = Vec::new();
        for line in self.listeners[index].hear(bytes) {
            self.judge.hear(&line);
            keys.extend(self.typist.hear(&line));
            self.lines.push(line);
        }
        let (entries, damaged) = self.listeners[index].take_entries();
        if let Some(recording) = &mut self.recording {
            recording.hear(entries);
        }
        self.damaged[index] = damaged;
        if let Some(open) = self.listeners[index].open() {
            keys.extend(self.typist.glimpse(&open));
        }
        self.send(&keys);
    }

    /// Types into a VM's console, once the keyboard is its.
    pub fn type_in(&mut self, vm: &str, keys: &[u8]) {
        let now = self.typist.press(vm, keys);
        self.send(&now);
    }

    fn send(&mut self, keys: &[u8]) {
        if let Some(machine) = self.machine.as_mut().filter(|_| !keys.is_empty()) {
            machine.type_in(keys);
        }
    }

    /// The lines that have not ended yet: prompts.
    pub fn open_lines(&self) -> impl Iterator<Item = Line> {
        self.listeners.iter().filter(|_| self.machine.is_some()).filter_map(Listener::open)
    }

    /// Who has spoken as a VM so far, in order of their numbers.
    pub fn consoles(&self) -> Vec<String> {
        let mut vms: Vec<_> = self.history.now().vms.keys().map(|id| format!("vm{id}")).collect();
        let spoken = self.lines.iter().map(|line| &line.speaker).filter(|speaker| crate::console::is_vm(speaker));
        for speaker in spoken {
            if !vms.contains(speaker) {
                vms.push(speaker.clone());
            }
        }
        vms
    }

    /// How many expectations hold so far, and how many there are.
    pub fn score(&self) -> (usize, usize) {
        let verdicts = self.judge.verdicts();
        (verdicts.iter().filter(|verdict| verdict.holds).count(), verdicts.len())
    }

    /// Ends the machine if it still runs, keeps the trace in the run's folder, and judges what has ended by itself.
    pub fn finish(mut self) -> Result<Verdicts> {
        self.machine = None;
        let damaged = self.damaged.iter().sum();
        let trace = self.recording.map(|recording| recording.finish(damaged)).unwrap_or_default();
        trace.write(&self.folder.join(file::NAME))?;
        let mut verdicts = Vec::new();
        if let Some(ended) = self.ended {
            let claim = match self.end {
                End::PowersOff => "the machine powers off",
                End::KeepsRunning => "the machine keeps running",
            };
            verdicts = self.judge.verdicts();
            verdicts.push(Verdict { holds: ended.well, claim: claim.into(), evidence: ended.words });
        }
        Ok(Verdicts { verdicts, folder: self.folder, trace })
    }
}

/// The user, or the system, wants the lab to stop.
#[derive(Debug)]
pub struct Interrupted;
