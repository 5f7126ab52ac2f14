// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a command line is said before anything is built, and where bytes go is where they were asked for.

mod program;

use lab_run::workspace::Workspace;
use std::fs;
use std::process::{Command, Output};
use tempfile::TempDir;

const SCENARIO: &str = "scenarios/second-vm.toml";

fn call(arguments: &[&str]) -> Output {
    Command::new(program::lab()).args(arguments).current_dir(Workspace::locate().unwrap().root()).output().unwrap()
}

/// Returns what is said of a command that can't be.
fn refused(arguments: &[&str]) -> String {
    let output = call(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{arguments:?}");
    // Each step of building is told as a line.
    assert!(!said.contains("lab: "), "{arguments:?} begins: {said}");
    said
}

#[test]
fn what_cannot_be_written_is_refused_at_once() {
    for arguments in [
        ["dtb", SCENARIO, "-o", "/none/x"].as_slice(),
        &["flash", "-o", "/none/x"],
        &["probe", SCENARIO, "-o", "/none/x"],
        &["run", SCENARIO, "--junit", "/none/x"],
        &["report", SCENARIO, "-o", "/none/x"],
        &["report", SCENARIO, "--perfetto", "/none/x"],
        &["watch", SCENARIO, "--record", "/none/x"],
        &["reproduce", "--junit", "/none/x"],
    ] {
        let said = refused(arguments);
        assert!(said.contains("/none/x") && said.contains("there is no folder /none"), "{arguments:?}: {said}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_at_once() {
    for arguments in [
        ["bench", "--flash", "/none/x"].as_slice(),
        &["run", SCENARIO, "--flash", "/none/x"],
        &["run", SCENARIO, "--tee", "/none/x"],
        &["flash", "-o", "/dev/null", "--bl32", "/none/x"],
        &["flash", "-o", "/dev/null", "--bl33", "/none/x"],
    ] {
        assert!(refused(arguments).contains("/none/x"), "{arguments:?}");
    }
    let folder = TempDir::new().unwrap();
    let garbage = folder.path().join("user garbage");
    fs::write(&garbage, "garbage").unwrap();
    for command in [["bench", "--flash"].as_slice(), &["run", SCENARIO, "--flash"]] {
        let said = refused(&[command, &[garbage.to_str().unwrap()]].concat());
        assert!(said.contains(&format!("{} is no flash for this machine", garbage.display())), "{said}");
    }
}

#[test]
fn what_there_is_not_is_answered_by_what_there_is() {
    assert!(refused(&["contract", "nosuch"]).contains("id-registers"));
    assert!(refused(&["contract", "timers", "--cpus", "9"]).contains("1..=8"));
    assert!(refused(&["trace", "second-vm", "--kind", "nosuch"]).contains("world-switch"));
    assert!(refused(&["pictures", "nosuch"]).contains("07-trust"));
    assert!(refused(&["check", "9"]).contains("cargo lab check"));
}

#[test]
fn files_are_named_from_where_the_user_is() {
    let root = Workspace::locate().unwrap().root().to_path_buf();
    let chapter = "docs/course/01-first-smc.md";
    let whole = root.join(chapter).display().to_string();
    // Whoever calls make may be elsewhere.
    for (folder, by_make, expected) in [
        ("", false, chapter),
        ("docs", false, "course/01-first-smc.md"),
        ("lab", false, whole.as_str()),
        ("", true, whole.as_str()),
    ] {
        let mut lab = Command::new(program::lab());
        lab.arg("check").current_dir(root.join(folder)).env_remove("MAKELEVEL");
        lab.envs(by_make.then_some(("MAKELEVEL", "1")));
        let told = String::from_utf8(lab.output().unwrap().stdout).unwrap();
        assert!(told.contains(&format!("({expected})")), "{folder:?}, by make {by_make}: {told}");
    }
}

#[test]
fn standard_output_has_what_was_asked_for_and_nothing_else() {
    let tree = call(&["dtb", SCENARIO, "-o", "-"]);
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    // The Devicetree Specification, §5.2: magic and size.
    assert_eq!(tree.stdout[..8], [[0xD0, 0x0D, 0xFE, 0xED], u32::to_be_bytes(tree.stdout.len() as u32)].concat());
    let run = call(&["run", SCENARIO, "--junit", "-"]);
    let (written, told) = (String::from_utf8(run.stdout).unwrap(), String::from_utf8_lossy(&run.stderr).into_owned());
    assert!(written.starts_with("<?xml ") && written.trim_end().ends_with("</testsuites>"), "{written}");
    assert!(told.contains("PASS second-vm"), "{told}");
    assert!(!Workspace::locate().unwrap().root().join("-").exists());
}
