// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line of the lab.
#![forbid(unsafe_code)]
// They panic where nobody reads any more.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![deny(unreachable_pub)]

use anyhow::{Context, Result, anyhow};
use clap::{Args, Parser, Subcommand};
use lab::book::book;
use lab::command;
use lab::command::run::run_on;
use lab::debug;
use lab::pictures::pictures;
use lab::shell::shell;
use lab::watch;
use lab_reproduce::reproduce;
use lab_run::files::{Destination, readable};
use lab_run::firmware::{self, Firmware, Program};
use lab_run::plan::Plan;
use lab_run::prepare::{self, Kit, ready};
use lab_run::progress::Progress;
use lab_run::say;
use lab_run::scenario::{Scenario, play};
use lab_run::screen::{complain, failure, print};
use lab_run::stack::{self, Stack};
use lab_run::workspace::Workspace;
use lab_trace::Tracing;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Builds, boots, watches and judges Triptych.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Which scenario, on which CPU and layers.
#[derive(Args)]
struct Which {
    /// The scenario file.
    scenario: PathBuf,
    /// One of the CPU models that the scenario names; else its first.
    #[arg(long)]
    cpu: Option<String>,
    #[command(flatten)]
    stack: stack::Options,
}

impl Which {
    fn plan(&self, tracing: Option<Tracing>) -> Result<Plan> {
        Plan::read(&self.scenario, self.cpu.as_deref(), &self.stack, tracing)
    }
}

#[derive(Subcommand)]
enum Command {
    /// Boot a scenario and judge it: exit status 0 only if all that it expects holds.
    Run {
        #[command(flatten)]
        which: Which,
        /// On every CPU model that the scenario names.
        #[arg(long, conflicts_with = "cpu")]
        all_cpus: bool,
        #[command(flatten)]
        options: command::run::Options,
    },
    /// Boot a scenario traced, judge it, and write what happened in it as one HTML file.
    Report {
        #[command(flatten)]
        options: command::report::Options,
    },
    /// Print the records of a traced run.
    Trace {
        #[command(flatten)]
        options: command::trace::Options,
    },
    /// Boot a scenario and type into its VMs.
    Shell {
        #[command(flatten)]
        which: Which,
    },
    /// Boot a scenario with layers that trace, and see every step: consoles, VMs, calls, world switches.
    ///
    /// On a terminal a live view; elsewhere lines. Pausing it stops the picture, not the machine.
    Watch {
        #[command(flatten)]
        which: Which,
        /// Count time in executed instructions, as `lab report` does.
        #[arg(long)]
        icount: bool,
        /// Write what a terminal would show as a moving SVG instead.
        #[arg(long, value_name = "FILE")]
        record: Option<Destination>,
    },
    /// Boot a scenario halted, waiting for gdb.
    Debug {
        #[command(flatten)]
        which: Which,
    },
    /// Boot the TEE of the reported bug, each remedy alone and the default TEE, and compare what becomes of each.
    ///
    /// With --tee or --monitor only that one: no sequence may be its end, or make it serve what it must not serve.
    Reproduce {
        #[command(flatten)]
        stack: stack::Options,
        /// Write every cell as JUnit XML.
        #[arg(long, value_name = "FILE")]
        junit: Option<Destination>,
    },
    /// Judge somebody else's TEE or monitor: the report's calls and everything hostile are played to it.
    ///
    /// Each scenario holds, is answered otherwise, or is the end of it. Exit status 1 if one came to what is not
    /// accepted, or did not run. The page, JUnit XML and the same as text are in target/runs/judge/NAME/.
    Judge {
        #[command(flatten)]
        options: command::judge::Options,
    },
    /// Count instructions and compare with the goals and with the committed baseline (lab/bench/).
    ///
    /// With --tee or --monitor the same calls to another TEE are counted too, and stand beside ours: the probe takes
    /// the normal world's place.
    ///
    /// Prints a table and writes it to target/bench.json. Exit status 1 when a goal is missed, or when a figure is
    /// worse than in the baseline by more than 2 % and 4 instructions.
    Bench {
        #[command(flatten)]
        stack: stack::Options,
        /// Say where the instructions of each figure go: exception level and function, from QEMU's log of them. Takes
        /// some minutes.
        #[arg(long)]
        split: bool,
    },
    /// Make the book of docs/ and follow its links; builds mdbook the first time.
    Book,
    /// Draw the course's pictures anew, from traced runs.
    Pictures {
        /// Only those whose name begins with this.
        only: Option<String>,
    },
    /// Judge an exercise of the course (docs/course) by what machines make of it.
    Check {
        /// Which one; without a number they are listed.
        number: Option<u8>,
        /// Judge the files in this folder instead of docs/course/exercises.
        #[arg(long = "in", value_name = "FOLDER")]
        files: Option<PathBuf>,
        /// Also say what the machine said where an answer is wrong, beside the hint.
        #[arg(long)]
        numbers: bool,
    },
    /// Hold what a guest sees of its hardware against plain QEMU, and show what differs (images/contract).
    Contract {
        #[command(flatten)]
        options: command::contract::Options,
    },
    /// Build every program that runs in the machine.
    Build,
    /// Run clippy over them, warnings denied.
    Clippy,
    /// Fetch the packages that the Linux guest is made of (images/packages/linux.toml).
    Fetch {
        /// Fetch the ones that are current now, and record them instead.
        #[arg(long)]
        newest: bool,
    },
    /// Write the flash image that the machine starts from.
    Flash {
        /// The file to write; `-` is standard output.
        #[arg(short, long, value_name = "FILE")]
        output: Destination,
        /// Leave the TEE out.
        #[arg(long, conflicts_with_all = ["scenario", "tee", "monitor"])]
        no_tee: bool,
        #[command(flatten)]
        stack: stack::Options,
        /// Put this raw image in the TEE's place (BL32), whatever it is.
        #[arg(long, value_name = "FILE", value_parser = readable(), conflicts_with_all = ["no_tee", "tee", "monitor"])]
        bl32: Option<PathBuf>,
        /// Put this raw image in the hypervisor's place (BL33).
        #[arg(long, value_name = "FILE", value_parser = readable())]
        bl33: Option<PathBuf>,
        /// Write the flash that this scenario describes: its damage, and with the probe in the hypervisor's place the
        /// steps that it plays.
        scenario: Option<PathBuf>,
    },
    /// Write the probe with a scenario's script as one image: the BL33 of any firmware for this machine.
    Probe {
        /// The scenario file, which has the probe in the hypervisor's place.
        scenario: PathBuf,
        /// The file to write; `-` is standard output.
        #[arg(short, long, value_name = "FILE")]
        output: Destination,
    },
    /// Write the device tree that a scenario boots with.
    Dtb {
        #[command(flatten)]
        which: Which,
        /// The file to write; `-` is standard output.
        #[arg(short, long, value_name = "FILE")]
        output: Destination,
    },
}

