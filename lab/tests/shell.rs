// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab shell` in a pipe: what is typed, what is heard, and that it ends.

mod program;

use lab_run::workspace::Workspace;
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn what_is_piped_in_is_typed_and_answered_and_then_it_ends_though_another_vm_waits() {
    let mut lab = Command::new(program::lab())
        .args(["shell", "scenarios/two-guests.toml"])
        .current_dir(Workspace::locate().unwrap().root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    lab.stdin.take().unwrap().write_all(b"echo 6 times 7 is $((6 * 7))\nexit\n").unwrap();
    let output = lab.wait_with_output().unwrap();
    let (text, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}");
    assert!(text.lines().any(|line| line == "[vm1] 6 times 7 is 42"), "{text}");
    assert!(text.contains("[vm2] waiting") && !text.contains("vm2: powered off"), "{text}");
    let end = "all that was piped in is typed, and vm1 is off: the lab stopped the machine";
    assert!(text.trim_end().ends_with(end), "{text}");
    assert!(!text.contains(['\x1b', '\r']), "{text:?}");
}
