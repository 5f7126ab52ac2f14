// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine, its consoles and its records, as they come.

use super::history::History;
use anyhow::{Context, Result};
use lab_run::console::Line;
use lab_run::judge::Verdict;
use lab_run::machine::{Event, Machine};
use lab_run::prepare::Prepared;
use lab_run::scenario::model;
use lab_run::witness::Witness;
use lab_trace::{Entry, Trace, file};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// Records that are taken in at once, so that the picture is drawn in between.
const MOUTHFUL: usize = 50_000;

/// How the machine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// As the scenario has it, or not.
    pub verdict: Verdict,
    /// In words.
    pub words: String,
}

impl Ended {
    /// Says whether it ended as the scenario has it.
    pub const fn well(&self) -> bool {
        self.verdict.holds
    }
}

/// A run that is watched.
#[derive(Debug)]
pub struct Session {
    /// The scenario's name and the CPU's model.
    pub title: String,
    /// Every record so far.
    pub history: History,
    /// How the machine ended, once it has.
    pub ended: Option<Ended>,
    machine: Option<Machine>,
    witness: Witness,
    entries: Receiver<Entry>,
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
    pub fn start(prepared: &Prepared) -> Result<Self> {
        let (sender, entries) = channel();
        let traced = prepared.traced.as_ref().context("the machine is not prepared for tracing")?;
        let witness = Witness::new(prepared, Some(sender))?;
        let (scenario, cpu) = (&prepared.plan.scenario, model(&prepared.plan.cpu));
        Ok(Self {
            title: match &prepared.plan.names() {
                names if names.are_ours() => format!("{} on {cpu}", scenario.name),
                names => format!("{} on {cpu} with {names}", scenario.name),
            },
            history: History::new(traced.frequency),
            ended: None,
            machine: Some(Machine::start_as_described(prepared)?),
            witness,
            entries,
            folder: prepared.folder.to_path_buf(),
        })
    }

    /// Takes in what comes until `deadline`. Lines and records are where they belong then; says how many of the oldest
    /// records were given up. `Err` if the user stopped the lab.
    pub fn pump(&mut self, deadline: Instant) -> Result<usize, Interrupted> {
        while let Some(machine) = &mut self.machine {
            match machine.next(deadline) {
                Ok(Event::Bytes(port, bytes)) => {
                    if let Err(error) = self.witness.hear(machine, port, &bytes, &mut |_| {}) {
                        self.break_off(&error);
                    }
                }
                Ok(Event::Silence) => break,
                Ok(Event::Interrupted) => return Err(Interrupted),
                Ok(Event::Ended(ending)) => {
                    let (verdict, words) = (self.witness.ended(&ending), ending.to_string());
                    self.end_with(Ended { verdict, words });
                }
                Err(error) => self.break_off(&error),
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        let taken = self.entries.try_iter().take(MOUTHFUL);
        Ok(taken.map(|entry| self.history.hear(entry)).sum())
    }

    /// Ends a machine of which nothing more is to be expected, as a run that nobody watches does.
    pub fn stop_in_vain(&mut self) {
        let Some(machine) = &mut self.machine else { return };
        let (time, silence) = self.witness.patience();
        if machine.time() >= time {
            let verdict = self.witness.give_up(machine, silence);
            let words = format!("the machine was stopped: {}", verdict.evidence);
            self.end_with(Ended { verdict, words });
        }
    }

    fn end_with(&mut self, ended: Ended) {
        self.witness.flush(&mut |_| {});
        self.machine = None;
        self.ended = Some(ended);
    }

    /// Ends a machine that can't be watched any more.
    fn break_off(&mut self, error: &anyhow::Error) {
        let words = format!("{error:#}");
        self.end_with(Ended { verdict: self.witness.about_the_end(false, &words), words });
    }

    /// Types into a VM's console, once the keyboard is its.
    pub fn type_in(&mut self, vm: &str, keys: &[u8]) {
        let now = self.witness.press(vm, keys);
        if let Some(machine) = self.machine.as_mut().filter(|_| !now.is_empty()) {
            machine.type_in(&now);
        }
    }

    /// Returns every line so far.
    pub fn lines(&self) -> &[Line] {
        &self.witness.lines
    }

    /// Lists the lines that have not ended yet: prompts.
    pub fn open_lines(&self) -> impl Iterator<Item = Line> {
        self.witness.open_lines().filter(|_| self.machine.is_some())
    }

    /// Lists who has spoken as a VM so far, in order of their numbers.
    pub fn consoles(&self) -> Vec<String> {
        let mut vms: Vec<_> = self.history.now().vms.keys().map(|id| format!("vm{id}")).collect();
        let spoken = self.lines().iter().map(|line| &line.speaker).filter(|speaker| lab_run::console::is_vm(speaker));
        for speaker in spoken {
            if !vms.contains(speaker) {
                vms.push(speaker.clone());
            }
        }
        vms
    }

    /// Says how many expectations hold so far, and how many there are.
    pub fn score(&self) -> (usize, usize) {
        let verdicts = self.witness.verdicts();
        (verdicts.iter().filter(|verdict| verdict.holds).count(), verdicts.len())
    }

    /// Ends the machine if it still runs, keeps the trace in the run's folder, and judges what has ended by itself.
    pub fn finish(mut self) -> Result<Verdicts> {
        self.machine = None;
        let mut verdicts = Vec::new();
        if let Some(ended) = self.ended {
            verdicts = self.witness.verdicts();
            verdicts.push(ended.verdict);
        }
        let (_, trace) = self.witness.finish();
        let trace = trace.unwrap_or_default();
        trace.write(&self.folder.join(file::NAME))?;
        Ok(Verdicts { verdicts, folder: self.folder, trace })
    }
}

/// The user, or the system, wants the lab to stop.
#[derive(Debug)]
pub struct Interrupted;
