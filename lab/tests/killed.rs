// SPDX-License-Identifier: MIT OR Apache-2.0
//! A lab that is killed leaves nothing behind.
#![cfg(target_os = "linux")]

mod children;
mod program;

use children::{arguments, qemu};
use lab::workspace::Workspace;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// It only ends what hangs.
const PATIENCE: Duration = Duration::from_secs(600);

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn qemu_its_memory_and_its_sockets_go_with_a_lab_that_is_killed() {
    let mut lab = Command::new(program::lab())
        .args(["watch", "scenarios/ten-thousand-cycles.toml"])
        .current_dir(Workspace::locate().unwrap().root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(lab.stdout.take().unwrap()).lines();
    // The machine runs.
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("EL3"))), "it said nothing");
    let qemu = qemu(lab.id()).unwrap().to_string();
    let left: Vec<_> = arguments(&qemu)
        .iter()
        .flat_map(|argument| argument.split(','))
        .filter_map(|part| part.strip_prefix("mem-path=").or_else(|| part.strip_prefix("unix:")))
        .map(PathBuf::from)
        .collect();
    assert!(left.len() >= 3 && left.iter().all(|path| path.exists()), "{left:?}");
    // SIGKILL: no handler, no drop.
    lab.kill().unwrap();
    lab.wait().unwrap();
    // A process that nobody waited for yet has no arguments any more.
    wait_until("QEMU ends", || arguments(&qemu).len() <= 1);
    wait_until("its files go", || left.iter().all(|path| !path.exists()));
    assert!(left.iter().filter_map(|path| path.parent()).any(|folder| !folder.exists()), "{left:?}");
}
