// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab contract`: the guest contract, or topics of it, on one machine.

use crate::contract::compare::compare;
use crate::contract::lists::Lists;
use crate::contract::{CPUS, Place, as_guest, kit, on_plain, topics};
use anyhow::{Context, Result, ensure};
use clap::Args;
use lab_run::progress::Progress;
use lab_run::say;
use lab_run::scenario::model;
use lab_run::screen::print;
use lab_run::workspace::Workspace;

/// What is compared.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Topics; all of them if none is named, or all but those with `-` before them (after `--`).
    topics: Vec<String>,
    /// The CPU model.
    #[arg(long, default_value = "cortex-a57")]
    cpu: String,
    /// How many CPUs.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    cpus: u32,
    /// Beside another VM, which shares all of them.
    #[arg(long)]
    noise: bool,
    /// Print all that plain QEMU says.
    #[arg(long)]
    show: bool,
}

/// Compares, and prints what differs; says whether nothing does that is not known.
pub fn contract(workspace: &Workspace, options: &Options, progress: &Progress) -> Result<bool> {
    let known = topics(workspace)?;
    for word in &options.topics {
        let is_known = known.iter().any(|topic| topic == word.trim_start_matches('-'));
        ensure!(is_known, "{word} is no topic: they are {}", known.join(", "));
    }
    let cpu = CPUS.iter().find(|cpu| model(cpu) == options.cpu);
    let cpu = cpu.with_context(|| format!("the contract is for {}", CPUS.map(model).join(" and ")))?;
    let place = Place { cpu: (*cpu).to_owned(), cpus: options.cpus, beside_noise: options.noise };
    let kit = kit(workspace, progress)?;
    progress.finish();
    let plain = on_plain(workspace, &kit, &place, &options.topics)?;
    let guest = as_guest(workspace, &kit, &place, &options.topics)?;
    if options.show {
        for observation in &plain.observations {
            say!("{observation}");
        }
    }
    let lists = Lists::read(&workspace.contract())?;
    let result = compare(&plain, &guest, &lists, &place);
    for check in &result.known {
        let point = lists.fault(check).map_or("", |fault| &fault.point);
        say!("known: {check} ({point})");
    }
    print(&result.complaints);
    say!("{} agree, {} are known faults", result.agreed, result.known.len());
    Ok(result.passed())
}
