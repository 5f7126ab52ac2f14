// SPDX-License-Identifier: MIT OR Apache-2.0
//! Broken code: of every line that keeps VMs apart some test must notice when it is another one.
//!
//! `cargo mutants` changes one line after another (`.cargo/mutants.toml` says where, and which changes nobody can
//! notice) and runs the tests of its layer. All of them take hours, so a run takes a part: those of the monitor, or
//! what `MUTANTS=k/n` says: every n-th of all, from the k-th on. The same part is the same mutants, and random tests
//! begin with the same seed.

use lab_run::workspace::Workspace;
use serde_json::Value;
use std::collections::BTreeMap;
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const VERSION: &str = "27.1.0";
/// What a run leaves out that is not told its part.
const LEFT_OUT: [&str; 2] = ["tee-core/**", "hypervisor/**"];
/// What it answers when every mutant was noticed; if some were by tests that did not end; if some were not.
const ENDS: [i32; 3] = [0, 3, 2];

#[derive(Default)]
struct Area {
    tried: usize,
    caught: usize,
    /// The compiler notices.
    unviable: usize,
    /// Some test did not end.
    timeout: usize,
    missed: Vec<String>,
}

#[test]
#[ignore = "builds some eighty times"]
fn tests_notice_when_what_keeps_vms_apart_is_broken() {
    let workspace = Workspace::locate().unwrap();
    let program = cargo_mutants(&workspace);
    let folder = workspace.target().join("mutants");
    fs::create_dir_all(&folder).unwrap();
    // One that takes memory without end is to be noticed before it has all of the host's.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 8000000; exec \"$@\"", "sh"]).arg(program);
    command.args(["mutants", "--colors", "never"]);
    match env::var("MUTANTS") {
        Ok(part) => command.args(["--sharding", "round-robin", "--shard", &part]),
        Err(_) => command.args(LEFT_OUT.iter().flat_map(|files| ["--exclude", files])),
    };
    command.arg("--output").arg(&folder).current_dir(workspace.root()).stdin(Stdio::null());
    // What is the same for every mutant is built once, for this and later runs.
    command.env("CARGO_TARGET_DIR", folder.join("build")).env("SEED", "9");
    for (name, _) in
        env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
    {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some_and(|code| ENDS.contains(&code)), "cargo mutants: {said}");
    let areas = areas(&folder.join("mutants.out/outcomes.json"));
    let table = table(&areas);
    fs::write(folder.join("areas.txt"), &table).unwrap();
    let tried: usize = areas.values().map(|area| area.tried).sum();
    assert_ne!(tried, 0, "no mutant at all: {said}");
    let missed: Vec<&String> = areas.values().flat_map(|area| &area.missed).collect();
    assert!(missed.is_empty(), "no test notices:\n{missed:#?}\n{table}{}/mutants.out/diff has them", folder.display());
}

/// Finds the program, of the version that is meant. It is built once.
fn cargo_mutants(workspace: &Workspace) -> PathBuf {
    let folder = workspace.kept(&format!("cargo-mutants-{VERSION}"));
    let program = folder.join("bin/cargo-mutants");
    if !program.exists() {
        let mut command = Command::new("cargo");
        command.args(["install", "--quiet", "--locked", "--version", VERSION, "cargo-mutants", "--root"]).arg(&folder);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo install cargo-mutants needs a network the first time: {said}");
    }
    program
}

fn areas(outcomes: &Path) -> BTreeMap<String, Area> {
    let outcomes: Value = serde_json::from_slice(&fs::read(outcomes).unwrap()).unwrap();
    let mut areas: BTreeMap<String, Area> = BTreeMap::new();
    for outcome in outcomes["outcomes"].as_array().unwrap() {
        let mutant = &outcome["scenario"]["Mutant"];
        let Some(file) = mutant["file"].as_str() else { continue };
        let area = areas.entry(area_of(file)).or_default();
        area.tried += 1;
        match outcome["summary"].as_str().unwrap() {
            "CaughtMutant" => area.caught += 1,
            "Unviable" => area.unviable += 1,
            "Timeout" => area.timeout += 1,
            _ => area.missed.push(mutant["name"].as_str().unwrap().to_owned()),
        }
    }
    areas
}

/// Returns a layer's folder or file.
fn area_of(file: &str) -> String {
    let mut names = file.split('/');
    let (layer, name) = (names.next().unwrap(), names.nth(1).unwrap());
    format!("{layer} {}", name.trim_end_matches(".rs"))
}

fn table(areas: &BTreeMap<String, Area>) -> String {
    let line = |area: &str, figures: [&dyn std::fmt::Display; 5]| {
        let [tried, caught, timeout, unviable, missed] = figures;
        format!("{area:28} {tried:>7} {caught:>7} {timeout:>8} {unviable:>9} {missed:>7}\n")
    };
    let mut table = line("", [&"tried", &"caught", &"timeout", &"unviable", &"missed"]);
    for (name, area) in areas {
        let figures = line(name, [&area.tried, &area.caught, &area.timeout, &area.unviable, &area.missed.len()]);
        write!(table, "{figures}").unwrap();
    }
    table
}

#[test]
fn figures_are_of_each_area() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outcomes.json");
    let mutant = |file: &str, name: &str, summary: &str| {
        let mutant = serde_json::json!({"file": file, "name": name});
        serde_json::json!({"scenario": {"Mutant": mutant}, "summary": summary})
    };
    let outcomes = [
        serde_json::json!({"scenario": "Baseline", "summary": "Success"}),
        mutant("tee-core/src/nexus/vms.rs", "one", "CaughtMutant"),
        mutant("tee-core/src/nexus/space.rs", "two", "MissedMutant"),
        mutant("hypervisor/src/stage2.rs", "three", "Unviable"),
        mutant("hypervisor/src/stage2.rs", "four", "Timeout"),
    ];
    fs::write(&file, serde_json::json!({"outcomes": outcomes}).to_string()).unwrap();
    let areas = areas(&file);
    assert_eq!(areas["tee-core nexus"].missed, ["two"]);
    let table = table(&areas);
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[1], ["hypervisor", "stage2", "2", "0", "1", "1", "0"]);
    assert_eq!(words[2], ["tee-core", "nexus", "2", "1", "0", "0", "1"]);
}
