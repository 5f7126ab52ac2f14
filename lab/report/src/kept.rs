// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a run leaves beside its trace, so that a report can be made of it again.

use anyhow::{Context, Result};
use lab_run::console::Line;
use lab_run::judge::Verdict;
use lab_run::run::Outcome;
use lab_run::scenario::{NormalWorld, Scenario, model};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// What the file is called in a run's folder.
pub const NAME: &str = "run.json";

/// A VM as its scenario has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptVm {
    /// Its client id.
    pub id: u16,
    /// What the scenario calls it.
    pub name: String,
    /// What boots in it.
    pub kernel: String,
}

/// A run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The scenario's name.
    pub name: String,
    /// What it shows.
    pub summary: String,
    /// Whether everything held; nothing if the run was interrupted.
    pub passed: Option<bool>,
    /// The CPU model.
    pub cpu: String,
    /// How many CPUs.
    pub cpus: u32,
    /// The TEE's features, if it was another one than the default.
    pub tee: String,
    /// Whether the probe was in the hypervisor's place.
    pub probe: bool,
    /// Its VMs.
    pub vms: Vec<KeptVm>,
    /// Name and version of what took part.
    pub versions: Vec<(String, String)>,
    /// What became of each expectation.
    pub verdicts: Vec<Verdict>,
    /// Everything that was said.
    pub lines: Vec<Line>,
}

impl Kept {
    /// Takes what a run that has just ended leaves.
    pub fn of(scenario: &Scenario, cpu: &str, tee: &str, versions: Vec<(String, String)>, outcome: &Outcome) -> Self {
        let vm = |(index, vm): (usize, &lab_run::scenario::Vm)| KeptVm {
            id: vm.id.and_then(|id| u16::try_from(id).ok()).unwrap_or(index as u16 + 1),
            name: vm.name.clone(),
            kernel: vm.kernel.clone().unwrap_or_default(),
        };
        Self {
            name: scenario.name.clone(),
            summary: scenario.summary.clone(),
            passed: (!outcome.interrupted).then(|| outcome.passed()),
            cpu: model(cpu).to_owned(),
            cpus: scenario.machine.cpus,
            tee: tee.to_owned(),
            probe: scenario.chain.normal_world == NormalWorld::Probe,
            vms: scenario.vms.iter().enumerate().map(vm).collect(),
            versions,
            verdicts: outcome.verdicts.clone(),
            lines: outcome.lines.clone(),
        }
    }

    /// Writes it to a run's folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(NAME);
        let text = serde_json::to_string(self).context("a run is no JSON")?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads it from a run's folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("{} is no folder of a traced run: it has no {NAME}", folder.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    /// Says PASS, FAIL, or that it was interrupted.
    pub const fn verdict(&self) -> &'static str {
        match self.passed {
            Some(true) => "PASS",
            Some(false) => "FAIL",
            None => "INTERRUPTED",
        }
    }
}
