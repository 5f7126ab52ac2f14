// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab judge`: what becomes of somebody else's TEE or monitor, printed and written where a CI system finds it.

use anyhow::{Context, Result, ensure};
use clap::Args;
use lab_assay::{Accepted, assay};
use lab_run::files::{Destination, shown};
use lab_run::progress::Progress;
use lab_run::say;
use lab_run::screen::print;
use lab_run::stack;
use lab_run::workspace::Workspace;
use std::fs;
use std::path::PathBuf;

/// What is judged, and where it is written.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Layers of a user's own.
    #[command(flatten)]
    stack: stack::Options,
    /// What is answered otherwise and may be: a file that --record has written.
    #[arg(long, value_name = "FILE")]
    accept: Option<PathBuf>,
    /// Write what came out of it, added to what --accept has, as a file for --accept: look it through, and keep it.
    #[arg(long, value_name = "FILE")]
    record: Option<Destination>,
    /// Seconds that a scenario may take at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Write JUnit XML here, too.
    #[arg(long, value_name = "FILE")]
    junit: Option<Destination>,
    /// Write the page here, too.
    #[arg(short, long, value_name = "FILE")]
    output: Option<Destination>,
}

/// Judges a stack; says whether it came to nothing that isn't accepted.
pub fn judge(workspace: &Workspace, options: &Options, progress: &Progress) -> Result<bool> {
    ensure!(options.stack.normal_world.is_none(), "judge puts its own normal worlds above the stack");
    let stack = options.stack.stack()?;
    let accepted = options.accept.as_deref().map(Accepted::read).transpose()?.unwrap_or_default();
    let assay = assay(workspace, &stack, options.limit, &accepted, progress, &mut |row| {
        progress.finish();
        say!("{row}");
    })?;
    progress.finish();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let folder = workspace.fresh_run(&format!("judge/{}", assay.name.chars().map(plain).collect::<String>()))?;
    let (page, junit) = (assay.page(), assay.junit()?);
    let text: String = assay.rows.iter().map(|row| format!("{row}\n")).collect();
    for (name, content) in [("judge.html", &page), ("junit.xml", &junit), ("judge.txt", &(text + &assay.to_string()))] {
        let file = folder.join(name);
        fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = &options.output {
        file.write(page.as_bytes())?;
    }
    if let Some(file) = &options.junit {
        file.write(junit.as_bytes())?;
    }
    if let Some(file) = &options.record {
        file.write(assay.accepting_all(accepted).text()?.as_bytes())?;
    }
    say!("page: {}", shown(&folder.join("judge.html")));
    print(assay.to_string());
    Ok(assay.passed())
}
