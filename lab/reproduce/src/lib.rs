// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab reproduce`: the reported bug in the TEE that has it, and what each remedy alone makes of it.
//!
//! [`table`] is what the file `scenarios/reproduce/matrix.toml` says: TEEs, sequences, and the cell that each pair must
//! come to. [`play`] boots one TEE with the probe in the hypervisor's place and sees what becomes of one sequence.
#![forbid(unsafe_code)]
// They panic where nobody reads any more; `lab_run::screen` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![deny(unreachable_pub)]

pub mod play;
pub mod table;

use anyhow::{Result, bail};
use lab_run::firmware::{Firmware, Program, Variant};
use lab_run::judge::Verdict;
use lab_run::junit;
use lab_run::machine::interrupted;
use lab_run::prepare::Kit;
use lab_run::progress::Progress;
use lab_run::run::Outcome;
use lab_run::scenario::{Chain, NormalWorld, model};
use lab_run::stack::{Names, Stack};
use lab_run::workspace::Workspace;
use play::{Bench, Played};
use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::Ordering;
use table::{Cell, Table};

/// Everything that a run of the matrix came to.
#[derive(Debug)]
pub struct Matrix {
    /// What the file says.
    table: Table,
    /// By sequence, then by TEE.
    played: Vec<Vec<Played>>,
    /// By TEE, of the list that measures.
    costs: Vec<Vec<(String, u64)>>,
}

/// Builds the TEEs that a table names, in its order.
pub fn build(workspace: &Workspace, table: &Table, progress: &Progress) -> Result<(Firmware, Vec<Variant>)> {
    let firmware =
        Firmware::build(workspace, &[Program::Boot, Program::Runtime, Program::Tee, Program::Probe], progress)?;
    let mut images = Vec::new();
    for tee in &table.tees {
        let features: Vec<_> = tee.features.iter().map(String::as_str).collect();
        images.push(match features.as_slice() {
            [] => Variant { elf: firmware.elf(Program::Tee), image: firmware.image(Program::Tee) },
            features => firmware.build_variant(workspace, Program::Tee, &tee.name, features, progress)?,
        });
    }
    Ok((firmware, images))
}

/// Builds every TEE and plays every sequence to each; with layers of a user's own, only to those.
pub fn reproduce(workspace: &Workspace, stack: &Stack, progress: &Progress) -> Result<Matrix> {
    let file = workspace.scenarios().join("reproduce/matrix.toml");
    let mut table = Table::read(&file)?;
    let kits: Vec<Kit> = if stack.is_ours() {
        let (firmware, images) = build(workspace, &table, progress)?;
        images.iter().map(|image| Kit::made_of(&firmware).and_tee(&image.image)).collect()
    } else {
        let chain = Chain { normal_world: NormalWorld::Probe, ..Chain::default() };
        let kit = Kit::for_flash(stack, workspace, &chain, Path::new(""), progress)?;
        table = table.of_one(&stack.label());
        vec![kit]
    };
    let Some(first) = kits.first() else { bail!("{} names no TEE", file.display()) };
    let bench = Bench { workspace, table: &table, stack, firmware: first.firmware() };
    let mut played = Vec::new();
    for sequence in &table.sequences {
        let mut row = Vec::new();
        for (tee, kit) in table.tees.iter().zip(&kits) {
            progress.step(&format!("{}: {}", tee.name, sequence.name));
            row.push(bench.play_on(&format!("{}/{}", sequence.play, tee.name), kit, &sequence.play, false)?);
            if interrupted().load(Ordering::Relaxed) {
                bail!("interrupted");
            }
        }
        played.push(row);
    }
    let mut costs = Vec::new();
    for (tee, kit) in table.tees.iter().zip(&kits) {
        progress.step(&format!("{}: instructions", tee.name));
        costs.push(bench.play_on(&format!("{}/{}", table.costs, tee.name), kit, &table.costs, true)?.figures());
    }
    Ok(Matrix { table, played, costs })
}

impl Matrix {
    /// Says whether every cell is as recorded.
    pub fn passed(&self) -> bool {
        self.differences().is_empty()
    }

    /// Returns the TEEs' names: the columns.
    pub fn tees(&self) -> impl Iterator<Item = &str> {
        self.table.tees.iter().map(|tee| tee.name.as_str())
    }

    /// Returns the sequences' names, and what became of each under each TEE.
    pub fn rows(&self) -> impl Iterator<Item = (&str, Vec<Option<Cell>>)> {
        let rows = self.table.sequences.iter().zip(&self.played);
        rows.map(|(sequence, row)| (sequence.name.as_str(), row.iter().map(|played| played.cell).collect()))
    }

    /// Says whether nothing is recorded of its TEE.
    fn is_foreign(&self) -> bool {
        self.table.sequences.iter().all(|sequence| sequence.cells.is_empty())
    }

    fn cells(&self) -> impl Iterator<Item = (&table::Sequence, &table::Tee, &Played)> {
        let rows = self.table.sequences.iter().zip(&self.played);
        rows.flat_map(|(sequence, row)| {
            self.table.tees.iter().zip(row).map(move |(tee, played)| (sequence, tee, played))
        })
    }