fn main() -> ExitCode {
    let held = execute(Arguments::parse().command).and_then(|held| match failure() {
        Some(error) => Err(anyhow!("cannot print everything: {error}")),
        None => Ok(held),
    });
    match held {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Does what was asked for; says whether it holds.
fn execute(command: Command) -> Result<bool> {
    let workspace = Workspace::locate()?;
    let progress = Progress::new();
    if let Some(other) = workspace.passed_over() {
        let (root, other) = (workspace.root().display(), other.display());
        progress.step(&format!("working on {root}, not on {other}, where you are"));
    }
    match command {
        Command::Run { which, all_cpus, options } => {
            let plan = which.plan(options.tracing());
            let plan = plan.inspect_err(|why| options.note_unrun(&which.scenario, why))?;
            let cpus =
                if all_cpus { plan.scenario.cpus().map(str::to_owned).collect() } else { vec![plan.cpu.clone()] };
            return run_on(&workspace, &plan, &cpus, &options, &progress);
        }
        Command::Report { options } => return command::report::report(&workspace, &options, &progress),
        Command::Trace { options } => command::trace::print(&workspace, &options)?,
        Command::Shell { which } => {
            shell(&ready(&workspace, &which.plan(None)?, &progress)?)?;
        }
        Command::Watch { which, icount, record } => {
            let plan = which.plan(Some(Tracing { icount, ..Tracing::default() }))?;
            return watch::watch(&ready(&workspace, &plan, &progress)?, record.as_ref());
        }
        Command::Debug { which } => {
            debug::wait_for_gdb(&workspace, ready(&workspace, &which.plan(None)?, &progress)?)?;
        }
        Command::Reproduce { stack, junit } => {
            let matrix = reproduce(&workspace, &stack.stack()?, &progress)?;
            progress.finish();
            print(matrix.report());
            if let Some(file) = junit {
                file.write(matrix.junit()?.as_bytes())?;
            }
            return Ok(matrix.passed());
        }
        Command::Judge { options } => return command::judge::judge(&workspace, &options, &progress),
        Command::Bench { stack, split } => {
            return lab_bench::bench(&workspace, &lab_bench::Options { slow: true, stack, split }, &progress);
        }
        Command::Book => {
            let page = book(&workspace, &progress)?;
            progress.finish();
            say!("{}", page.display());
        }
        Command::Pictures { only } => pictures(&workspace, only.as_deref(), &progress)?,
        Command::Check { number, files, numbers } => {
            return lab_course::check(&workspace, number, files.as_deref(), numbers, &progress);
        }
        Command::Contract { options } => return command::contract::contract(&workspace, &options, &progress),
        Command::Build => {
            Firmware::build(&workspace, &Program::ALL, &progress)?;
        }
        Command::Clippy => firmware::clippy(&workspace, &progress)?,
        Command::Fetch { newest } => prepare::fetch(&workspace, newest, &progress)?,
        Command::Flash { output, no_tee, stack, bl32, bl33, scenario } => {
            let (chain, folder, script, stack) = match scenario {
                Some(file) => {
                    let Plan { scenario, stack, .. } =
                        Plan::read(&file, None, &stack, None)?.with_steps_for_layers()?;
                    stack.check(&scenario)?;
                    (scenario.chain, scenario.folder, scenario.script, stack)
                }
                None => {
                    let mut chain = stack.chain()?;
                    if no_tee {
                        chain.tee = None;
                    }
                    let stack = Stack::of(&chain, Path::new(""))?;
                    (chain, PathBuf::new(), None, stack)
                }
            };
            let kit = Kit::for_flash(&stack, &workspace, &chain, &folder, &progress)?;
            let kit = kit.and_images(bl32.as_deref(), bl33.as_deref());
            let script = script.as_deref().filter(|_| bl33.is_none());
            output.write(&prepare::flash(&chain, script, &stack, &kit)?)?;
        }
        Command::Probe { scenario, output } => {
            let scenario = Scenario::read(&scenario)?;
            let script = scenario.script.context("the scenario has no probe in the hypervisor's place")?;
            let firmware = Firmware::build(&workspace, &[Program::Probe], &progress)?;
            output.write(&play::append(firmware.read(Program::Probe)?, &script)?)?;
        }
        Command::Dtb { which, output } => {
            let prepared = ready(&workspace, &which.plan(None)?, &progress)?;
            output.write(&std::fs::read(prepared.tree)?)?;
        }
    }
    Ok(true)
}
