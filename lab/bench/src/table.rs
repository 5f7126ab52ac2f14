// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of figures: `lab/bench/figures.toml`.

use super::level::Level;
use anyhow::{Context, Result, ensure};
use regex::Regex;
use serde::Deserialize;
use std::collections::HashSet;
use std::path::Path;

/// The file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What is run, in this order.
    #[serde(rename = "run")]
    pub runs: Vec<Run>,
}

/// A scenario and the figures that are read of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The scenario's file.
    pub scenario: String,
    /// What shows that the method holds.
    pub check: Option<Check>,
    /// The figures.
    #[serde(rename = "figure")]
    pub figures: Vec<Entry>,
}

/// A figure that is known before it is measured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its name.
    pub figure: String,
    /// What it must read.
    pub reads: f64,
}

/// A figure.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawEntry")]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it counts.
    pub unit: Unit,
    /// The name that the scenario prints it by, if that is another.
    pub figure: Option<String>,
    /// Where it stands, if the scenario doesn't print it as a figure.
    pub source: Option<Source>,
    /// The figure, of those before it, that is taken away from it.
    pub minus: Option<String>,
    /// Only its instructions at this level, by QEMU's log of them.
    pub level: Option<Level>,
    /// What that log has at this level between a VM's exits is added to what a line says.
    pub plus: Option<Level>,
    /// It must not be worse than this.
    pub goal: Option<f64>,
    /// What another system needs for the same.
    pub reference: Option<f64>,
}

impl Entry {
    /// Returns the name that the scenario prints it by.
    pub fn printed(&self) -> &str {
        self.figure.as_deref().unwrap_or(&self.name)
    }
}

/// A line that holds a figure.
#[derive(Debug, Clone)]
pub struct Source {
    /// Who says it.
    pub from: String,
    /// What it looks like.
    pub regex: Regex,
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Instructions.
    #[default]
    Instructions,
    /// Hundredths.
    Percent,
    /// Virtual machines: the more the better.
    Vms,
    /// Looks at a lock that somebody else had.
    Waits,
}

impl Unit {
    /// Says how much worse is not yet a regression, whatever the figure's size.
    pub(crate) const fn slack(self) -> f64 {
        match self {
            // Another register saved, or the order of two blocks.
            Self::Instructions => 4.0,
            // Shares of a run of a billion instructions, which meets an interrupt more or less.
            Self::Percent => 0.01,
            Self::Vms | Self::Waits => 0.0,
        }
    }

    /// Says by how much the first is worse than the second.
    pub(crate) fn worse_by(self, now: f64, before: f64) -> f64 {
        match self {
            Self::Instructions | Self::Percent | Self::Waits => now - before,
            Self::Vms => before - now,
        }
    }
}

/// An [`Entry`] as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    name: String,
    #[serde(default)]
    unit: Unit,
    figure: Option<String>,
    from: Option<String>,
    regex: Option<String>,
    minus: Option<String>,
    level: Option<Level>,
    plus: Option<Level>,
    goal: Option<f64>,
    reference: Option<f64>,
}

impl TryFrom<RawEntry> for Entry {
    type Error = String;

    fn try_from(raw: RawEntry) -> Result<Self, String> {
        let RawEntry { name, unit, figure, from, regex, minus, level, plus, goal, reference } = raw;
        let source = match (from, regex) {
            (Some(from), Some(regex)) => {
                Some(Source { from, regex: Regex::new(&regex).map_err(|error| error.to_string())? })
            }
            (None, None) => None,
            _ => return Err(format!("{name}: `from` and `regex` belong together")),
        };
        if source.is_some() && figure.is_some() {
            return Err(format!("{name}: it is a `figure`, or it matches a `regex`"));
        }
        if source.is_some() && level.is_some() {
            return Err(format!("{name}: a `level` is of a `figure`"));
        }
        if source.is_none() && plus.is_some() {
            return Err(format!("{name}: `plus` is added to what matches a `regex`"));
        }
        Ok(Self { name, unit, figure, source, minus, level, plus, goal, reference })
    }
}

impl Run {
    /// Says whether a figure of it is read from QEMU's log of instructions.
    pub(crate) fn needs_log(&self) -> bool {
        self.figures.iter().any(|entry| entry.level.is_some() || entry.plus.is_some())
    }
}

impl Table {
    /// Reads and checks the file.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", file.display()))
    }

    /// Parses and checks a table's text.
    pub fn parse(text: &str) -> Result<Self> {
        let table: Self = toml::from_str(text)?;
        let mut names = HashSet::new();
        for entry in table.entries() {
            if let Some(other) = &entry.minus {
                ensure!(names.contains(other.as_str()), "{}: no figure {other} comes before it", entry.name);
            }
            ensure!(names.insert(entry.name.as_str()), "{} is there twice", entry.name);
        }
        Ok(table)
    }

    /// Returns all figures.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.runs.iter().flat_map(|run| &run.figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(figures: &str) -> String {
        let parsed = Table::parse(&format!("[[run]]\nscenario = 's.toml'\n{figures}"));
        parsed.err().map_or_else(String::new, |error| format!("{error:#}"))
    }

    #[test]
    fn a_figure_has_one_name_and_one_source() {
        let a = "[[run.figure]]\nname = 'a'\n";
        assert_eq!(told(a), "");
        assert!(told(&format!("{a}{a}")).contains("a is there twice"));
        assert!(told(&format!("{a}from = 'HYP'")).contains("belong together"));
        assert!(told(&format!("{a}from = 'HYP'\nregex = '('")).contains("unclosed group"));
        assert!(told(&format!("{a}from = 'HYP'\nregex = 'x'\nfigure = 'b'")).contains("or it matches"));
        assert!(told(&format!("{a}from = 'HYP'\nregex = 'x'\nlevel = 'EL3'")).contains("of a `figure`"));
        assert!(told(&format!("{a}plus = 'EL3'")).contains("matches a `regex`"));
        assert!(told(&format!("{a}level = 'EL4'")).contains("EL4"));
        assert!(told(&format!("{a}gaol = 3")).contains("gaol"));
        assert!(told(&format!("{a}minus = 'b'\n[[run.figure]]\nname = 'b'")).contains("no figure b"));
    }
}