    /// Says what is wrong with a cell, if anything is: that it is not as recorded, or not safe where nothing is.
    fn fault(sequence: &table::Sequence, tee: &table::Tee, played: &Played) -> Option<String> {
        let came = played.cell.map_or("no answer", Cell::words);
        let Some(recorded) = sequence.cells.get(&tee.name).copied() else {
            return (!played.cell.is_some_and(Cell::is_safe)).then(|| came.to_owned());
        };
        if played.cell != Some(recorded) {
            return Some(format!("{came}, recorded is {}", recorded.words()));
        }
        let unsaid = |line: &&String| !played.last_words.iter().any(|said| said.text.contains(line.as_str()));
        let unsaid = sequence.panic.iter().find(unsaid).filter(|_| recorded == Cell::Panic)?;
        Some(format!("the TEE does not say \"{unsaid}\""))
    }

    /// Says in words which cells are not as they should be.
    fn differences(&self) -> Vec<String> {
        let faults = self.cells().filter_map(|(sequence, tee, played)| {
            let fault = Self::fault(sequence, tee, played)?;
            Some(format!("{}, {}: {fault}", tee.name, sequence.name))
        });
        faults.collect()
    }

    /// Writes every cell as JUnit XML: a suite for each TEE.
    pub fn junit(&self) -> Result<String> {
        let suite = |tee: &table::Tee| {
            let cells = self.cells().filter(|(_, of, _)| of.name == tee.name);
            let verdicts = cells.map(|(sequence, tee, played)| {
                let fault = Self::fault(sequence, tee, played);
                let became = played.cell.map_or("no answer", Cell::words);
                let evidence = format!("{}; {}", fault.as_deref().unwrap_or(became), played.evidence());
                let judged = played.cell != Some(Cell::DoesNotApply);
                Verdict { judged, ..Verdict::new(fault.is_none(), sequence.name.as_str(), evidence) }
            });
            let names = Names { tee: tee.name.clone(), normal_world: "probe".into(), ..Names::default() };
            let outcome =
                Outcome { name: self.table.name.clone(), verdicts: verdicts.collect(), names, ..Outcome::default() };
            junit::suite(&outcome, model(&self.table.machine.cpu))
        };
        junit::file(self.table.tees.iter().map(suite).collect())
    }

    /// Writes the panic's own log, the matrix, its evidence, what the remedies cost, and the verdict.
    pub fn report(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        for (sequence, tee, played) in self.cells().filter(|(_, _, played)| played.cell == Some(Cell::Panic)) {
            let _ = writeln!(text, "{} stops at \"{}\":", tee.name, sequence.name);
            for line in &played.last_words {
                let _ = writeln!(text, "    {line}");
            }
        }
        let _ = write!(text, "\n{}", self.cells_table());
        let _ = writeln!(text, "\nwhat the calls of a sequence answered, where the TEE lived:");
        for (sequence, row) in self.table.sequences.iter().zip(&self.played) {
            let _ = writeln!(text, "  {}", sequence.name);
            for (tee, played) in self.table.tees.iter().zip(row) {
                let evidence = played.evidence();
                if !evidence.is_empty() {
                    let _ = writeln!(text, "    {:18} {evidence}", tee.name);
                }
            }
        }
        let _ = writeln!(text, "\n{}", self.costs_table());
        let differences = self.differences();
        for difference in &differences {
            let _ = writeln!(text, "FAIL  {difference}");
        }
        let word = if differences.is_empty() { "PASS" } else { "FAIL" };
        let on = self.table.tees.first().filter(|_| self.is_foreign()).map_or("", |tee| tee.name.as_str());
        let _ = writeln!(text, "{}", format!("{word} {} {on}", self.table.name).trim_end());
        text
    }

    /// Writes what became of each sequence under each TEE.
    pub fn cells_table(&self) -> String {
        let names = self.table.sequences.iter().map(|sequence| sequence.name.len());
        let width = names.max().unwrap_or(0);
        let mut text = format!("{:width$}", "sequence");
        for tee in &self.table.tees {
            let _ = write!(text, "  {:17}", tee.name);
        }
        for (sequence, row) in self.table.sequences.iter().zip(&self.played) {
            let _ = write!(text, "\n{:width$}", sequence.name);
            for played in row {
                let _ = write!(text, "  {:17}", played.cell.map_or("no answer", Cell::words));
            }
        }
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// Writes the instructions from the probe's SMC to its return, for each TEE.
    pub fn costs_table(&self) -> String {
        let Some(names) = self.costs.first() else { return String::new() };
        let mut text = format!("{:33}", "instructions, there and back");
        for tee in &self.table.tees {
            let _ = write!(text, "{:>18}", tee.name);
        }
        text.push('\n');
        for (name, _) in names {
            let _ = write!(text, "{name:33}");
            for tee in &self.table.tees {
                let cost = self.cost(&tee.name, name).map_or("-".to_owned(), |cost| cost.to_string());
                let _ = write!(text, "{cost:>18}");
            }
            text.push('\n');
        }
        text
    }

    /// Says what a call costs under a TEE.
    pub fn cost(&self, tee: &str, call: &str) -> Option<u64> {
        let of = self.table.tees.iter().position(|named| named.name == tee)?;
        self.costs.get(of)?.iter().find(|(name, _)| name == call).map(|(_, cost)| *cost)
    }
}
