// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who watches a run: hears its consoles, types what the scenario sends, keeps its records, and knows when it is over.

use crate::console::{Line, Listeners, Port};
use crate::judge::{Judge, Verdict};
use crate::machine::Machine;
use crate::plan::Plan;
use crate::prepare::Prepared;
use crate::qmp::Ending;
use crate::scenario::{Cue, End};
use crate::typist::Typist;
use anyhow::Result;
use lab_trace::recording::Recording;
use lab_trace::{Entry, Trace};
use shared_abi::trace::Way;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// A machine that should keep running is watched this much longer for what must not come.
const SETTLE: Duration = Duration::from_secs(1);
/// What a layer still says after its panic.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How many times as long as else a traced machine may take: counting instructions, QEMU runs all CPUs in turn.
const TRACED: u32 = 3;

/// All that is heard of a machine, and what it comes to.
#[derive(Debug)]
pub struct Witness {
    /// Everything that was said.
    pub lines: Vec<Line>,
    judge: Judge,
    typist: Typist,
    listeners: Listeners,
    recording: Option<Recording>,
    /// When the other CPUs may begin, and the line that was it.
    late_cpus: Option<(Cue, Option<Line>)>,
    end: End,
    begin: Instant,
    /// In the machine's time, as all that follows.
    timeout: Duration,
    /// When something was last heard.
    heard: Duration,
    /// When that was heard after which nothing good comes.
    doomed: Option<Duration>,
}

impl Witness {
    /// Begins before anything was said. Trace records go to `live` as they come.
    pub fn new(prepared: &Prepared, live: Option<Sender<Entry>>) -> Result<Self> {
        let Plan { scenario, cpu, stack, .. } = &prepared.plan;
        let traced = prepared.traced.as_ref();
        let frames = traced.is_some_and(|traced| traced.way == Way::Frames);
        let recording = traced.map(|traced| Recording::start(traced, live)).transpose()?;
        let foreign_world = scenario.chain.normal_world.is_foreign();
        let listeners = Listeners::new(frames);
        let patience = if recording.is_some() { TRACED } else { 1 };
        Ok(Self {
            lines: Vec::new(),
            judge: Judge::new(scenario, cpu, stack)?,
            typist: Typist::new(&scenario.sends, scenario.keyboard()),
            listeners: if foreign_world { listeners.of_foreign_world() } else { listeners },
            recording,
            late_cpus: scenario.machine.late_cpus.clone().map(|cue| (cue, None)),
            end: scenario.end,
            begin: Instant::now(),
            timeout: scenario.timeout() * patience,
            heard: Duration::ZERO,
            doomed: None,
        })
    }

    /// Takes in bytes of a port, and does to the machine what they are waited for with: types, lets CPUs go.
    pub fn hear(
        &mut self,
        machine: &mut Machine,
        port: Port,
        bytes: &[u8],
        screen: &mut dyn FnMut(&Line),
    ) -> Result<()> {
        for keys in self.keys(machine.time(), port, bytes, screen) {
            machine.type_in(&keys);
        }
        if self.late_cpus.as_ref().is_some_and(|(_, seen)| seen.is_some()) {
            machine.release()?;
        }
        Ok(())
    }

