// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs a scenario on what is built once for all of them.

use anyhow::{Result, anyhow};
use lab_run::guests::{Linux, linux};
use lab_run::plan::Plan;
use lab_run::prepare::{Kit, prepare};
use lab_run::progress::Progress;
use lab_run::run::run;
use lab_run::scenario::Scenario;
use lab_run::workspace::Workspace;
use libtest_mimic::Failed;
use std::sync::OnceLock;

/// How the layers are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layers {
    /// As the machine boots them.
    Usual,
    /// With overflow checks and debug assertions.
    Checked,
}

/// Builds everything once, and fetches Linux only when the first test needs it.
pub fn kit(linux: Linux, layers: Layers) -> Result<&'static Kit> {
    static KITS: [OnceLock<Result<Kit, String>>; 6] = [const { OnceLock::new() }; 6];
    let build = || {
        let (workspace, progress) = (Workspace::locate()?, Progress::silent());
        let kit = Kit::whole(&workspace, linux, &progress)?;
        if layers == Layers::Checked { kit.checked(&workspace, &progress) } else { Ok(kit) }
    };
    let kit = &KITS[linux as usize + 3 * usize::from(layers == Layers::Checked)];
    let kit = kit.get_or_init(|| build().map_err(|error: anyhow::Error| format!("{error:#}")));
    kit.as_ref().map_err(|error| anyhow!("{error}"))
}

/// Runs one scenario; its report is the failure's message.
pub fn judge(scenario: &Scenario, cpu: &str, layers: Layers) -> Result<(), Failed> {
    let outcome = (|| {
        let plan = Plan::of(scenario.clone())?.on_cpu(cpu);
        let workspace = Workspace::locate()?;
        let kit = match plan.tracing {
            // Built for this one alone.
            Some(_) => Kit::of(&workspace, &plan, &Progress::silent())?,
            None => kit(linux(scenario), layers)?.clone().with_layers_of(&workspace, &plan, &Progress::silent())?,
        };
        run(&prepare(&workspace, &plan, &kit)?, &mut |_| {})
    })();
    match outcome {
        Ok(outcome) if outcome.passed() => Ok(()),
        Ok(outcome) => Err(Failed::from(outcome.report())),
        Err(error) => Err(Failed::from(format!("{error:#}"))),
    }
}
