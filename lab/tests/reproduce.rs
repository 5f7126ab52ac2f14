// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reported bug is in the image that has it, gone with each remedy as far as that goes, and nowhere else.

use lab_reproduce::table::{Cell, Table};
use lab_reproduce::{Matrix, reproduce};
use lab_run::firmware::{Firmware, Program};
use lab_run::progress::Progress;
use lab_run::stack::Stack;
use lab_run::workspace::Workspace;
use std::fs;

/// Names that only the report's TEE has, in its symbols or its texts.
const ITS_OWN: [&str; 6] = ["as_reported", "bpool", "bget", "poolset", "E/TC:", "Added guest"];

fn traces(bytes: &[u8]) -> Vec<&'static str> {
    let mut found = ITS_OWN.to_vec();
    found.retain(|name| bytes.windows(name.len()).any(|window| window == name.as_bytes()));
    found
}

/// Checks that the page has both tables as they came, and says of each remedy what that makes of a call.
fn is_what_the_page_says(matrix: &Matrix, page: &str) {
    for table in [matrix.cells_table(), matrix.costs_table()] {
        let block: String = table.lines().map(|line| format!("    {line}\n")).collect();
        assert!(page.contains(&block), "docs/second-vm.md does not have this table:\n{block}");
    }
    let report = matrix.report();
    for line in page.lines().map(str::trim).filter(|line| line.starts_with("[TEE] ") || line.starts_with("exception: "))
    {
        // Where an image of another day has something else there is a `…`.
        let pieces: Vec<_> = line.split('…').collect();
        let is_it = |said: &str| pieces.iter().try_fold(said, |rest, piece| Some(rest.split_once(piece)?.1)).is_some();
        assert!(report.lines().any(is_it), "docs/second-vm.md: nobody says {line}");
    }
    let mut rows = page.lines().filter(|line| line.starts_with('|')).map(|line| line.trim_matches('|').split(" | "));
    let calls: Vec<_> = rows.by_ref().map(Vec::from_iter).find(|head| head[0].trim() == "remedy").unwrap();
    let mut told = 0;
    for row in rows.skip(1).map(Vec::from_iter).take(3) {
        let remedy = row[0].trim().trim_matches('`');
        for (call, words) in calls.iter().zip(row.iter()).skip(1) {
            let cost = |tee: &str| matrix.cost(tee, call.trim()).unwrap().cast_signed();
            let more = cost(remedy) - cost("as-reported");
            let expected = match more {
                0 => "the same".to_owned(),
                1.. => format!("{more} more"),
                _ => format!("{} fewer", -more),
            };
            assert!(
                words.trim().starts_with(&expected),
                "docs/second-vm.md: {remedy}, {call}: {expected}, not {words}"
            );
            told += 1;
        }
    }
    assert_eq!(told, 9);
}

#[test]
fn every_remedy_does_what_is_recorded_and_the_default_image_has_nothing_of_the_bug() {
    let workspace = Workspace::locate().unwrap();
    let progress = Progress::silent();
    let matrix = reproduce(&workspace, &Stack::default(), &progress).unwrap();
    assert!(matrix.passed(), "\n{}", matrix.report());
    is_what_the_page_says(&matrix, &fs::read_to_string(workspace.root().join("docs/second-vm.md")).unwrap());

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
