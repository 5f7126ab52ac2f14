//! `lab run`: a scenario on CPU models, one after another.

use crate::judge::Verdict;
use crate::junit;
use crate::output;
use crate::prepare::{Kit, Prepared, Tracing, prepare};
use crate::progress::Progress;
use crate::run::{Outcome, run};
use crate::say;
use crate::scenario::{NormalWorld, Scenario, model};
use crate::screen::{Screen, print};
use crate::trace::file;
use crate::trace::verify::verify;
use crate::workspace::Workspace;
use anyhow::Result;
use clap::{Args, ValueEnum};
use shared_abi::trace::Way;
use std::path::PathBuf;

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
    /// Trace a TEE that is built with these features: as-reported, and with it client-id, pristine-template or fallible-pool.
    #[arg(long, value_name = "FEATURES", value_delimiter = ',')]
    pub tee: Vec<String>,
    /// Write the expectations with their evidence as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
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
    /// How the run is traced, if it is.
    pub fn tracing(&self) -> Option<Tracing> {
        if self.trace.is_none() && !self.verify_trace && self.tee.is_empty() {
            return None;
        }
        Some(Tracing {
            way: if self.trace == Some(TraceWay::Uart) { Way::Frames } else { Way::Rings },
            icount: !self.no_icount,
            exceptions: self.verify_trace,
            tee: self.tee.clone(),
        })
    }
}

/// Runs a scenario on CPU models until one fails, and prints what comes of it. Whether all passed.
pub fn run_on(
    workspace: &Workspace,
    scenario: &Scenario,
    cpus: &[String],
    options: &Options,
    progress: &Progress,
) -> Result<bool> {
    let screen = Screen::new();
    let kit = match options.tracing() {
        Some(tracing) => Kit::traced(workspace, scenario, tracing, progress)?,
        None => Kit::of(workspace, scenario, progress)?,
    };
    progress.finish();
    let mut suites = Vec::new();
    let mut passed = true;
    for cpu in cpus {
        let prepared = prepare(workspace, scenario, cpu, &kit)?;
        say!("{} on {}: {}", scenario.name, model(cpu), scenario.summary);
        let mut outcome = run(scenario, cpu, &prepared, &mut |line| screen.print(line))?;
        keep(&mut outcome, scenario, &prepared)?;
        say!();
        print(outcome.report());
        suites.push(junit::suite(&outcome, model(cpu)));
        passed = outcome.passed();
        if !passed {
            break;
        }
    }
    if let Some(path) = &options.junit {
        output::write(path, junit::file(&suites).as_bytes())?;
    }
    Ok(passed)
}

/// Writes a run's trace into its folder, and judges it by QEMU's log if there is one.
pub fn keep(outcome: &mut Outcome, scenario: &Scenario, prepared: &Prepared) -> Result<()> {
    let (Some(trace), Some(traced)) = (&outcome.trace, &prepared.traced) else { return Ok(()) };
    trace.write(&prepared.folder.join(file::NAME))?;
    if let Some(log) = traced.exceptions.as_ref().filter(|_| !outcome.interrupted) {
        let hypervisor = scenario.chain.normal_world == NormalWorld::Hypervisor;
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

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
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
        assert_eq!(tracing(&["--tee=as-reported,client-id"]).unwrap().tee, ["as-reported", "client-id"]);
    }
}
