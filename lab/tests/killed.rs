// SPDX-License-Identifier: MIT OR Apache-2.0
//! A lab that is killed leaves nothing behind.
#![cfg(target_os = "linux")]

mod children;
mod program;

use children::{arguments, qemu};
use lab_run::workspace::Workspace;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// It only ends what hangs.
const PATIENCE: Duration = Duration::from_secs(600);

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Lists the files that a process has mapped where files of the lab's are made, as `/proc` names them.
fn mapped(process: &str, temporary: &Path) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let made_here =
        |path: &&str| ["/dev/shm", "/tmp", temporary.to_str().unwrap()].iter().any(|at| path.starts_with(at));
    maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..])).filter(made_here).map(str::to_owned).collect()
}

#[test]
fn nothing_of_a_run_has_a_name_and_qemu_goes_with_a_lab_that_is_killed() {
    let temporary = TempDir::new().unwrap();
    let mut lab = Command::new(program::lab())
        .args(["watch", "scenarios/ten-thousand-cycles.toml"])
        .current_dir(Workspace::locate().unwrap().root())
        .env("TMPDIR", temporary.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(lab.stdout.take().unwrap()).lines();
    // The machine runs.
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("EL3"))), "it said nothing");
    let qemu = qemu(lab.id()).unwrap().to_string();
    // What has no name is left by nobody, whoever else is killed with the lab.
    let memory = mapped(&qemu, temporary.path());
    assert!(!memory.is_empty() && memory.iter().all(|path| path.ends_with(" (deleted)")), "{memory:?}");
    let named: Vec<_> = fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(named, [""; 0].map(PathBuf::from));
    // SIGKILL: no handler, no drop.
    lab.kill().unwrap();
    lab.wait().unwrap();
    // A process that nobody waited for yet has no arguments any more.
    wait_until("QEMU ends", || arguments(&qemu).len() <= 1);
}
