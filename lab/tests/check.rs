//! The exercises of the course: untouched ones fail and say where, right answers pass, wrong ones don't.
//!
//! `answers/` holds one right answer of each. They are judged where they are; the exercises are never edited.

use lab::check::{EXERCISES, Exercise, folder, passed};
use lab::judge::Verdict;
use lab::progress::Progress;
use lab::workspace::Workspace;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

fn workspace() -> Workspace {
    Workspace::locate().unwrap()
}

fn answers() -> PathBuf {
    workspace().root().join("lab/tests/answers")
}

/// The exercises as they are committed: somebody who has done one should not see a test fail for that. Outside of a
/// checkout of git, as they are.
fn untouched() -> PathBuf {
    let root = workspace().root().to_path_buf();
    let copy = root.join("target/check/untouched");
    fs::create_dir_all(&copy).unwrap();
    for file in EXERCISES.iter().flat_map(|exercise| exercise.files) {
        let path = format!("docs/course/exercises/{file}");
        let committed = Command::new("git").arg("-C").arg(&root).args(["show", &format!("HEAD:{path}")]).output();
        let text = match committed {
            Ok(output) if output.status.success() => output.stdout,
            _ => fs::read(root.join(&path)).unwrap(),
        };
        fs::write(copy.join(file), text).unwrap();
    }
    copy
}

/// Exercises build variants of the layers in one folder, and boot machines: one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn judge(number: u8, folder: &Path) -> Vec<Verdict> {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    Exercise::of(number).unwrap().check(&workspace(), folder, &Progress::silent()).unwrap()
}

fn report(number: u8, verdicts: &[Verdict]) -> String {
    Exercise::of(number).unwrap().report(verdicts)
}

/// The answer to an exercise with one thing in it changed. It stands as deep in the checkout as the exercise does, so that
/// what it includes is found.
fn changed(number: u8, name: &str, from: &str, to: &str) -> PathBuf {
    let folder = workspace().root().join(format!("target/check/answer-{number}"));
    fs::create_dir_all(&folder).unwrap();
    for file in Exercise::of(number).unwrap().files {
        let mut text = fs::read_to_string(answers().join(file)).unwrap();
        if *file == name {
            assert_eq!(text.matches(from).count(), 1, "{from}");
            text = text.replace(from, to);
        }
        fs::write(folder.join(file), text).unwrap();
    }
    folder
}

fn passes(number: u8) {
    let verdicts = judge(number, &answers());
    assert!(passed(&verdicts), "{}", report(number, &verdicts));
}

/// A wrong answer fails, and this is among what the checker says.
fn fails(number: u8, name: &str, from: &str, to: &str, says: &str) {
    let verdicts = judge(number, &changed(number, name, from, to));
    let text = report(number, &verdicts);
    assert!(!passed(&verdicts) && text.contains(says), "{text}");
}

#[test]
fn untouched_exercises_fail_and_say_what_is_missing_and_where_to_read() {
    let workspace = workspace();
    let untouched = untouched();
    for exercise in &EXERCISES {
        assert!(exercise.files.iter().all(|file| folder(&workspace).join(file).is_file()));
        let verdicts = judge(exercise.number, &untouched);
        let text = report(exercise.number, &verdicts);
        assert!(!passed(&verdicts), "{text}");
        assert!(text.contains(&format!("{}:", exercise.files[0])) && text.contains("is filled in"), "{text}");
        assert!(text.contains(exercise.chapter) && workspace.root().join(exercise.chapter).is_file(), "{text}");
        assert!(text.ends_with(&format!("FAIL check {}\n", exercise.number)), "{text}");
    }
}

#[test]
fn every_chapter_has_its_exercise_and_every_answer_its_holes_filled_only() {
    let numbers: Vec<_> = EXERCISES.iter().map(|exercise| exercise.number).collect();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    let untouched = untouched();
    for exercise in &EXERCISES {
        for file in exercise.files.iter().filter(|file| file.ends_with(".toml")) {
            let asked = fs::read_to_string(untouched.join(file)).unwrap();
            let answered = fs::read_to_string(answers().join(file)).unwrap();
            // Lines without a hole are the same: an answer needs no more than what is asked.
            for (asked, answered) in asked.lines().zip(answered.lines()) {
                assert!(asked.contains("\"?\"") || asked == answered, "{file}: {answered}");
            }
        }
    }
}

#[test]
fn exercise_1_is_judged_by_the_machine() {
    passes(1);
    fails(1, "01.toml", "expect = { x0 = 0x1_0001 }", "expect = { x0 = 0x1_0002 }", "x0 = 0x10001, expected 0x10002");
}

#[test]
#[ignore = "boots machines that wait in vain"]
fn exercise_2_is_judged_by_the_machine() {
    passes(2);
    fails(2, "02.toml", "flip = \"bl32\"", "flip = \"bl33\"", "FAIL  the boot stage refuses BL32");
    // What every boot says tells no machine from another.
    fails(
        2,
        "02.toml",
        "BL32 (TEE): wrong SHA-256; stopped",
        "Triptych secure monitor",
        "FAIL  with the hypervisor's image damaged",
    );
}

#[test]
#[ignore = "builds monitors"]
fn exercise_3_is_judged_by_the_machine() {
    passes(3);
    fails(3, "03.toml", "\"tpidr_el0\", ", "", "the other world's number is in tpidr_el0\n");
    fails(3, "03.toml", "\"sp_el0\"", "\"vttbr_el2\"", "FAIL  vttbr_el2 needs to be kept");
}

#[test]
#[ignore = "boots six machines"]
fn exercise_4_is_judged_by_the_machine() {
    passes(4);
    fails(4, "04.toml", "vmid = 2", "vmid = 1", "FAIL");
    fails(4, "04.toml", "\"64M\"", "\"32M\"", "FAIL");
}

#[test]
#[ignore = "boots four machines"]
fn exercise_5_is_judged_by_the_machine() {
    passes(5);
    fails(5, "05.toml", "0x5340_DEDD_88A6_1170", "0x7011_A688_DDDE_4053", "expected");
    // A message that stays as it was shows nothing.
    fails(5, "05.toml", "values = [0xA, \"TEE\", 16, 0]", "values = [2, 0, 0, 0]", "the message was changed");
}

#[test]
#[ignore = "builds the report's TEE"]
fn exercise_6_is_judged_by_the_machine() {
    passes(6);
    fails(6, "06.toml", "x1 = 0x1_0000", "x1 = 0", "is 0, and each is written as a number");
    fails(6, "06.toml", "x1 = 0x1_0000", "x1 = 2", "FAIL  the report's TEE dies");
}

#[test]
#[ignore = "plays four sequences to five TEEs"]
fn exercise_7_is_judged_by_the_machine() {
    passes(7);
    let first = "cells.as-reported = \"panic\"";
    fails(7, "07.toml", first, "cells.as-reported = \"correct\"", "you predict correct, it is panic");
}

#[test]
#[ignore = "builds TEEs"]
fn exercise_8_is_judged_by_the_machine() {
    passes(8);
    // A script that a TEE with the hole plays as well, and a check that is as it was found.
    fails(8, "08.toml", "size = \"-data\"", "size = \"RAM_END\"", "FAIL  it does not hold on a TEE with the hole");
    fails(
        8,
        "08.rs",
        "pa.checked_add(len).is_some_and(|end| end <= base + size)",
        "pa + len <= base + size",
        "FAIL  your script holds on a TEE with your 08.rs",
    );
}
