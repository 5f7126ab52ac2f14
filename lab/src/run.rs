//! Runs a scenario and judges it.

use crate::console::{Line, Listener, Port};
use crate::judge::{Judge, Verdict};
use crate::machine::{Event, Machine};
use crate::prepare::Prepared;
use crate::scenario::{Cue, End, Scenario};
use crate::trace::Trace;
use crate::trace::recording::Recording;
use crate::typist::Typist;
use anyhow::{Context, Result, bail};
use shared_abi::trace::Way;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ChildStdout;
use std::thread;
use std::time::{Duration, Instant};

/// A machine that should keep running is watched this much longer for what must not come.
const SETTLE: Duration = Duration::from_secs(1);
/// What a layer still says after its panic.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How many times as long as else a traced machine may take.
const TRACED: u32 = 3;
/// How many of a speaker's last lines a failure shows.
const LAST_LINES: usize = 4;
/// How many of a layer's last trace records it shows.
const LAST_RECORDS: usize = 20;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The scenario's name.
    pub name: String,
    /// Of every expectation, and of how the machine ended.
    pub verdicts: Vec<Verdict>,
    /// Everything that was said.
    pub lines: Vec<Line>,
    /// Where the logs are.
    pub folder: PathBuf,
    /// The user stopped it.
    pub interrupted: bool,
    /// What the layers told, if they are built to.
    pub trace: Option<Trace>,
}

impl Outcome {
    /// Whether everything holds.
    pub fn passed(&self) -> bool {
        !self.interrupted && self.verdicts.iter().all(|verdict| verdict.holds)
    }