    /// Takes in bytes of a port that were heard at a time of the machine; returns what to type because of them.
    fn keys(&mut self, time: Duration, port: Port, bytes: &[u8], screen: &mut dyn FnMut(&Line)) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        for line in self.listeners.at(port).hear(bytes) {
            self.judge.hear(&line);
            keys.push(self.typist.hear(&line));
            if let Some((cue, seen)) = &mut self.late_cpus
                && line.speaker == cue.from
                && line.says(&cue.line)
            {
                seen.get_or_insert_with(|| line.clone());
            }
            screen(&line);
            self.lines.push(line);
        }
        if let Some(recording) = &mut self.recording {
            recording.hear(self.listeners.at(port).take_entries());
        }
        // A prompt is an answer, too, though no line yet.
        if let Some(open) = self.listeners.at(port).open() {
            keys.push(self.typist.glimpse(&open));
        }
        self.heard = time;
        if self.judge.mishap().is_some() {
            self.doomed.get_or_insert(self.heard);
        }
        keys.retain(|key| !key.is_empty());
        keys
    }

    /// Takes the keys that a user presses for a VM; returns what to type now.
    pub fn press(&mut self, vm: &str, keys: &[u8]) -> Vec<u8> {
        self.typist.press(vm, keys)
    }

    /// Takes lines that will not be finished any more as they stand.
    pub fn flush(&mut self, screen: &mut dyn FnMut(&Line)) {
        for line in self.listeners.open() {
            self.judge.hear(&line);
            screen(&line);
            self.lines.push(line);
        }
    }

    /// Lists the lines that have not ended yet: prompts.
    pub fn open_lines(&self) -> impl Iterator<Item = Line> {
        self.listeners.open()
    }

    /// Says until when, in its time, a machine is waited for that says nothing more, and what its silence means then.
    pub fn patience(&self) -> (Duration, Verdict) {
        let timeout = self.timeout;
        if let (Some(since), Some(line)) = (self.doomed, self.judge.mishap()) {
            let verdict = self.about_the_end(false, format!("the lab stopped it, after {line}"));
            return (timeout.min(since + LAST_WORDS), verdict);
        }
        let keeps_running = self.end == End::KeepsRunning;
        if keeps_running && self.judge.is_content() && self.typist.is_done() {
            let verdict = self.about_the_end(true, "it did, until the lab stopped it");
            return (timeout.min(self.heard + SETTLE), verdict);
        }
        let words = format!("still running after {} s", self.timeout.as_secs());
        (timeout, self.about_the_end(keeps_running, words))
    }

    /// Ends a machine whose time is over, on what its silence means ([`Witness::patience`]): of one that should have
    /// ended and hangs that is also where its CPUs are.
    pub fn give_up(&self, machine: &mut Machine, silence: Verdict) -> Verdict {
        if silence.holds || self.doomed.is_some() {
            return silence;
        }
        let cpus = machine.stop_and_look().iter().map(|cpu| format!("; {cpu}")).collect::<String>();
        Verdict { evidence: silence.evidence + &cpus, ..silence }
    }

    /// Judges what it means that the machine has ended by itself.
    pub fn ended(&self, ending: &Ending) -> Verdict {
        match (ending, self.end) {
            (Ending::PoweredOff, End::PowersOff) => self.about_the_end(true, "it did"),
            (Ending::PoweredOff, End::KeepsRunning) => self.about_the_end(false, "it powered off"),
            (Ending::Reset, _) => self.about_the_end(false, "it reset itself"),
            (Ending::Broken(words), _) => self.about_the_end(false, words.clone()),
        }
    }

    /// Judges how the machine ended.
    pub fn about_the_end(&self, holds: bool, evidence: impl Into<String>) -> Verdict {
        let claim = match self.end {
            End::PowersOff => "the machine powers off",
            End::KeepsRunning => "the machine keeps running",
        };
        Verdict::new(holds, claim, evidence)
    }

    /// Judges every expectation, and every text that was to be typed.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let late_cpus = self.late_cpus.iter().map(|(cue, seen)| {
            let claim = format!("the other CPUs begin when {} says {:?}", cue.from, cue.line);
            Verdict::new(seen.is_some(), claim, seen.as_ref().map_or("NOT SEEN".to_owned(), Line::to_string))
        });
        self.judge.verdicts().into_iter().chain(self.typist.verdicts()).chain(late_cpus).collect()
    }

    /// Says how long it has taken.
    pub fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Returns every line, and the trace if the layers tell one. The machine has ended.
    pub fn finish(self) -> (Vec<Line>, Option<Trace>) {
        let damaged = self.listeners.damaged();
        (self.lines, self.recording.map(|recording| recording.finish(damaged)))
    }
}
