// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab run`: a scenario on CPU models, one after another.

use anyhow::Result;
use clap::{Args, ValueEnum};
use lab_run::files::Destination;
use lab_run::judge::Verdict;
use lab_run::junit;
use lab_run::plan::Plan;
use lab_run::prepare::{Kit, Prepared, prepare};
use lab_run::progress::Progress;
use lab_run::run::{Outcome, run};
use lab_run::say;
use lab_run::scenario::{NormalWorld, model};
use lab_run::screen::{Screen, print};
use lab_run::workspace::Workspace;
use lab_trace::verify::verify;
use lab_trace::{Tracing, file};
use quick_junit::TestSuite;
use shared_abi::trace::Way;
use std::path::Path;

/// What a run leaves behind beside its verdict.
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    /// Build the layers to write trace records, and keep them: in rings in memory, or as frames on the UARTs.
    #[arg(long, value_name = "WAY", num_args = 0..=1, require_equals = true, default_missing_value = "rings")]
    pub trace: Option<TraceWay>,
    /// Trace, and compare the records with QEMU's own log of exceptions.
    #[arg(long)]
    pub verify_trace: bool,
    /// Trace in real time, not in executed instructions.
    #[arg(long, requires = "trace", conflicts_with = "verify_trace")]
    pub no_icount: bool,
    /// Write the expectations with their evidence as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<Destination>,
}

/// How records leave the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TraceWay {
    /// Rings in memory that QEMU shares with the lab.
    Rings,
    /// Lines among others on the serial ports.
    Uart,
}

impl Options {
    /// Writes down for a CI system that a scenario can't be planned, and why; else an older file would be taken for
    /// this run's.
    pub fn note_unrun(&self, scenario: &Path, why: &anyhow::Error) {
        let Some(file) = &self.junit else { return };
        let name = scenario.file_stem().unwrap_or_default().to_string_lossy();
        let written = junit::file(vec![junit::unrun(&name, "?", &format!("{why:#}"))])
            .and_then(|text| file.write(text.as_bytes()));
        if let Err(error) = written {
            say!("{error:#}");
        }
    }

    /// Says how the run is traced, if that is asked for.
    pub fn tracing(&self) -> Option<Tracing> {
        (self.trace.is_some() || self.verify_trace).then(|| Tracing {
            way: if self.trace == Some(TraceWay::Uart) { Way::Frames } else { Way::Rings },
            icount: !self.no_icount,
            exceptions: self.verify_trace,
            tee: Vec::new(),
        })
    }
}

/// Runs a plan on CPU models until one fails, and prints what comes of it; says whether all passed.
pub fn run_on(
    workspace: &Workspace,
    plan: &Plan,
    cpus: &[String],
    options: &Options,
    progress: &Progress,
) -> Result<bool> {
    let mut suites = Vec::new();
    let passed = run_all(workspace, plan, cpus, progress, &mut suites);
    if let Some(file) = &options.junit {
        let ran = suites.len();
        let why = match &passed {
            Err(error) => format!("{error:#}"),
            Ok(_) => "an earlier one failed".to_owned(),
        };
        suites.extend(cpus.iter().skip(ran).map(|cpu| junit::unrun(&plan.scenario.name, model(cpu), &why)));
        file.write(junit::file(suites)?.as_bytes())?;
    }
    passed
}

fn run_all(
    workspace: &Workspace,
    plan: &Plan,
    cpus: &[String],
    progress: &Progress,
    suites: &mut Vec<TestSuite>,
) -> Result<bool> {
    let screen = Screen::new();
    let kit = Kit::of(workspace, plan, progress)?;
    progress.finish();
    for cpu in cpus {
        let prepared = prepare(workspace, &plan.clone().on_cpu(cpu), &kit)?;
        say!("{}", prepared.plan.title());
        let mut outcome = run(&prepared, &mut |line| screen.print(line))?;
        keep(&mut outcome, &prepared)?;
        say!();
        print(outcome.report());
        suites.push(junit::suite(&outcome, model(cpu)));
        if !outcome.passed() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes a run's trace into its folder, and judges it by QEMU's log if there is one.
pub fn keep(outcome: &mut Outcome, prepared: &Prepared) -> Result<()> {
    let (Some(trace), Some(traced)) = (&outcome.trace, &prepared.traced) else { return Ok(()) };
    trace.write(&prepared.folder.join(file::NAME))?;
    if let Some(log) = traced.exceptions.as_ref().filter(|_| !outcome.interrupted) {
        let hypervisor = prepared.plan.scenario.chain.normal_world == NormalWorld::Hypervisor;
        let found = verify(trace, log, hypervisor);
        let evidence = match &found {
            Ok(agreement) => agreement.to_string(),
            Err(error) => format!("{error:#}"),
        };
        outcome.verdicts.push(Verdict::new(found.is_ok(), "the trace is what QEMU saw", evidence));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use lab_run::stack::{self, Stack, Tee, UserFile};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        stack: stack::Options,
    }

    fn tracing(arguments: &[&str]) -> Option<Tracing> {
        Line::try_parse_from([&["lab"], arguments].concat()).ok().and_then(|line| line.options.tracing())
    }

    #[test]
    fn a_run_is_traced_if_anything_asks_for_it() {
        assert!(tracing(&["--junit", "x.xml"]).is_none());
        let usual = tracing(&["--trace"]).unwrap();
        assert_eq!((usual.way, usual.icount, usual.exceptions), (Way::Rings, true, false));
        assert_eq!(tracing(&["--trace=uart"]).unwrap().way, Way::Frames);
        assert!(!tracing(&["--trace", "--no-icount"]).unwrap().icount);
        assert!(tracing(&["--verify-trace"]).unwrap().exceptions);
        assert!(tracing(&["--verify-trace", "--no-icount"]).is_none());
    }

    #[test]
    fn a_tee_with_the_bug_is_traced_and_a_users_own_only_where_that_is_asked_for() {
        let line = Line::try_parse_from(["lab", "--tee=as-reported,client-id"]).unwrap();
        let stack = line.stack.stack().unwrap();
        assert_eq!(stack.tracing(line.options.tracing()).unwrap().tee, ["as-reported", "client-id"]);
        let own = Stack { tee: Tee::Image(UserFile { name: "a".into(), bytes: vec![] }), ..Stack::default() };
        assert!(own.tracing(None).is_none() && own.tracing(tracing(&["--trace"])).is_some());
        // Another monitor and another TEE go together.
        assert!(Line::try_parse_from(["lab", "--tee=a", "--flash=b"]).is_ok());
    }
}
