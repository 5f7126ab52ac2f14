// SPDX-License-Identifier: MIT OR Apache-2.0
//! A person's own TEE and flash: `--tee FILE`, `--flash FILE`, and what `lab flash` writes, by the lab's command line.
//!
//! Real ones are not in the checkout: ours, and that with the reported bug, are given as if they were somebody else's.

mod program;

use lab_run::firmware::{Firmware, Program};
use lab_run::machine::Machine;
use lab_run::progress::Progress;
use lab_run::scenario::Hardware;
use lab_run::workspace::Workspace;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

fn lab(arguments: &[&str]) -> Output {
    Command::new(program::lab()).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

fn scenario(name: &str) -> String {
    Workspace::locate().unwrap().scenarios().join(name).display().to_string()
}

/// Copies a TEE's image under a name of its own.
fn tee(folder: &TempDir, name: &str, features: &[&str]) -> PathBuf {
    let workspace = Workspace::locate().unwrap();
    let firmware = Firmware::build(&workspace, &[Program::Tee], &Progress::silent()).unwrap();
    let image = match features {
        [] => firmware.image(Program::Tee),
        features => {
            let name = features.join("-");
            firmware.build_variant(&workspace, Program::Tee, &name, features, &Progress::silent()).unwrap().image
        }
    };
    let file = folder.path().join(name);
    fs::copy(image, &file).unwrap();
    file
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn another_tee_gets_a_verdict_with_its_name() {
    let folder = TempDir::new().unwrap();
    let (good, bad) = (tee(&folder, "good.bin", &[]), tee(&folder, "bad.bin", &["as-reported"]));
    let junit = folder.path().join("result.xml");

    let passed = lab(&["run", &scenario("second-vm.toml"), "--tee", text(&good), "--junit", text(&junit)]);
    assert!(
        passed.status.success() && said(&passed).ends_with("PASS second-vm on good.bin; 1 not judged\n"),
        "{}",
        said(&passed)
    );
    let xml = fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("<property name=\"tee\" value=\"good.bin\"/>") && xml.contains("failures=\"0\""), "{xml}");

    let failed = lab(&["run", &scenario("second-vm.toml"), "--tee", text(&bad), "--junit", text(&junit)]);
    assert!(!failed.status.success(), "{}", said(&failed));
    assert!(said(&failed).contains("FAIL  no layer panics\n        [TEE] E/TC:0 0   Panic at"), "{}", said(&failed));
    assert!(said(&failed).ends_with("FAIL second-vm on bad.bin; 1 not judged\n"), "{}", said(&failed));
    let xml = fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("name=\"no layer panics\" classname=\"second-vm.cortex-a57 on bad.bin\""), "{xml}");
}

#[test]
fn a_matrix_of_another_tee_says_what_becomes_of_it() {
    let folder = TempDir::new().unwrap();
    let bad = tee(&folder, "bad.bin", &["as-reported", "fallible-pool"]);
    let junit = folder.path().join("result.xml");
    let failed = lab(&["reproduce", "--tee", text(&bad), "--junit", text(&junit)]);
    let said = said(&failed);
    assert!(!failed.status.success() && said.ends_with("FAIL reproduce bad.bin\n"), "{said}");
    assert!(said.contains("\nFAIL  bad.bin, VM_CREATED(0): wrong but alive\n"), "{said}");
    assert!(said.contains("\nFAIL  bad.bin, VM 0's heap has grown, VM_CREATED(1): panic\n"), "{said}");
    assert!(!said.contains("FAIL  bad.bin, two VMs created, used, destroyed"), "{said}");
    let xml = fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("tests=\"11\"") && xml.contains("<property name=\"tee\" value=\"bad.bin\"/>"), "{xml}");
}

#[test]
fn another_flash_runs_our_probe_and_our_hypervisor() {
    let folder = TempDir::new().unwrap();
    let flash = folder.path().join("theirs.bin");
    let written = lab(&["flash", "-o", text(&flash)]);
    assert!(written.status.success(), "{}", said(&written));
    // What the TEE gives its VMs it says in statistics of ours.
    for (file, name, rest) in
        [("second-vm.toml", "second-vm", "; 1 not judged"), ("guest-undefined-smc.toml", "guest-undefined-smc", "")]
    {
        let passed = lab(&["run", &scenario(file), "--flash", text(&flash)]);
        let said = said(&passed);
        assert!(passed.status.success() && said.ends_with(&format!("PASS {name} on theirs.bin{rest}\n")), "{said}");
    }
}

#[test]
fn files_that_are_no_such_image_are_named_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("script.sh");
    fs::write(&file, "#!/bin/sh\n").unwrap();
    let junit = folder.path().join("result.xml");
    let refused = lab(&["run", &scenario("second-vm.toml"), "--tee", text(&file), "--junit", text(&junit)]);
    let told = said(&refused);
    assert!(!refused.status.success() && told.contains("script.sh is no TEE for this machine: it is a text"), "{told}");
    // A CI system that finds no result, or an old one, would see nothing of it.
    let xml = fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("errors=\"1\"") && xml.contains("is no TEE for this machine"), "{xml}");
    let refused = lab(&["run", &scenario("second-vm.toml"), "--flash", text(&file)]);
    let told = said(&refused);
    assert!(!refused.status.success() && told.contains("script.sh is no flash for this machine"), "{told}");
}

#[test]
fn the_flash_of_a_scenario_does_by_itself_what_the_scenario_says() {
    let folder = TempDir::new().unwrap();
    let flash = folder.path().join("flash.bin");
    let written = lab(&["flash", &scenario("second-vm.toml"), "-o", text(&flash)]);
    assert!(written.status.success(), "{}", said(&written));
    // Nothing but the flash: not the lab's device tree.
    let line = lab_run::qemu::CommandLine::machine(&Hardware { cpus: 1, ..Hardware::default() }, "cortex-a57", &flash);
    let machine = Machine::with_line(&line, folder.path()).unwrap();
    let log = whole_log(machine, folder.path());
    assert!(log.contains("[probe] done: ") && log.contains(" 0 failed"), "{log}");
}

fn whole_log(mut machine: Machine, folder: &Path) -> String {
    use lab_run::machine::Event;
    let enough = std::time::Duration::from_secs(120);
    while let Event::Bytes(..) = machine.next_until(enough).unwrap() {}
    fs::read_to_string(folder.join("normal-world.txt")).unwrap()
}
