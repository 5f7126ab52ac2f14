// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab judge`: what becomes of somebody else's TEE, or monitor, under the report's calls and everything hostile.
//!
//! Every scenario is played to it and comes to a [`Row`]: it holds, answers otherwise, or dies. What it answers
//! otherwise may be accepted ([`Accepted`]), in a file that the user keeps. The way in is [`assay`].
//!
//! | module | what |
//! |---|---|
//! | `row` | one scenario, and what became of it |
//! | `accepted` | what the user has accepted, as a file |
//! | `page` | all of it as HTML |
//! | `junit` | all of it for a CI system |
#![forbid(unsafe_code)]
// They panic where nobody reads any more; `lab_run::screen` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![deny(unreachable_pub)]

mod accepted;
mod junit;
mod page;
mod row;

pub use accepted::Accepted;
pub use row::{Became, Row};

use anyhow::{Context, Result, ensure};
use lab_run::guests::{Linux, linux};
use lab_run::plan::Plan;
use lab_run::prepare::{Kit, prepare};
use lab_run::progress::Progress;
use lab_run::run::run;
use lab_run::scenario::Scenario;
use lab_run::stack::Stack;
use lab_run::workspace::Workspace;
use std::fmt;
use std::fs;

/// The scenario of the report itself; what is hostile besides begins with the other word.
const REPORT: &str = "second-vm";
const HOSTILE: &str = "hostile-";

/// What a stack came to.
#[derive(Debug, Clone)]
pub struct Assay {
    /// What the stack is called.
    pub name: String,
    /// A row for each scenario.
    pub rows: Vec<Row>,
}

/// Plays every scenario that could be the stack's end to it, each for so many seconds at most. Says what came of each
/// as it comes.
pub fn assay(
    workspace: &Workspace,
    stack: &Stack,
    limit: u64,
    accepted: &Accepted,
    progress: &Progress,
    said: &mut dyn FnMut(&Row),
) -> Result<Assay> {
    let scenarios = scenarios(workspace)?;
    let guests = scenarios.iter().map(linux).max().unwrap_or(Linux::None);
    let kit = Kit::whole(workspace, guests, progress)?;
    let mut rows = Vec::new();
    for mut scenario in scenarios {
        progress.step(&format!("{}: {}", stack.label(), scenario.name));
        scenario.timeout = scenario.timeout.min(limit);
        let row = play(workspace, &scenario, stack, &kit, progress);
        let row = row.unwrap_or_else(|error| Row::unrun(&scenario, &format!("{error:#}")));
        let row = row.held_against(accepted);
        said(&row);
        rows.push(row);
    }
    Ok(Assay { name: stack.label(), rows })
}

fn play(workspace: &Workspace, scenario: &Scenario, stack: &Stack, kit: &Kit, progress: &Progress) -> Result<Row> {
    let plan = Plan::of(scenario.clone())?.on_stack(stack.clone());
    plan.stack.check(scenario)?;
    let kit = kit.clone().with_layers_of(workspace, &plan, progress)?;
    Ok(Row::of(scenario, &run(&prepare(workspace, &plan, &kit)?, &mut |_| {})?))
}

/// Reads the report's scenario, and the hostile ones in the order of their names.
fn scenarios(workspace: &Workspace) -> Result<Vec<Scenario>> {
    let folder = workspace.scenarios();
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .filter(|path| path.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with(HOSTILE)))
        .collect();
    files.sort();
    ensure!(!files.is_empty(), "{} has nothing hostile", folder.display());
    files.insert(0, folder.join(REPORT).with_extension("toml"));
    files.iter().map(|file| Scenario::read(file)).collect()
}

impl Assay {
    /// Says whether everything ran, and came to nothing that isn't accepted.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(Row::is_fine)
    }

    /// Returns what is to be accepted for this to pass, beside what is.
    pub fn accepting_all(&self, accepted: Accepted) -> Accepted {
        accepted.and(Accepted::of(&self.rows))
    }

    /// Writes the page.
    pub fn page(&self) -> String {
        page::page(self)
    }

    /// Writes it for a CI system.
    pub fn junit(&self) -> Result<String> {
        junit::junit(self)
    }

    fn count(&self, became: impl Fn(&Became) -> bool) -> usize {
        self.rows.iter().filter(|row| became(&row.became)).count()
    }
}

/// Counts rows in words, as `3 hold`; nothing if there is none.
fn counted(count: usize, words: &str) -> Option<String> {
    (count != 0).then(|| format!("{count} {words}"))
}

impl fmt::Display for Assay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            counted(self.count(|became| *became == Became::Holds), "hold"),
            counted(self.count(|became| matches!(became, Became::Otherwise)), "answer otherwise"),
            counted(self.count(|became| matches!(became, Became::Dies(_))), "die"),
            counted(self.count(|became| matches!(became, Became::Unrun(_))), "did not run"),
            counted(self.rows.iter().filter(|row| row.accepted).count(), "of these accepted"),
        ];
        let word = if self.passed() { "PASS" } else { "FAIL" };
        let counts: Vec<_> = counts.into_iter().flatten().collect();
        writeln!(f, "{word} judge {}: {}", self.name, counts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_comes_first_and_everything_hostile_after_it() {
        let names: Vec<_> =
            scenarios(&Workspace::locate().unwrap()).unwrap().into_iter().map(|scenario| scenario.name).collect();
        assert_eq!(names[0], REPORT);
        assert!(names.len() > 5 && names[1..].iter().all(|name| name.starts_with(HOSTILE)), "{names:?}");
    }

    #[test]
    fn what_passes_is_all_that_ran_and_is_fine() {
        let row = |became: Became, accepted| Row {
            name: "a".into(),
            meaning: String::new(),
            became,
            differences: Vec::new(),
            last_words: Vec::new(),
            seconds: 1.0,
            accepted,
        };
        let said = |rows: Vec<Row>| Assay { name: "tee.bin".into(), rows }.to_string();
        assert_eq!(said(vec![row(Became::Holds, false)]), "PASS judge tee.bin: 1 hold\n");
        let rows = vec![row(Became::Holds, false), row(Became::Otherwise, true)];
        assert_eq!(said(rows), "PASS judge tee.bin: 1 hold, 1 answer otherwise, 1 of these accepted\n");
        assert_eq!(said(vec![row(Became::Dies("x".into()), false)]), "FAIL judge tee.bin: 1 die\n");
        assert_eq!(
            said(vec![row(Became::Unrun("x".into()), true)]),
            "FAIL judge tee.bin: 1 did not run, 1 of these accepted\n"
        );
    }
}
