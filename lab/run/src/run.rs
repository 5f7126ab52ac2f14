// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs a scenario and judges it.

use crate::console::Line;
use crate::judge::Verdict;
use crate::machine::{Event, Machine};
use crate::prepare::Prepared;
use crate::runs::RunFolder;
use crate::stack::Names;
use crate::witness::Witness;
use anyhow::{Context, Result, bail};
use lab_trace::Trace;
use std::fmt::Write;
use std::fs::File;
use std::thread;
use std::time::Duration;

/// How many of a speaker's last lines a failure shows.
const LAST_LINES: usize = 4;
/// How many of a layer's last trace records it shows.
const LAST_RECORDS: usize = 20;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The scenario's name.
    pub name: String,
    /// Of every expectation, and of how the machine ended.
    pub verdicts: Vec<Verdict>,
    /// Everything that was said.
    pub lines: Vec<Line>,
    /// Where the logs are.
    pub folder: RunFolder,
    /// The user stopped it.
    pub interrupted: bool,
    /// What the layers told, if they are built to.
    pub trace: Option<Trace>,
    /// What ran.
    pub names: Names,
    /// How long it took, in real time.
    pub duration: Duration,
}

impl Outcome {
    /// Makes the outcome of a run that ended like this; without an `end`, the user ended it.
    fn of(prepared: &Prepared, witness: Witness, end: Option<Verdict>) -> Self {
        let interrupted = end.is_none();
        let verdicts = [witness.verdicts(), end.into_iter().collect()].concat();
        let duration = witness.elapsed();
        let (lines, trace) = witness.finish();
        let (name, folder) = (prepared.plan.scenario.name.clone(), prepared.folder.clone());
        let names = prepared.plan.names();
        Self { name, verdicts, lines, folder, interrupted, trace, names, duration }
    }

    /// Says whether everything holds.
    pub fn passed(&self) -> bool {
        !self.interrupted && self.verdicts.iter().all(|verdict| verdict.holds)
    }

    /// Writes the verdicts with their evidence, the figures, and the last line: PASS or FAIL and the name.
    ///
    /// A run that was interrupted proves nothing either way, so nothing is judged.
    pub fn report(&self) -> String {
        if self.interrupted {
            return format!("interrupted; logs: {}\n", self.folder.display());
        }
        let mut text = String::new();
        for verdict in &self.verdicts {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}  {}\n        {}", verdict.mark(), verdict.claim, verdict.evidence);
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
        let on = if self.names.are_ours() { String::new() } else { format!(" on {}", self.names) };
        let unjudged = self.verdicts.iter().filter(|verdict| !verdict.judged).count();
        let unjudged = if unjudged == 0 { String::new() } else { format!("; {unjudged} not judged") };
        let _ = writeln!(text, "{word} {}{on}{unjudged}", self.name);
        text
    }

    /// Lists what each speaker said last.
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

/// Says whether a layer says how much memory it takes.
fn is_figure(line: &Line) -> bool {
    matches!(line.speaker.as_str(), "EL3" | "TEE" | "HYP")
        && line.text.contains(" KiB")
        && ["runtime ", "image "].iter().any(|word| line.text.starts_with(word))
}

/// Boots what is prepared and watches it to its end. `screen` gets every line as it comes.
pub fn run(prepared: &Prepared, screen: &mut dyn FnMut(&Line)) -> Result<Outcome> {
    let mut witness = Witness::new(prepared, None)?;
    let mut machine = Machine::start_as_described(prepared)?;
    let end = watch(&mut witness, &mut machine, screen)?;
    drop(machine);
    Ok(Outcome::of(prepared, witness, end))
}

/// Boots it without a screen, while `read` reads what QEMU logs.
pub fn run_logged<T: Send>(prepared: &Prepared, read: impl FnOnce(File) -> T + Send) -> Result<(Outcome, T)> {
    let mut witness = Witness::new(prepared, None)?;
    let mut machine = Machine::start_as_described(prepared)?;
    let log = machine.log().context("QEMU was not told to log")?;
    let (end, read) = thread::scope(|scope| {
        let reader = scope.spawn(|| read(log));
        let end = watch(&mut witness, &mut machine, &mut |_| {});
        // With QEMU the log ends, too.
        drop(machine);
        (end, reader.join())
    });
    let Ok(read) = read else { bail!("the reader of QEMU's log panicked") };
    Ok((Outcome::of(prepared, witness, end?), read))
}

/// Watches until the machine ends, is as it should be, or can't get there any more. Says how it ended; nothing if the
/// user ended it.
fn watch(witness: &mut Witness, machine: &mut Machine, screen: &mut dyn FnMut(&Line)) -> Result<Option<Verdict>> {
    loop {
        let (time, silence) = witness.patience();
        let end = match machine.next_until(time)? {
            Event::Bytes(port, bytes) => {
                witness.hear(machine, port, &bytes, screen)?;
                continue;
            }
            Event::Ended(ending) => Some(witness.ended(&ending)),
            Event::Silence => Some(witness.give_up(machine, silence)),
            Event::Interrupted => None,
        };
        witness.flush(screen);
        return Ok(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_run_is_not_judged() {
        let unseen = Verdict::new(false, "EL3 says 'ready'", "NOT SEEN");
        let mut outcome = Outcome {
            name: "two-guests".into(),
            verdicts: vec![unseen],
            lines: Vec::new(),
            folder: "runs/two-guests".into(),
            interrupted: true,
            ..Outcome::default()
        };
        assert!(!outcome.passed());
        assert_eq!(outcome.report(), "interrupted; logs: runs/two-guests\n");
        outcome.interrupted = false;
        assert!(outcome.report().ends_with("FAIL two-guests\n"));
    }
}
