//! The reported bug is in the image that has it, gone with each remedy as far as that goes, and nowhere else.

use lab::firmware::{Firmware, Program};
use lab::progress::Progress;
use lab::reproduce::reproduce;
use lab::reproduce::table::{Cell, Table};
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
    let matrix = reproduce(&workspace, &progress).unwrap();
    assert!(matrix.passed(), "\n{}", matrix.report());

    // Both as they were just built and booted.
    let firmware = Firmware::build(&workspace, &[Program::Tee], &progress).unwrap();
    let default = [firmware.elf(Program::Tee), firmware.image(Program::Tee)];
    let reported = default.clone().map(|file| {
        let folder = if file.extension().is_some() { workspace.images() } else { workspace.symbols() };
        let ending = if file.extension().is_some() { "bin" } else { "elf" };
        folder.unwrap().join(format!("tee-core-as-reported.{ending}"))
    });
    for file in default {
        assert_eq!(traces(&fs::read(&file).unwrap()), [""; 0], "{}", file.display());
    }
    // The search finds them where they are.
    assert_eq!(traces(&fs::read(&reported[0]).unwrap()), ITS_OWN);
    assert!(traces(&fs::read(&reported[1]).unwrap()).contains(&"bpool"));
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
