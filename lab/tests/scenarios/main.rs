// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every scenario on every CPU model that it names is a test: `two-guests::max`. So is each of them on layers that
//! check themselves, `checked::two-guests::max`, and Linux with each key of a machine and its chain: [`keys`].
//!
//! Slow ones, and those on checked layers, are ignored unless asked for (`--include-ignored`). A machine may have as
//! many CPUs as the host, so tests run one at a time unless `--test-threads` says otherwise.

mod keys;
mod play;

use anyhow::{Context, Result};
use lab_run::firmware::Program;
use lab_run::guests::{Linux, linux};
use lab_run::plan::Plan;
use lab_run::prepare::fetch_for;
use lab_run::progress::Progress;
use lab_run::scenario::{Scenario, model};
use lab_run::workspace::Workspace;
use libtest_mimic::{Arguments, Failed, Trial};
use play::{Layers, judge, kit};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Part of what Rust says of one.
const OVERFLOW: &[u8] = b"with overflow";

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(1));
    match trials() {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Makes two tests for every pair of scenario and CPU. A file that can't be read is a test that fails.
fn trials() -> Result<Vec<Trial>> {
    let folder = Workspace::locate()?.scenarios();
    let files = [scenario_files(&folder)?, scenario_files(&folder.join("interop"))?].concat();
    let (mut usual, mut checked) = (Vec::new(), Vec::new());
    for file in &files {
        match Scenario::read(file) {
            Ok(scenario) => {
                let there = is_there(&scenario);
                for cpu in scenario.cpus() {
                    usual.push(trial(&scenario, cpu, Layers::Usual, there));
                    checked.push(trial(&scenario, cpu, Layers::Checked, there));
                }
            }
            Err(error) => {
                let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
                usual.push(Trial::test(name, move || Err(Failed::from(format!("{error:#}")))));
            }
        }
    }
    checked.push(Trial::test("checked::layers", layers_check).with_ignored_flag(true));
    Ok([usual, keys::trials(&files)?, checked].into_iter().flatten().collect())
}

/// Says whether the packages are there that stand in layers' places, and OP-TEE's test suite; if no mirror can be read
/// that is said, and nothing of it counts as passed. Whatever else is wrong fails the test itself.
fn is_there(scenario: &Scenario) -> bool {
    let missing = || -> Result<Option<String>> {
        let plan = Plan::of(scenario.clone())?;
        let ours = plan.stack.has_our_tee() && !scenario.chain.normal_world.is_foreign();
        if ours && linux(scenario) != Linux::Xtest {
            return Ok(None);
        }
        fetch_for(&Workspace::locate()?, &plan, &Progress::silent())
    };
    let missing = missing().unwrap_or_default();
    if let Some(why) = &missing {
        eprintln!("{} is skipped: {why}", scenario.name);
    }
    missing.is_none()
}

fn trial(scenario: &Scenario, cpu: &str, layers: Layers, there: bool) -> Trial {
    let (mut scenario, cpu) = (scenario.clone(), cpu.to_owned());
    let mut name = format!("{}::{}", scenario.name, model(&cpu));
    let mut slow = scenario.slow;
    if layers == Layers::Checked {
        (name, slow) = (format!("checked::{name}"), true);
        // A folder of its own.
        scenario.name = format!("checked/{}", scenario.name);
    }
    Trial::test(name, move || judge(&scenario, &cpu, layers)).with_ignored_flag(slow || !there)
}

/// Checks that checked layers have what is said of an overflow, and that the usual ones don't.
fn layers_check() -> Result<(), Failed> {
    for layers in [Layers::Usual, Layers::Checked] {
        let kit = kit(Linux::None, layers).map_err(|error| Failed::from(format!("{error:#}")))?;
        for layer in Program::LAYERS {
            let image = kit.firmware().read(layer).map_err(|error| Failed::from(format!("{error:#}")))?;
            let says = image.windows(OVERFLOW.len()).any(|window| window == OVERFLOW);
            if says != (layers == Layers::Checked) {
                return Err(Failed::from(format!("{layers:?} layers: {layer:?} checks for overflows: {says}")));
            }
        }
    }
    Ok(())
}

fn scenario_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<_> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(|| format!("cannot read {}", folder.display()))?;
    // Beside them is what OP-TEE's test suite counts, which is none.
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml") && !file.ends_with("xtest.toml"));
    files.sort();
    Ok(files)
}