    /// The verdicts with their evidence, the figures, and the last line: PASS or FAIL and the name.
    ///
    /// A run that was interrupted proves nothing either way, so nothing is judged.
    pub fn report(&self) -> String {
        if self.interrupted {
            return format!("interrupted; logs: {}\n", self.folder.display());
        }
        let mut text = String::new();
        for verdict in &self.verdicts {
            let mark = if verdict.holds { "ok  " } else { "FAIL" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{mark}  {}\n        {}", verdict.claim, verdict.evidence);
        }
        if !self.passed() {
            text += &self.last_lines();
            if let Some(trace) = &self.trace {
                text += &trace.last(LAST_RECORDS);
            }
            let _ = writeln!(text, "logs: {}", self.folder.display());
        }
        let figures: Vec<_> = self.lines.iter().filter(|line| is_figure(line)).collect();
        if !figures.is_empty() {
            text += "figures:\n";
            for line in figures {
                let _ = writeln!(text, "        {line}");
            }
        }
        if let Some(trace) = &self.trace {
            text += &trace.summary();
        }
        let word = if self.passed() { "PASS" } else { "FAIL" };
        let _ = writeln!(text, "{word} {}", self.name);
        text
    }

    /// What each speaker said last.
    fn last_lines(&self) -> String {
        let mut speakers: Vec<&str> = Vec::new();
        for line in &self.lines {
            if !speakers.contains(&line.speaker.as_str()) {
                speakers.push(&line.speaker);
            }
        }
        let mut text = String::new();
        if speakers.is_empty() {
            text += "nobody said anything\n";
        }
        for speaker in speakers {
            let said: Vec<_> = self.lines.iter().filter(|line| line.speaker == speaker).collect();
            let _ = writeln!(text, "last from {speaker}:");
            for line in &said[said.len().saturating_sub(LAST_LINES)..] {
                let _ = writeln!(text, "        {line}");
            }
        }
        text
    }
}

/// Whether a layer says how much memory it takes.
fn is_figure(line: &Line) -> bool {
    matches!(line.speaker.as_str(), "EL3" | "TEE" | "HYP")
        && line.text.contains(" KiB")
        && ["runtime ", "image "].iter().any(|word| line.text.starts_with(word))
}

/// Boots a prepared scenario and watches it to its end. `screen` gets every line as it comes.
pub fn run(scenario: &Scenario, cpu: &str, prepared: &Prepared, screen: &mut dyn FnMut(&Line)) -> Result<Outcome> {
    let mut watch = Watch::new(scenario, cpu, prepared)?;
    let mut machine = Machine::start_as(prepared, &scenario.machine)?;
    let end = watch.watch(scenario, &mut machine, screen)?;
    drop(machine);
    Ok(watch.outcome(scenario, prepared, end))
}

/// The same without a screen, while `read` reads what QEMU logs.
pub fn run_logged<T: Send>(
    scenario: &Scenario,
    cpu: &str,
    prepared: &Prepared,
    read: impl FnOnce(ChildStdout) -> T + Send,
) -> Result<(Outcome, T)> {
    let mut watch = Watch::new(scenario, cpu, prepared)?;
    let mut machine = Machine::start_as(prepared, &scenario.machine)?;
    let log = machine.log().context("QEMU was not told to log")?;
    let (end, read) = thread::scope(|scope| {
        let reader = scope.spawn(|| read(log));
        let end = watch.watch(scenario, &mut machine, &mut |_| {});
        // With QEMU the log ends, too.
        drop(machine);
        (end, reader.join())
    });
    let Ok(read) = read else { bail!("the reader of QEMU's log panicked") };
    Ok((watch.outcome(scenario, prepared, end?), read))
}

/// A run in progress.
struct Watch {
    judge: Judge,
    /// When the other CPUs may begin, and whether that was seen.
    late_cpus: Option<(Cue, bool)>,
    typist: Typist,
    listeners: [Listener; 2],
    lines: Vec<Line>,
    recording: Option<Recording>,
    /// Trace frames of either port that were damaged.
    damaged: [u64; 2],
}

impl Watch {
    /// Before anything was said.
    fn new(scenario: &Scenario, cpu: &str, prepared: &Prepared) -> Result<Self> {
        let frames = prepared.traced.as_ref().is_some_and(|traced| traced.way == Way::Frames);
        Ok(Self {
            judge: Judge::new(&scenario.expects_on(cpu))?,
            late_cpus: scenario.machine.late_cpus.clone().map(|cue| (cue, false)),
            typist: Typist::new(&scenario.sends, scenario.console(0)),
            listeners: Port::ALL.map(if frames { Listener::traced } else { Listener::new }),
            lines: Vec::new(),
            recording: Recording::start(prepared, None)?,
            damaged: [0; 2],
        })
    }

    /// What came of it, once the machine has ended like this.
    fn outcome(self, scenario: &Scenario, prepared: &Prepared, (end, interrupted): (Verdict, bool)) -> Outcome {
        let mut verdicts = self.judge.verdicts();
        verdicts.extend(self.late_cpus.map(|(cue, seen)| Verdict {
            holds: seen,
            claim: format!("the other CPUs begin when {} says {:?}", cue.from, cue.line),
            evidence: if seen { "they did" } else { "NOT SEEN" }.into(),
        }));
        verdicts.push(end);
        let damaged = self.damaged.iter().sum();
        Outcome {
            name: scenario.name.clone(),
            verdicts,
            lines: self.lines,
            folder: prepared.folder.clone(),
            interrupted,
            trace: self.recording.map(|recording| recording.finish(damaged)),
        }
    }

