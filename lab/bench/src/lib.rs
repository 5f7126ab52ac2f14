// SPDX-License-Identifier: MIT OR Apache-2.0
//! Figures that do not depend on the host: instructions, counted by the machine itself.
//!
//! Under `-icount shift=0,sleep=off` runs repeat exactly; what samples differ in is the state that they meet. The
//! [`Table`] says which scenarios are run, which figures are read of them and what each may be; the [`Report`] compares
//! them with that and with those of an earlier day. The way in is [`bench()`].
//!
//! | module | what |
//! |---|---|
//! | `table` | which figures there are: `lab/bench/figures.toml` |
//! | `measured` | a figure, out of what the machine said |
//! | [`split`] | how many of the instructions are whose, out of QEMU's log |
//! | `level` | the exception levels that instructions are counted at |
//! | `other` | the same figures of layers that are not ours |
//! | `report` | figures beside goals and an earlier day's |
#![forbid(unsafe_code)]
// They panic where nobody reads any more; `lab_run::screen` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![deny(unreachable_pub)]

mod level;
mod measured;
mod other;
mod report;
pub mod split;
mod table;

pub use level::Level;
pub use measured::Measured;
pub use other::Found;
pub use report::{Figure, Report, Row, Verdict};
pub use split::Split;
pub use table::{Check, Entry, Run, Source, Table, Unit};

use anyhow::{Context, Result, bail, ensure};
use lab_run::console::Line;
use lab_run::guests::{Linux, linux};
use lab_run::plan::Plan;
use lab_run::prepare::{Kit, prepare};
use lab_run::progress::Progress;
use lab_run::run::run;
use lab_run::scenario::{NormalWorld, Scenario};
use lab_run::screen::print;
use lab_run::stack::{self, Stack};
use lab_run::workspace::Workspace;
use split::Logged;
use std::collections::HashMap;
use std::fs;

/// What is measured.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Also what takes long.
    pub slow: bool,
    /// Layers that are not ours, to be measured beside them.
    pub stack: stack::Options,
    /// Where the instructions of each figure go.
    pub split: bool,
}

/// Runs the benchmarks, prints their figures and writes `bench.json`; says whether every goal is met and nothing got
/// worse.
pub fn bench(workspace: &Workspace, options: &Options, progress: &Progress) -> Result<bool> {
    let report = measure(workspace, options, progress)?;
    progress.finish();
    print(&report);
    let file = workspace.target().join("bench.json");
    fs::write(&file, report.json()?).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(report.passed())
}

/// Measures what the table names; without `slow`, only what no slow scenario prints.
pub fn measure(workspace: &Workspace, options: &Options, progress: &Progress) -> Result<Report> {
    let other = Some(options.stack.stack()?).filter(|stack| !stack.is_ours());
    let folder = workspace.root().join("lab/bench");
    let table = Table::read(&folder.join("figures.toml"))?;
    let baseline = report::read_baseline(&folder.join("baseline.json"))?;
    let mut runs = Vec::new();
    for run in &table.runs {
        let scenario = Scenario::read(&workspace.scenarios().join(&run.scenario))?;
        if options.slow || !scenario.slow {
            runs.push((run, scenario));
        }
    }
    let linux = runs.iter().map(|(_, scenario)| linux(scenario)).max().unwrap_or(Linux::None);
    let kit = Kit::whole(workspace, linux, progress)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut splits = Vec::new();
    for (run, scenario) in &runs {
        progress.step(&format!("counting instructions: {}", scenario.name));
        let lines = play(workspace, run, scenario, &kit)?;
        let mut logged = Logged::default();
        if scenario.machine.icount && (options.split || run.needs_log()) {
            progress.step(&format!("logging them: {}", scenario.name));
            logged = split::log(workspace, run, scenario, &kit, &lines, options.split)?;
        }
        let mut theirs = HashMap::new();
        if let Some(stack) = &other
            && scenario.chain.normal_world == NormalWorld::Probe
            && scenario.machine.icount
            && scenario.chain.images.is_none()
        {
            progress.step(&format!("the same of {}: {}", stack.label(), scenario.name));
            theirs = other::figures(workspace, run, scenario, &kit, stack, &lines, progress)?;
        }
        for entry in &run.figures {
            let mut measured = figure(entry, &lines, &logged)
                .with_context(|| format!("{} says nothing of {}", scenario.name, entry.name))?;
            if let Some(other) = &entry.minus {
                let base = rows.iter().find(|row| row.entry.name == *other).context("`minus` names an earlier one")?;
                measured = measured.minus(base.measured.median);
            }
            let before = baseline.get(&entry.name).copied();
            rows.push(Row { entry: entry.clone(), measured, before, other: theirs.remove(&entry.name) });
        }
        if options.split {
            splits.extend(logged.splits);
            splits.extend(logged.exits);
        }
    }
    Ok(Report { rows, other: other.as_ref().map(Stack::label), splits })
}

/// Works one figure out from what was said and what was logged.
fn figure(entry: &Entry, lines: &[Line], logged: &Logged) -> Option<Measured> {
    match (entry.level, entry.plus, &entry.source) {
        (Some(level), ..) => logged.at(entry.printed(), level),
        (None, Some(level), Some(source)) => measured::matched(lines, source, logged.between_exits(level)? as f64),
        _ => measured::of(lines, entry),
    }
}

/// Runs one scenario and returns all that was said.
fn play(workspace: &Workspace, of: &Run, scenario: &Scenario, kit: &Kit) -> Result<Vec<Line>> {
    let outcome = run(&prepare(workspace, &Plan::of(scenario.clone())?, kit)?, &mut |_| {})?;
    if !outcome.passed() {
        bail!("the benchmark's scenario fails:\n{}", outcome.report());
    }
    // A method that cannot measure what is known measures nothing.
    if let Some(check) = &of.check {
        let read = measured::printed(&outcome.lines, &check.figure)
            .with_context(|| format!("{} prints no figure {}", scenario.name, check.figure))?;
        ensure!(
            (read.min, read.max) == (check.reads, check.reads),
            "{}: {} reads {} to {} instead of {}: the method does not count instructions",
            scenario.name,
            check.figure,
            read.min,
            read.max,
            check.reads
        );
    }
    Ok(outcome.lines)
}
