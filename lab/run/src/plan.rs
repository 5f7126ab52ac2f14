// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is to be run, said once: a scenario, on which CPU model, on whose layers, and how these trace.
//!
//! Whatever boots a scenario (`run`, `watch`, `report`, `shell`, `debug`, `bench`, `reproduce`, the course) describes
//! it so. What is built for it, what is written for QEMU, who judges it, types into it and listens to it follows.

use crate::scenario::{Scenario, model};
use crate::stack::{self, Names, Stack};
use anyhow::{Context, Result};
use lab_trace::Tracing;
use std::path::Path;

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What boots, what is typed, and what must be seen.
    pub scenario: Scenario,
    /// QEMU's CPU model with its properties.
    pub cpu: String,
    /// Whose the layers are.
    pub stack: Stack,
    /// How they trace, if they do.
    pub tracing: Option<Tracing>,
}

impl Plan {
    /// Plans a run on the scenario's first CPU model and the layers that it names, which don't trace unless they are
    /// looked at for that.
    pub fn of(scenario: Scenario) -> Result<Self> {
        let cpu = scenario.machine.cpu.clone();
        let stack = Stack::of(&scenario.chain, &scenario.folder)
            .with_context(|| format!("{}: its [chain] can't be made", scenario.name))?;
        Ok(Self { tracing: stack.tracing(None), scenario, cpu, stack })
    }

    /// Reads a file's scenario and plans it on one of the CPU models that it names, else on its first, and on the
    /// layers that a user asks for, which trace so.
    pub fn read(file: &Path, cpu: Option<&str>, layers: &stack::Options, tracing: Option<Tracing>) -> Result<Self> {
        let mut scenario = Scenario::read(file)?;
        let cpu = cpu.map(|name| scenario.cpu(name).map(str::to_owned)).transpose()?;
        layers.put_into(&mut scenario)?;
        let plan = Self::of(scenario)?;
        let cpu = cpu.unwrap_or(plan.cpu);
        Ok(Self { cpu, tracing: plan.stack.tracing(tracing), ..plan })
    }

    /// Takes this CPU model instead.
    pub fn on_cpu(self, cpu: &str) -> Self {
        Self { cpu: cpu.to_owned(), ..self }
    }

    /// Takes these layers instead.
    pub fn on_stack(self, stack: Stack) -> Self {
        Self { stack, ..self }
    }

    /// Has the layers trace.
    pub fn traced(self, tracing: Tracing) -> Self {
        Self { tracing: Some(tracing), ..self }
    }

    /// Leaves the steps of its probes out that are for other layers than it has.
    pub fn with_steps_for_layers(self) -> Result<Self> {
        let scenario = self.scenario.with_steps(&|only| self.stack.is_meant(only, &self.scenario.chain))?;
        Ok(Self { scenario, ..self })
    }

    /// Says in words what runs.
    pub fn names(&self) -> Names {
        self.stack.names(&self.scenario)
    }

    /// Returns what is said before it runs.
    pub fn title(&self) -> String {
        format!("{} on {}: {}", self.scenario.name, model(&self.cpu), self.scenario.summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const SCENARIO: &str = "name = 'a'\nsummary = 'b'\n[machine]\ncpu = 'max,sve=off'\nalso-on = ['cortex-a57']\n\
                            [[expect]]\nfrom = 'EL3'\n";

    #[test]
    fn a_file_is_planned_on_the_model_that_is_named_or_on_its_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        fs::write(&file, SCENARIO).unwrap();
        let cpu = |named: Option<&str>| {
            Plan::read(&file, named, &stack::Options::default(), None)
                .map(|plan| plan.cpu)
                .map_err(|error| error.to_string())
        };
        assert_eq!(cpu(None), Ok("max,sve=off".into()));
        assert_eq!(cpu(Some("max")), Ok("max,sve=off".into()));
        assert_eq!(cpu(Some("cortex-a57")), Ok("cortex-a57".into()));
        assert_eq!(cpu(Some("cortex-a53")), Err("a is not for the CPU cortex-a53; it names max, cortex-a57".into()));
    }

    #[test]
    fn what_is_planned_is_said_of_it() {
        let plan = Plan::of(Scenario::parse(SCENARIO, Path::new("a.toml")).unwrap()).unwrap();
        assert_eq!((plan.title().as_str(), plan.names()), ("a on max: b", Names::default()));
        let options = stack::Options { tee: Some("as-reported".into()), ..Default::default() };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        fs::write(&file, SCENARIO).unwrap();
        let plan = Plan::read(&file, Some("cortex-a57"), &options, None).unwrap();
        assert_eq!((plan.title().as_str(), plan.names().tee.as_str()), ("a on cortex-a57: b", "as-reported"));
        // It is looked at for what it does.
        assert_eq!(plan.tracing.unwrap().tee, ["as-reported"]);
    }
}
