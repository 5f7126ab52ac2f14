// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file of the matrix: which TEEs, which sequences, and what must become of each.

use anyhow::{Context, Result};
use lab_run::scenario::{Error, Hardware, Size};
use lab_script::source::RawSteps;
use lab_script::{Ram, Source, Target, compile};
use serde::Deserialize;
use shared_abi::layout::DRAM_BASE;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// The file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Table {
    /// Its name: the last line's.
    pub name: String,
    /// What it shows, in a sentence.
    pub summary: String,
    /// Seconds after which a TEE that says nothing counts as hanging.
    pub timeout: u64,
    /// The machine.
    #[serde(default)]
    pub machine: Hardware,
    /// The list of steps that measures what calls cost.
    pub costs: String,
    /// The TEEs: the matrix's columns.
    #[serde(rename = "tee")]
    pub tees: Vec<Tee>,
    /// The sequences: its rows.
    #[serde(rename = "sequence")]
    pub sequences: Vec<Sequence>,
    /// Lists of steps by name.
    pub steps: BTreeMap<String, RawSteps>,
    /// Memory of the probe's own, by name.
    #[serde(default)]
    pub buffers: BTreeMap<String, Spanned<Size>>,
    #[serde(skip)]
    text: String,
    #[serde(skip)]
    file: PathBuf,
}

/// A TEE.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tee {
    /// What it is called.
    pub name: String,
    /// The features it is built with; none for the default one.
    #[serde(default)]
    pub features: Vec<String>,
}

/// A sequence of calls.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sequence {
    /// What it is, in a few words.
    pub name: String,
    /// Its list of steps.
    pub play: String,
    /// What must become of it, by TEE.
    pub cells: BTreeMap<String, Cell>,
    /// What the TEE must say if it panics.
    #[serde(default)]
    pub panic: Vec<String>,
}

/// What became of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cell {
    /// The TEE is dead.
    Panic,
    /// It lives, but served what it must not serve, or showed one VM another's data.
    WrongButAlive,
    /// It answered with an error.
    Refused,
    /// It did what was asked, for whom it was asked.
    Correct,
    /// It has nothing of the kind that the sequence is about.
    DoesNotApply,
}

impl Cell {
    /// Says it as the matrix prints it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::WrongButAlive => "wrong but alive",
            Self::Refused => "refused",
            Self::Correct => "correct",
            Self::DoesNotApply => "does not apply",
        }
    }

    /// Returns the cell of the number that a sequence's steps print as the figure `cell`.
    pub const fn of(figure: u64) -> Option<Self> {
        match figure {
            0 => Some(Self::Correct),
            1 => Some(Self::Refused),
            2 => Some(Self::WrongButAlive),
            4 => Some(Self::DoesNotApply),
            _ => None,
        }
    }

    /// Says whether a TEE that nothing is recorded of may answer so.
    pub(crate) const fn is_safe(self) -> bool {
        matches!(self, Self::Refused | Self::Correct | Self::DoesNotApply)
    }
}

impl Table {
    /// Reads and checks the file; every list of steps is compiled once for that.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(text, file)
    }

    /// Parses and checks a table's text; `file` is for messages.
    pub fn parse(text: String, file: &Path) -> Result<Self> {
        let mut table: Self = toml::from_str(&text).map_err(|error| Error::from_toml(file, &text, &error))?;
        (table.text, table.file) = (text, file.to_path_buf());
        for sequence in &table.sequences {
            let mut tees: Vec<_> = table.tees.iter().map(|tee| &tee.name).collect();
            tees.sort();
            if !tees.into_iter().eq(sequence.cells.keys()) {
                let message = format!("the cells of \"{}\" are not those of the TEEs", sequence.name);
                return Err(table.error(0..0, message, None).into());
            }
            table.script(&sequence.play)?;
        }
        table.script(&table.costs)?;
        Ok(table)
    }

    /// Keeps the sequences, for one TEE that nothing is recorded of.
    pub(crate) fn of_one(self, tee: &str) -> Self {
        let sequences = self.sequences.into_iter().map(|sequence| Sequence { cells: BTreeMap::new(), ..sequence });
        let tees = vec![Tee { name: tee.to_owned(), features: Vec::new() }];
        Self { tees, sequences: sequences.collect(), ..self }
    }

    /// Compiles what the probe plays for a list of steps; it switches the machine off afterwards.
    pub fn script(&self, list: &str) -> Result<Vec<u8>> {
        static NOTHING: RawSteps = Vec::new();
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let source =
            Source { name: &name, text: &self.text, main: &NOTHING, lists: &self.steps, buffers: &self.buffers };
        let ram = Ram { base: DRAM_BASE, end: DRAM_BASE + self.machine.memory.0 };
        let script = compile(&[source], Some(list), &Target { ram, power_off: true, meant: &|_| true });
        Ok(script.map_err(|mistake| self.error(mistake.span, mistake.message, mistake.nearest))?.bytes)
    }

    fn error(&self, span: std::ops::Range<usize>, message: String, nearest: Option<String>) -> Error {
        Error::at(&self.file, &self.text, span, message, nearest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = 'x'\nsummary = 'y'\ntimeout = 1\ncosts = 'c'\n[[tee]]\nname = 'default'\n\
                        [[sequence]]\nname = 's'\nplay = 'c'\ncells.default = 'correct'\n\
                        [[steps.c]]\nsmc = 'PSCI_VERSION'\n";

    fn told(from: &str, to: &str) -> String {
        let parsed = Table::parse(GOOD.replace(from, to), Path::new("t.toml"));
        parsed.err().map_or_else(String::new, |error| format!("{error:#}"))
    }

    #[test]
    fn every_tee_has_a_cell_of_every_sequence_and_every_list_is_there() {
        assert_eq!(told("", ""), "");
        assert!(told("cells.default", "cells.other").contains("not those of the TEEs"));
        assert!(told("'correct'", "'corect'").contains("correct"));
        assert!(told("play = 'c'", "play = 'd'").contains("there is no list `d`"));
        assert!(told("PSCI_VERSION", "PSCI_VERSON").contains("PSCI_VERSION"));
    }
}
