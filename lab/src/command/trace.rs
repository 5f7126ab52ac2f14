// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab trace`: a kept trace as lines.

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use lab_run::runs::TRACED;
use lab_run::workspace::Workspace;
use lab_trace::text::{Log, kind};
use lab_trace::{Entry, Trace, file};
use shared_abi::trace::{Event, Layer};
use std::fs;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Which trace, and which of its records.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// A trace's file, a run's folder, or the name of a run: `two-guests` (the last one) or `two-guests/max`.
    pub trace: PathBuf,
    /// Only records of this layer; can be given more than once, as the others.
    #[arg(long)]
    pub layer: Vec<LayerName>,
    /// Only records about this VM; 0 for those about none.
    #[arg(long)]
    pub vm: Vec<u16>,
    /// Only records of this kind: call, world-switch, refused, …
    #[arg(long)]
    pub kind: Vec<String>,
}

/// A layer, as the console names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LayerName {
    /// The monitor.
    El3,
    /// The TEE.
    Tee,
    /// The hypervisor.
    Hyp,
}

impl LayerName {
    const fn layer(self) -> Layer {
        match self {
            Self::El3 => Layer::Monitor,
            Self::Tee => Layer::Tee,
            Self::Hyp => Layer::Hypervisor,
        }
    }
}

impl Options {
    /// Says whether a record is wanted.
    fn wants(&self, entry: &Entry) -> bool {
        (self.layer.is_empty() || self.layer.iter().any(|name| name.layer() == entry.layer))
            && (self.vm.is_empty() || self.vm.contains(&entry.record.client))
            && (self.kind.is_empty() || self.kind.iter().any(|name| name == kind(&entry.record.event)))
    }
}

/// Lists the kinds of records, each once.
fn kinds() -> Vec<&'static str> {
    let mut kinds = Vec::new();
    for kind in Event::examples().map(|event| kind(&event)) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

/// Prints the records that are wanted.
pub fn print(workspace: &Workspace, options: &Options) -> Result<()> {
    let kinds = kinds();
    for name in &options.kind {
        ensure!(kinds.contains(&name.as_str()), "no record is of the kind {name}; they are {}", kinds.join(", "));
    }
    let trace = Trace::read(&locate(&workspace.runs(), &options.trace)?)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    match write(&mut out, &trace, options).and_then(|()| out.flush()) {
        // Whoever read it has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot print the trace"),
    }
}

fn write(out: &mut impl Write, trace: &Trace, options: &Options) -> std::io::Result<()> {
    let mut log = Log::default();
    for entry in &trace.entries {
        let line = log.line(entry);
        if options.wants(entry) {
            writeln!(out, "{line}")?;
        }
    }
    write!(out, "{}", trace.summary())
}

/// Finds the file of a trace that is named in one of three ways.
pub fn locate(runs: &Path, named: &Path) -> Result<PathBuf> {
    if named.is_file() {
        return Ok(named.to_path_buf());
    }
    let mut found = Vec::new();
    let mut traced = runs.join(named).into_os_string();
    traced.push(TRACED);
    for folder in [named.to_path_buf(), runs.join(named), traced.into()] {
        found.push(folder.join(file::NAME));
        for run in fs::read_dir(folder).into_iter().flatten().flatten() {
            found.push(run.path().join(file::NAME));
        }
    }
    let written = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    found.into_iter().filter(|path| path.is_file()).max_by_key(written).with_context(|| {
        format!("no trace is called {}; `lab run SCENARIO --trace` makes one in {}", named.display(), runs.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::trace::Record;
    use tempfile::TempDir;

    fn options() -> Options {
        Options { trace: PathBuf::new(), layer: Vec::new(), vm: Vec::new(), kind: Vec::new() }
    }

    fn printed(options: &Options) -> usize {
        let entry = |(event, n): (Event, u16)| Entry {
            layer: Layer::ALL[usize::from(n) % 3],
            cpu: 0,
            record: Record { time: n.into(), sequence: n.into(), client: n % 2, event },
        };
        let trace = Trace { entries: Event::examples().zip(0..).map(entry).collect(), ..Trace::default() };
        let mut out = Vec::new();
        write(&mut out, &trace, options).unwrap();
        String::from_utf8(out).unwrap().lines().take_while(|line| *line != "trace:").count()
    }

    #[test]
    fn records_are_chosen_by_layer_vm_and_kind() {
        let all = Event::examples().count();
        assert_eq!(printed(&options()), all);
        assert_eq!(printed(&Options { vm: vec![1], ..options() }), all / 2);
        assert_eq!(printed(&Options { layer: vec![LayerName::El3], ..options() }), all.div_ceil(3));
        assert_eq!(printed(&Options { kind: vec!["panic".into()], ..options() }), 1);
        assert_eq!(printed(&Options { kind: vec!["panic".into(), "heap".into()], vm: vec![5], ..options() }), 0);
    }

    #[test]
    fn every_kind_is_listed_once() {
        let kinds = kinds();
        assert_eq!(kinds.iter().filter(|kind| **kind == "call").count(), 1);
        assert_eq!(kinds.iter().collect::<std::collections::BTreeSet<_>>().len(), kinds.len());
        assert!(Event::examples().all(|event| kinds.contains(&kind(&event))));
    }

    #[test]
    fn a_trace_is_found_by_its_file_its_folder_or_its_runs_name() {
        let runs = TempDir::new().unwrap();
        let folder = runs.path().join("two-guests/max-traced");
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(file::NAME);
        let find = |named: &Path| locate(runs.path(), named).ok();
        assert_eq!(find(Path::new("two-guests")), None);
        Trace::default().write(&file).unwrap();
        let names = ["two-guests", "two-guests/max", "two-guests/max-traced"].map(Path::new);
        for named in [file.as_path(), &folder].into_iter().chain(names) {
            assert_eq!(find(named).as_deref(), Some(file.as_path()), "{}", named.display());
        }
        assert_eq!(find(Path::new("two")), None);
    }
}
