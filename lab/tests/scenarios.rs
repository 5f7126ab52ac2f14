//! Every scenario on every CPU model that it names is a test: `two-guests::max`.
//!
//! Slow ones are ignored unless asked for (`--include-ignored`). A machine may have as many CPUs as the host, so tests
//! run one at a time unless `--test-threads` says otherwise.

use anyhow::{Context, Result, anyhow};
use lab::guests::needs_linux;
use lab::prepare::{Kit, prepare};
use lab::progress::Progress;
use lab::run::run;
use lab::scenario::{Scenario, model};
use lab::workspace::Workspace;
use libtest_mimic::{Arguments, Failed, Trial};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

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

/// A test for every pair of scenario and CPU. A file that can't be read is a test that fails.
fn trials() -> Result<Vec<Trial>> {
    let folder = Workspace::locate()?.scenarios();
    let mut trials = Vec::new();
    for file in scenario_files(&folder)? {
        match Scenario::read(&file) {
            Ok(scenario) => {
                let cpus: Vec<_> = scenario.cpus().map(str::to_owned).collect();
                for cpu in cpus {
                    let name = format!("{}::{}", scenario.name, model(&cpu));
                    let (scenario, slow) = (scenario.clone(), scenario.slow);
                    trials.push(Trial::test(name, move || judge(&scenario, &cpu)).with_ignored_flag(slow));
                }
            }
            Err(error) => {
                let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
                trials.push(Trial::test(name, move || Err(Failed::from(format!("{error:#}")))));
            }
        }
    }
    Ok(trials)
}

fn scenario_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<_> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(|| format!("cannot read {}", folder.display()))?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    Ok(files)
}

/// Everything is built once, and Linux fetched only when the first test needs it.
fn kit(linux: bool) -> Result<&'static Kit> {
    static KITS: [OnceLock<Result<Kit, String>>; 2] = [OnceLock::new(), OnceLock::new()];
    let build = || Kit::whole(&Workspace::locate()?, linux, &Progress::silent());
    let kit = KITS[usize::from(linux)].get_or_init(|| build().map_err(|error| format!("{error:#}")));
    kit.as_ref().map_err(|error| anyhow!("{error}"))
}

/// Runs one; its report is the failure's message.
fn judge(scenario: &Scenario, cpu: &str) -> Result<(), Failed> {
    let outcome = (|| {
        let workspace = Workspace::locate()?;
        let prepared = prepare(&workspace, scenario, cpu, kit(needs_linux(scenario))?)?;
        run(scenario, cpu, &prepared, &mut |_| {})
    })();
    match outcome {
        Ok(outcome) if outcome.passed() => Ok(()),
        Ok(outcome) => Err(Failed::from(outcome.report())),
        Err(error) => Err(Failed::from(format!("{error:#}"))),
    }
}
