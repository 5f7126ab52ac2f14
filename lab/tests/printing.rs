// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the lab prints, where nobody reads it to its end.

mod program;

use lab_run::workspace::Workspace;
use program::lab;
use std::io::pipe;
use std::process::{Command, Output, Stdio};

/// Makes a pipe that nobody reads any more.
fn closed() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer.into()
}

fn call(arguments: &[&str]) -> Command {
    let mut command = Command::new(lab());
    command.args(arguments).current_dir(Workspace::locate().unwrap().root()).stdin(Stdio::null());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Prints into a closed pipe: no panic, and the exit status that it has with a reader.
fn survives(arguments: &[&str], status: i32) {
    let output = call(arguments).stdout(closed()).output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", said(&output));
    assert!(!said(&output).contains("panicked"), "{arguments:?}: {}", said(&output));
    // Also where it complains. A panic ends the lab with 101.
    let status_of_both = call(arguments).stdout(closed()).stderr(closed()).status().unwrap();
    assert_eq!(status_of_both.code(), Some(status), "{arguments:?}");
}

#[test]
fn a_reader_that_has_seen_enough_ends_printing_alone() {
    survives(&["--help"], 0);
    survives(&["run", "--help"], 0);
    survives(&["--version"], 0);
    survives(&[], 2);
    survives(&["no-such-command"], 2);
    survives(&["check"], 0);
    survives(&["trace", "no-such-run"], 1);
}

#[test]
fn a_reader_that_has_seen_enough_does_not_end_a_run() {
    survives(&["run", "scenarios/second-vm.toml"], 0);
    survives(&["report", "scenarios/second-vm.toml"], 0);
    survives(&["trace", "second-vm"], 0);
    survives(&["watch", "scenarios/second-vm.toml"], 0);
}

/// A disk without room is not a reader's choice.
#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_printed_is_an_error() {
    for arguments in [["check"].as_slice(), &["run", "scenarios/second-vm.toml"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = call(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(said(&output).contains("cannot print everything: "), "{arguments:?}: {}", said(&output));
    }
}