    /// Watches until the machine ends, is as it should be, or can't get there any more. How it ended, and whether the
    /// user ended it.
    fn watch(
        &mut self,
        scenario: &Scenario,
        machine: &mut Machine,
        screen: &mut dyn FnMut(&Line),
    ) -> Result<(Verdict, bool)> {
        // Counting instructions, QEMU runs all CPUs in turn.
        let patience = if self.recording.is_some() { TRACED } else { 1 };
        let timeout = Instant::now() + scenario.timeout() * patience;
        let mut deadline = timeout;
        let claim = match scenario.end {
            End::PowersOff => "the machine powers off",
            End::KeepsRunning => "the machine keeps running",
        };
        let verdict = |holds, evidence: String| Verdict { holds, claim: claim.into(), evidence };
        loop {
            match machine.next(deadline)? {
                Event::Bytes(port, bytes) => {
                    for key in self.hear(port, &bytes, screen) {
                        machine.type_in(&key);
                    }
                    if self.late_cpus.as_ref().is_some_and(|(_, seen)| *seen) {
                        machine.release()?;
                    }
                    let now = Instant::now();
                    if self.judge.is_hopeless() {
                        deadline = deadline.min(now + LAST_WORDS);
                    } else if scenario.end == End::KeepsRunning {
                        let settled = self.judge.is_content() && self.typist.is_done();
                        deadline = if settled { timeout.min(now + SETTLE) } else { timeout };
                    }
                }
                Event::Ended { success, complaints } => {
                    self.flush(screen);
                    let end = match (success, scenario.end) {
                        (false, _) => verdict(false, format!("QEMU failed: {}", complaints.trim())),
                        (true, End::PowersOff) => verdict(true, "it did".into()),
                        (true, End::KeepsRunning) => verdict(false, "it powered off".into()),
                    };
                    return Ok((end, false));
                }
                Event::Silence => {
                    self.flush(screen);
                    let settled = self.judge.is_content() && self.typist.is_done();
                    let end = if self.judge.is_hopeless() {
                        verdict(false, "a layer panicked and the lab stopped it".into())
                    } else if scenario.end == End::KeepsRunning && settled {
                        verdict(true, "it did, until the lab stopped it".into())
                    } else {
                        verdict(
                            scenario.end == End::KeepsRunning,
                            format!("still running after {} s", (scenario.timeout() * patience).as_secs()),
                        )
                    };
                    return Ok((end, false));
                }
                Event::Interrupted => {
                    self.flush(screen);
                    return Ok((verdict(false, "interrupted".into()), true));
                }
            }
        }
    }

    /// Takes in bytes of a port; what to type because of them.
    fn hear(&mut self, port: Port, bytes: &[u8], screen: &mut dyn FnMut(&Line)) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        let Some(index) = Port::ALL.iter().position(|each| *each == port) else { return keys };
        for line in self.listeners[index].hear(bytes) {
            self.judge.hear(&line);
            keys.push(self.typist.hear(&line));
            if let Some((cue, seen)) = &mut self.late_cpus {
                *seen |= line.speaker == cue.from && line.text.contains(&cue.line);
            }
            screen(&line);
            self.lines.push(line);
        }
        if let Some(recording) = &mut self.recording {
            let (entries, damaged) = self.listeners[index].take_entries();
            recording.hear(entries);
            self.damaged[index] = damaged;
        }
        // A prompt is an answer, too, though no line yet.
        if let Some(open) = self.listeners[index].open() {
            keys.push(self.typist.glimpse(&open));
        }
        keys.retain(|key| !key.is_empty());
        keys
    }

    /// Lines that will not be finished any more count as they stand.
    fn flush(&mut self, screen: &mut dyn FnMut(&Line)) {
        for listener in &self.listeners {
            if let Some(line) = listener.open() {
                self.judge.hear(&line);
                screen(&line);
                self.lines.push(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_run_is_not_judged() {
        let unseen = Verdict { holds: false, claim: "EL3 says 'ready'".into(), evidence: "NOT SEEN".into() };
        let mut outcome = Outcome {
            name: "two-guests".into(),
            verdicts: vec![unseen],
            lines: Vec::new(),
            folder: "runs/two-guests".into(),
            interrupted: true,
            trace: None,
        };
        assert!(!outcome.passed());
        assert_eq!(outcome.report(), "interrupted; logs: runs/two-guests\n");
        outcome.interrupted = false;
        assert!(outcome.report().ends_with("FAIL two-guests\n"));
    }
}
