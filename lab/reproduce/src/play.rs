// SPDX-License-Identifier: MIT OR Apache-2.0
//! One TEE, one sequence, one machine.

use super::table::{Cell, Table};
use anyhow::Result;
use lab_run::console::Line;
use lab_run::firmware::Firmware;
use lab_run::mishap;
use lab_run::plan::Plan;
use lab_run::prepare::{Kit, prepare};
use lab_run::run::run;
use lab_run::scenario::{Chain, End, NormalWorld, Scenario};
use lab_run::stack::Stack;
use lab_run::workspace::Workspace;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the report's TEE says of a VM that it accepts.
const ACCEPTED: &str = "Added guest";
/// The figure that says what became of a sequence.
const CELL: &str = "cell";

/// What sequences are played with.
pub struct Bench<'b> {
    /// Where things are.
    pub workspace: &'b Workspace,
    /// The sequences.
    pub table: &'b Table,
    /// Whose the layers are.
    pub stack: &'b Stack,
    /// The programs.
    pub firmware: &'b Firmware,
}

/// What became of a sequence.
#[derive(Debug)]
pub struct Played {
    /// In a word; `None` if neither the probe nor the TEE said.
    pub cell: Option<Cell>,
    /// If the TEE panicked, what it said from the first VM that it accepted on.
    pub last_words: Vec<Line>,
    lines: Vec<Line>,
}

impl Bench<'_> {
    /// Plays a list of steps to the TEE of this image. With `icount` the counter counts instructions.
    pub fn play(&self, name: &str, tee: &Path, list: &str, icount: bool) -> Result<Played> {
        self.play_on(name, &Kit::made_of(self.firmware).and_tee(tee), list, icount)
    }

    /// Plays a list of steps to the TEE of a kit.
    pub(crate) fn play_on(&self, name: &str, kit: &Kit, list: &str, icount: bool) -> Result<Played> {
        let mut machine = self.table.machine.clone();
        machine.icount = icount;
        let scenario = Scenario {
            name: format!("{}/{name}", self.table.name),
            summary: String::new(),
            slow: false,
            timeout: self.table.timeout,
            end: End::PowersOff,
            machine,
            chain: Chain { normal_world: NormalWorld::Probe, ..Chain::default() },
            vms: Vec::new(),
            sends: Vec::new(),
            expects: Vec::new(),
            include: Vec::new(),
            steps: Vec::new(),
            lists: BTreeMap::new(),
            buffers: BTreeMap::new(),
            script: Some(self.table.script(list)?),
            play: None,
            quotes: Vec::new(),
            left_out: Vec::new(),
            folder: PathBuf::new(),
        };
        let plan = Plan::of(scenario)?.on_stack(self.stack.clone());
        let outcome = run(&prepare(self.workspace, &plan, kit)?, &mut |_| {})?;
        Ok(Played::of(outcome.lines))
    }
}

impl Played {
    fn of(lines: Vec<Line>) -> Self {
        let mut played = Self { cell: None, last_words: Vec::new(), lines };
        if let Some(panic) = played.lines.iter().position(mishap::ends_tee) {
            let first = played.lines.iter().position(|line| line.text.contains(ACCEPTED)).unwrap_or(panic);
            // The second line of a Rust panic has nobody's name before it.
            let said = |line: &&Line| ["TEE", "?s"].contains(&line.speaker.as_str()) && !line.text.is_empty();
            played.last_words = played.lines[first..].iter().filter(said).cloned().collect();
            played.cell = Some(Cell::Panic);
        } else {
            played.cell = played.figures().iter().find(|(name, _)| name == CELL).and_then(|(_, cell)| Cell::of(*cell));
        }
        played
    }

    /// Reads what the probe printed by name.
    pub fn figures(&self) -> Vec<(String, u64)> {
        let said = self.lines.iter().filter(|line| line.speaker == "probe");
        let figures = said.filter_map(|line| line.text.strip_prefix("figure ")?.rsplit_once(' '));
        figures.filter_map(|(name, figure)| Some((name.to_owned(), figure.parse().ok()?))).collect()
    }

    /// Lists the answers that the probe printed.
    pub fn evidence(&self) -> String {
        let figures = self.figures().into_iter().filter(|(name, _)| name != CELL);
        figures.map(|(name, figure)| format!("{name} = {}", value(figure))).collect::<Vec<_>>().join(", ")
    }
}

/// Writes a number as it is read: eight letters as a text.
fn value(figure: u64) -> String {
    match std::str::from_utf8(&figure.to_le_bytes()) {
        Ok(text) if text.chars().all(|c| c.is_ascii_graphic() || c == ' ') => format!("\"{text}\""),
        _ => format!("{figure:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(said: &[(&str, &str)]) -> Played {
        let line = |(speaker, text): &(&str, &str)| Line { speaker: (*speaker).into(), text: (*text).into() };
        Played::of(said.iter().map(line).collect())
    }

    #[test]
    fn the_probe_says_what_became_of_a_sequence_and_why() {
        let played =
            played(&[("probe", "figure VM_CREATED(1) 7"), ("probe", "figure cell 1"), ("vm1", "figure cell 0")]);
        assert_eq!(played.cell, Some(Cell::Refused));
        assert_eq!(played.evidence(), "VM_CREATED(1) = 0x7");
        assert_eq!(value(u64::from_le_bytes(*b"VM 0's!!")), "\"VM 0's!!\"");
    }

    #[test]
    fn a_tee_that_panics_is_dead_whatever_was_said_before() {
        let said = [("probe", "figure cell 0"), ("TEE", "E/TC:0 0   assertion 'x' failed"), ("TEE", "Panic at y")];
        let played = played(&said);
        assert_eq!((played.cell, played.last_words.len()), (Some(Cell::Panic), 2));
        // Only the TEE itself can say so.
        assert_eq!(self::played(&[("probe", "PANIC")]).cell, None);
    }
}
