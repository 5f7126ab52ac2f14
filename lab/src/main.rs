//! The command line of the lab.
#![forbid(unsafe_code)]

use anyhow::Result;
use clap::{Parser, Subcommand};
use lab::firmware::{self, Firmware, Program};
use lab::flash::Flash;
use lab::progress::Progress;
use lab::scenario::{Chain, Scenario};
use lab::workspace::Workspace;
use std::path::PathBuf;
use std::process::ExitCode;

/// Builds, boots, watches and judges Triptych.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build every program that runs in the machine.
    Build,
    /// Run clippy over them, warnings denied.
    Clippy,
    /// Write the flash image that the machine starts from.
    Flash {
        /// The file to write.
        #[arg(short, long)]
        output: PathBuf,
        /// Leave the TEE out.
        #[arg(long, conflicts_with = "scenario")]
        no_tee: bool,
        /// Write the flash that this scenario describes, its damage included.
        scenario: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match execute(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<ExitCode> {
    let workspace = Workspace::locate()?;
    let progress = Progress::new();
    match command {
        Command::Build => {
            Firmware::build(&workspace, &Program::ALL, &progress)?;
        }
        Command::Clippy => firmware::clippy(&workspace, &progress)?,
        Command::Flash { output, no_tee, scenario } => {
            let chain = match scenario {
                Some(file) => Scenario::read(&file)?.chain,
                None => Chain { tee: !no_tee, damage: None },
            };
            let firmware = Firmware::build(&workspace, &Program::LAYERS, &progress)?;
            let bytes = Flash::of(&firmware, chain.tee)?.bytes(&chain)?;
            lab::workspace::write_if_changed(&output, &bytes)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
