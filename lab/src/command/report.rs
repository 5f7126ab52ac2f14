// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab report`: a scenario, traced, and what happened in it as one HTML file.

use super::run::keep;
use anyhow::{Context, Result};
use clap::Args;
use lab_report::kept::Kept;
use lab_report::page::page;
use lab_report::perfetto::{self, Timeline};
use lab_report::story::Story;
use lab_run::files::Destination;
use lab_run::plan::Plan;
use lab_run::prepare::ready;
use lab_run::progress::Progress;
use lab_run::qemu;
use lab_run::run::run;
use lab_run::say;
use lab_run::screen::{Screen, print};
use lab_run::stack;
use lab_run::workspace::Workspace;
use lab_trace::{Trace, Tracing, file};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the report is called in a run's folder.
const NAME: &str = "report.html";

/// What to report, and where to.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The scenario file.
    #[arg(required_unless_present = "from")]
    pub scenario: Option<PathBuf>,
    /// One of the CPU models that the scenario names; else its first.
    #[arg(long)]
    pub cpu: Option<String>,
    /// Layers of a user's own.
    #[command(flatten)]
    pub stack: stack::Options,
    /// Boot nothing: report what a traced run has left in this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["scenario", "cpu", "tee", "monitor", "normal_world"])]
    pub from: Option<PathBuf>,
    /// The file to write; else report.html in the run's folder.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<Destination>,
    /// Write the run as Chrome's trace events, too: open it in ui.perfetto.dev.
    #[arg(long, value_name = "FILE")]
    pub perfetto: Option<Destination>,
}

/// Runs the scenario unless there is a run already, and writes its report; says whether the run passed.
pub fn report(workspace: &Workspace, options: &Options, progress: &Progress) -> Result<bool> {
    let (kept, trace, folder) = match (&options.scenario, &options.from) {
        (_, Some(folder)) => (Kept::read(folder)?, Trace::read(&folder.join(file::NAME))?, folder.clone()),
        (Some(scenario), None) => traced(workspace, scenario, options, progress)?,
        (None, None) => anyhow::bail!("nothing to report"),
    };
    let mut timeline = Timeline::default();
    let story = Story::of(&trace, |stretch| timeline.hear(stretch));
    let output = options.output.clone().unwrap_or_else(|| Destination::file(folder.join(NAME)));
    output.write(page(&kept, &trace, &story).as_bytes())?;
    if let Some(file) = &options.perfetto {
        file.write(perfetto::json(&kept, &trace, &story, timeline).to_string().as_bytes())?;
        say!("Perfetto: {file}");
    }
    say!("report: {output}");
    Ok(kept.passed == Some(true))
}

/// Runs a scenario with layers that trace.
fn traced(
    workspace: &Workspace,
    path: &Path,
    options: &Options,
    progress: &Progress,
) -> Result<(Kept, Trace, PathBuf)> {
    let screen = Screen::new();
    let plan = Plan::read(path, options.cpu.as_deref(), &options.stack, Some(Tracing::default()))?;
    let prepared = ready(workspace, &plan, progress)?;
    say!("{}", plan.title());
    let mut outcome = run(&prepared, &mut |line| screen.print(line))?;
    keep(&mut outcome, &prepared)?;
    say!();
    print(outcome.report());
    let tee = if plan.stack.is_ours() { String::new() } else { plan.names().tee };
    let kept = Kept::of(&plan.scenario, &plan.cpu, &tee, versions(workspace), &outcome);
    kept.write(&prepared.folder)?;
    let trace = outcome.trace.context("the layers of this scenario do not trace")?;
    Ok((kept, trace, prepared.folder.to_path_buf()))
}

/// Lists what took part, by name and version.
fn versions(workspace: &Workspace) -> Vec<(String, String)> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(workspace.root()).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let mut version = env!("CARGO_PKG_VERSION").to_owned();
    if let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) {
        let changed =
            git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
        version += &format!(", {commit}{}", if changed { " with changes" } else { "" });
    }
    let mut versions = vec![("Triptych".to_owned(), version)];
    if let Ok(line) = qemu::check() {
        let number = line.split("version ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or(&line);
        versions.push(("QEMU".to_owned(), number.to_owned()));
    }
    versions
}
