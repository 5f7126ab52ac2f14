// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a checker boots machines with.

use super::grade::contradictions;
use super::verdict;
use anyhow::{Context, Result, ensure};
use lab_run::judge::Verdict;
use lab_run::plan::Plan;
use lab_run::prepare::{Kit, prepare};
use lab_run::progress::Progress;
use lab_run::run::{Outcome, run};
use lab_run::scenario::Scenario;
use lab_run::workspace::Workspace;
use std::cell::OnceCell;
use std::path::{Path, PathBuf};

/// An exercise under judgement.
pub struct Bench<'b> {
    /// Where things are.
    pub workspace: &'b Workspace,
    /// What is shown meanwhile.
    pub progress: &'b Progress,
    /// The exercise.
    pub number: u8,
    /// Where its files are.
    pub folder: &'b Path,
    /// Whether what the machine said is told beside the hint.
    pub numbers: bool,
    kit: OnceCell<Kit>,
}

impl<'b> Bench<'b> {
    /// Makes one for an exercise whose files are in `folder`.
    pub fn new(workspace: &'b Workspace, progress: &'b Progress, number: u8, folder: &'b Path, numbers: bool) -> Self {
        Self { workspace, progress, number, folder, numbers, kit: OnceCell::new() }
    }

    /// Returns one of the exercise's files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Boots a scenario on its first CPU model. `run` names the folder of its logs.
    pub fn boot(&self, scenario: &Scenario, run: &str) -> Result<Outcome> {
        self.boot_with(scenario, run, None)
    }

    /// Boots a scenario with another TEE, if one is given.
    pub fn boot_with(&self, scenario: &Scenario, name: &str, tee: Option<&Path>) -> Result<Outcome> {
        let kit = self.kit(scenario)?;
        self.run(scenario, name, &tee.map_or_else(|| kit.clone(), |tee| kit.clone().and_tee(tee)))
    }

    /// Boots a monitor with the same program as TEE and in the hypervisor's place.
    pub fn boot_worlds(&self, scenario: &Scenario, runtime: &Path, worlds: &Path) -> Result<Outcome> {
        let kit = self.kit(scenario)?.clone().and_tee(worlds).with_worlds(runtime, worlds);
        self.run(scenario, "worlds", &kit)
    }

    /// Returns what all machines of an exercise are made of; it is built once.
    fn kit(&self, scenario: &Scenario) -> Result<&Kit> {
        if self.kit.get().is_none() {
            let kit = Kit::of(self.workspace, &Plan::of(scenario.clone())?, self.progress)?;
            return Ok(self.kit.get_or_init(|| kit));
        }
        self.kit.get().context("the kit is gone")
    }

    fn run(&self, scenario: &Scenario, name: &str, kit: &Kit) -> Result<Outcome> {
        let mut plan = Plan::of(scenario.clone())?;
        plan.scenario.name = format!("check/{}/{name}", self.number);
        self.progress.step(&format!("booting: {name}"));
        let outcome = run(&prepare(self.workspace, &plan, kit)?, &mut |_| {})?;
        ensure!(!outcome.interrupted, "interrupted");
        Ok(outcome)
    }
}

/// Judges that a machine did what its file says; the evidence is what it did instead.
pub(super) fn holds(claim: &str, outcome: &Outcome) -> Verdict {
    verdict(outcome.passed(), claim, evidence(outcome))
}

/// Judges that a machine contradicts the file, as it must. One that does not even boot says nothing.
pub(super) fn refuted(claim: &str, outcome: &Outcome) -> Verdict {
    let contradictions: Vec<_> = contradictions(outcome).collect();
    let against = if outcome.passed() { "it holds there as well".to_owned() } else { evidence(outcome) };
    let evidence = if contradictions.is_empty() { against } else { contradictions.join("\n") };
    verdict(!contradictions.is_empty(), claim, evidence)
}

/// Lists what spoke against a run: the probe's complaints, else the expectations that did not hold.
pub(super) fn evidence(outcome: &Outcome) -> String {
    let said = |wanted: &str| {
        let lines = outcome.lines.iter().filter(|line| line.text.contains(wanted));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    if outcome.passed() {
        return said(" 0 failed");
    }
    let complaints = said("expected");
    if !complaints.is_empty() {
        return complaints;
    }
    let failed = outcome.verdicts.iter().filter(|verdict| !verdict.holds);
    failed.map(|verdict| format!("{}: {}\n", verdict.claim, verdict.evidence)).collect()
}
