//! Figures that do not depend on the host: instructions, counted by the machine itself.
//!
//! Under `-icount shift=0,sleep=off` runs repeat exactly, so one sample is the distribution; a benchmark is repeated
//! only to show that.

use crate::console::Line;
use crate::prepare::{Kit, prepare};
use crate::progress::Progress;
use crate::run::run;
use crate::scenario::Scenario;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use regex::Regex;
use serde::Serialize;
use std::fs;

/// The scenario of [`LINUX_BOOT`].
const LINUX_BOOT_SCENARIO: &str = "bench-linux-boot.toml";
/// What the hypervisor retires at EL2 on behalf of a Linux VM, in percent of what the VM retires, from its first
/// instruction to its shell.
const LINUX_BOOT: &str = "linux_boot_el2_percent";
/// At most so much.
const LINUX_BOOT_GOAL: f64 = 2.0;
/// Xen 4.20 under Linux 6.12 with a quiet console, EL3 included.
const LINUX_BOOT_REFERENCE: f64 = 2.46;

/// One line of `bench.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Figure {
    name: &'static str,
    median: f64,
    min: f64,
    max: f64,
    samples: usize,
    /// The figure must not be above this.
    goal: f64,
    /// What another system needs for the same.
    reference: f64,
}

impl Figure {
    fn of(name: &'static str, mut samples: Vec<f64>, goal: f64, reference: f64) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        let (&min, &max) = (samples.first()?, samples.last()?);
        let middle = samples.len() / 2;
        let median =
            if samples.len() % 2 == 1 { samples[middle] } else { (samples[middle - 1] + samples[middle]) / 2.0 };
        Some(Self { name, median, min, max, samples: samples.len(), goal, reference })
    }
}

/// Runs the benchmarks, prints their figures and writes `bench.json`. Whether every goal is met.
pub fn bench(workspace: &Workspace, progress: &Progress) -> Result<bool> {
    let scenario = Scenario::read(&workspace.scenarios().join(LINUX_BOOT_SCENARIO))?;
    let cpu = scenario.machine.cpu.clone();
    let kit = Kit::of(workspace, &scenario, progress)?;
    let prepared = prepare(workspace, &scenario, &cpu, &kit)?;
    progress.step("booting Linux, one instruction at a time");
    let outcome = run(&scenario, &cpu, &prepared, &mut |_| {})?;
    progress.finish();
    if !outcome.passed() {
        bail!("the benchmark's scenario fails:\n{}", outcome.report());
    }
    let share = outcome.lines.iter().find_map(el2_percent).context("the hypervisor printed no instruction counts")?;
    let figure = Figure::of(LINUX_BOOT, vec![share], LINUX_BOOT_GOAL, LINUX_BOOT_REFERENCE).context("no samples")?;
    println!(
        "{} {:.3} (goal: at most {}; {} with Xen 4.20)",
        figure.name, figure.median, figure.goal, figure.reference
    );
    let met = figure.median <= figure.goal;
    let file = workspace.target().join("bench.json");
    let json = serde_json::to_string_pretty(&[figure]).context("figures are JSON")?;
    fs::write(&file, json + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    Ok(met)
}

/// Reads `vm1: instructions EL2=… EL1+EL0=…`.
fn el2_percent(line: &Line) -> Option<f64> {
    let pattern = Regex::new(r"^vm1: instructions EL2=(\d+) EL1\+EL0=(\d+)").ok()?;
    let found = pattern.captures(&line.text).filter(|_| line.speaker == "HYP")?;
    let (at_el2, below) = (found[1].parse::<u64>().ok()?, found[2].parse::<u64>().ok()?);
    (below != 0).then(|| at_el2 as f64 * 100.0 / below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(speaker: &str, text: &str) -> Line {
        Line { speaker: speaker.into(), text: text.into() }
    }

    #[test]
    fn the_share_is_of_what_the_vm_retires_itself() {
        let said = "vm1: instructions EL2=15 EL1+EL0=1000";
        assert_eq!(el2_percent(&line("HYP", said)), Some(1.5));
        assert_eq!(el2_percent(&line("vm1", said)), None);
        assert_eq!(el2_percent(&line("HYP", "vm1: instructions EL2=1 EL1+EL0=0")), None);
    }

    #[test]
    fn a_figure_is_the_median_between_its_extremes() {
        let figure = Figure::of("x", vec![3.0, 1.0, 2.0, 10.0], 4.0, 5.0).unwrap();
        assert_eq!((figure.median, figure.min, figure.max, figure.samples), (2.5, 1.0, 10.0, 4));
        assert_eq!(Figure::of("x", vec![], 4.0, 5.0), None);
    }
}
