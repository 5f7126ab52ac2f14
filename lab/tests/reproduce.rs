// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reported bug is in the image that has it, gone with each remedy as far as that goes, and nowhere else.

use lab::firmware::{Firmware, Program};
use lab::progress::Progress;
use lab::reproduce::reproduce;
use lab::reproduce::table::{Cell, Table};
use lab::stack::Stack;
use lab::workspace::Workspace;
use std::fs;

/// Names that only the report's TEE has, in its symbols or its texts.
const ITS_OWN: [&str; 6] = ["as_reported", "bpool", "bget", "poolset", "E/TC:", "Added guest"];

fn traces(bytes: &[u8]) -> Vec<&'static str> {
    let mut found = ITS_OWN.to_vec();
    found.retain(|name| bytes.windows(name.len()).any(|window| window == name.as_bytes()));
    found
}

#[test]
fn every_remedy_does_what_is_recorded_and_the_default_image_has_nothing_of_the_bug() {
    let workspace = Workspace::locate().unwrap();
    let progress = Progress::silent();
    let matrix = reproduce(&workspace, &Stack::Ours, &progress).unwrap();
    assert!(matrix.passed(), "\n{}", matrix.report());

    // Both as they were just built and booted.
    let firmware = Firmware::build(&workspace, &[Program::Tee], &progress).unwrap();
    let (elf, image) = (firmware.elf(Program::Tee), firmware.image(Program::Tee));
    for file in [elf, image] {
        assert_eq!(traces(&fs::read(&file).unwrap()), [""; 0], "{}", file.display());
    }
    // The search finds them where they are.
    let reported_elf = workspace.symbols().unwrap().join("tee-core-as-reported.elf");
    let reported_image = workspace.images().unwrap().join("tee-core-as-reported.bin");
    assert_eq!(traces(&fs::read(reported_elf).unwrap()), ITS_OWN);
    assert!(traces(&fs::read(reported_image).unwrap()).contains(&"bpool"));
}

#[test]
fn what_is_recorded_is_what_the_report_says() {
    let table = Table::read(&Workspace::locate().unwrap().scenarios().join("reproduce/matrix.toml")).unwrap();
    let report = table.sequences.iter().find(|sequence| sequence.play == "report").unwrap();
    assert_eq!(report.cells["as-reported"], Cell::Panic);
    assert!(table.sequences.iter().all(|sequence| {
        let good = sequence.cells["default"];
        good == Cell::Correct || good == Cell::Refused
    }));
}
