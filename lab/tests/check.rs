// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exercises of the course: untouched ones fail and say where, right answers pass, wrong ones don't.
//!
//! `answers/` holds one right answer of each; the exercises themselves are never edited. `cheats/` holds, for each,
//! what somebody would hand in who wants it to pass, and right answers that are written in another way.

use lab_course::{EXERCISES, Exercise, folder, passed};
use lab_run::files::shown;
use lab_run::progress::Progress;
use lab_run::workspace::Workspace;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

fn workspace() -> Workspace {
    Workspace::locate().unwrap()
}

fn answers() -> PathBuf {
    workspace().root().join("lab/tests/answers")
}

/// Copies the exercises as they are committed: somebody who has done one should not see a test fail for that. Outside
/// of a checkout of git, as they are.
fn untouched() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(copy_untouched)
}

fn copy_untouched() -> PathBuf {
    let root = workspace().root().to_path_buf();
    let copy = workspace().target().join("check/untouched");
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

/// Judges the files in a folder: what is said of them, and whether they pass. A file that can't be read is told as
/// well.
fn judge(number: u8, folder: &Path, numbers: bool) -> (bool, String) {
    let exercise = Exercise::of(number).unwrap();
    match exercise.check(&workspace(), folder, numbers, &Progress::silent()) {
        Ok(verdicts) => (passed(&verdicts), exercise.report(&workspace(), &verdicts, folder)),
        Err(error) => (false, format!("{error:#}")),
    }
}

/// What is handed in for an exercise: its right answer with something replaced.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Handed {
    why: String,
    /// Where; else in the exercise's first file.
    file: Option<String>,
    #[serde(default)]
    replace: Vec<[String; 2]>,
    /// Lines with this in them are left out.
    #[serde(default)]
    without: Vec<String>,
    /// In the place of exercise 3's list.
    list: Option<String>,
    /// What is said of it.
    says: Option<String>,
    /// What is not said of it unless one asks.
    hides: Option<String>,
    /// Only a machine can tell.
    #[serde(default)]
    machine: bool,
}

/// What is handed in by those who cheat, and by those who write in another way.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cheats {
    wrong: Vec<Handed>,
    right: Vec<Handed>,
}

impl Cheats {
    fn of(number: u8) -> Self {
        let file = workspace().root().join(format!("lab/tests/cheats/{number:02}.toml"));
        toml::from_str(&fs::read_to_string(&file).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }
}

impl Handed {
    /// Writes the files into a folder that lies in no checkout.
    fn write(&self, exercise: &Exercise) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in exercise.files {
            let mut text = fs::read_to_string(answers().join(file)).unwrap();
            if *file == self.file.as_deref().unwrap_or(exercise.files[0]) {
                for [from, to] in &self.replace {
                    assert_eq!(text.matches(from.as_str()).count(), 1, "{}: {from}", self.why);
                    text = text.replace(from, to);
                }
                text = text
                    .lines()
                    .filter(|line| !self.without.iter().any(|part| line.contains(part)))
                    .map(|line| format!("{line}\n"))
                    .collect();
                if let Some(list) = &self.list {
                    text = format!("keep = {list}\n");
                }
            }
            fs::write(folder.path().join(file), text).unwrap();
        }
        folder
    }

    fn fails(&self, exercise: &Exercise) {
        let folder = self.write(exercise);
        let (passed, text) = judge(exercise.number, folder.path(), false);
        let says = self.says.as_deref().unwrap();
        assert!(!passed, "exercise {} passes: {}\n{text}", exercise.number, self.why);
        assert!(text.contains(says), "{}: not said: {says}\n{text}", self.why);
        assert!(
            !self.hides.as_ref().is_some_and(|hidden| text.contains(hidden)),
            "{}: told too much:\n{text}",
            self.why
        );
    }
}

/// Checks that the answer passes, and so do the other ways to write it, and that wrong ones that only a machine knows
/// of do not.
fn is_judged_by_the_machine(number: u8) {
    let exercise = Exercise::of(number).unwrap();
    let (passed, text) = judge(number, &answers(), false);
    assert!(passed, "{text}");
    let Cheats { wrong, right } = Cheats::of(number);
    for handed in right {
        let folder = handed.write(exercise);
        let (passed, text) = judge(number, folder.path(), false);
        assert!(passed, "{}\n{text}", handed.why);
    }
    for handed in wrong.iter().filter(|handed| handed.machine) {
        handed.fails(exercise);
    }
}

#[test]
fn untouched_exercises_fail_and_say_what_is_missing_and_where_to_read() {
    let workspace = workspace();
    let untouched = untouched();
    for exercise in &EXERCISES {
        assert!(exercise.files.iter().all(|file| folder(&workspace).join(file).is_file()));
        let (passed, text) = judge(exercise.number, untouched, false);
        assert!(!passed, "{text}");
        assert!(text.contains(&format!("{}:", exercise.files[0])) && text.contains("is filled in"), "{text}");
        let chapter = workspace.root().join(exercise.chapter);
        assert!(text.contains(&format!("what to do: {};", shown(&chapter))) && chapter.is_file(), "{text}");
        // The files that were judged, wherever they are: these tests run in a folder of the checkout.
        let files: Vec<_> = exercise.files.iter().map(|file| shown(&untouched.join(file))).collect();
        assert!(text.contains(&format!("what to change: {}\n", files.join(", "))), "{text}");
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

/// Returns an exercise's file with its questions left open.
fn left_open(questions: &toml::Value) -> toml::Value {
    match questions {
        toml::Value::Table(table) if table.contains_key("ask") => "?".into(),
        toml::Value::Table(table) => {
            table.iter().map(|(key, value)| (key.clone(), left_open(value))).collect::<toml::Table>().into()
        }
        toml::Value::Array(list) => list.iter().map(left_open).collect::<Vec<_>>().into(),
        other => other.clone(),
    }
}

#[test]
fn an_exercise_has_a_hole_wherever_the_checker_has_a_question_and_is_the_same_otherwise() {
    let untouched = untouched();
    for exercise in &EXERCISES {
        let text = fs::read_to_string(untouched.join(exercise.files[0])).unwrap();
        let mut file: toml::Value = toml::from_str(&text).unwrap();
        // A list of names may begin with some.
        if let Some(toml::Value::Array(keep)) = file.get("keep") {
            assert_eq!(keep.last(), Some(&"?".into()));
            file["keep"] = "?".into();
        }
        let questions: toml::Value = toml::from_str(exercise.questions).unwrap();
        assert_eq!(file, left_open(&questions), "exercise {}", exercise.number);
    }
}

#[test]
fn who_cheats_fails_before_any_machine_is_booted() {
    for exercise in &EXERCISES {
        let wrong = Cheats::of(exercise.number).wrong;
        assert!(wrong.len() >= 15, "exercise {}", exercise.number);
        for handed in wrong.iter().filter(|handed| !handed.machine) {
            handed.fails(exercise);
        }
    }
}

#[test]
fn what_the_machine_said_is_told_to_whoever_asks() {
    let text = fs::read_to_string(answers().join("01.toml")).unwrap().replace("0x1_0004", "0x1_0002");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("01.toml"), text).unwrap();
    let said = "the machine: x0 = 0x10004, expected 0x10002";
    assert!(!judge(1, folder.path(), false).1.contains(said));
    assert!(judge(1, folder.path(), true).1.contains(said));
}

#[test]
fn a_file_that_is_no_toml_is_named_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("01.toml"), "name = 'x'\n[machine\n").unwrap();
    let (passed, text) = judge(1, folder.path(), false);
    assert!(!passed && text.starts_with(&format!("{}:2: ", folder.path().join("01.toml").display())), "{text}");
}

#[test]
fn exercise_1_is_judged_by_the_machine() {
    is_judged_by_the_machine(1);
}

#[test]
#[ignore = "boots many machines"]
fn exercise_2_is_judged_by_the_machine() {
    is_judged_by_the_machine(2);
}

#[test]
#[ignore = "builds monitors"]
fn exercise_3_is_judged_by_the_machine() {
    is_judged_by_the_machine(3);
}

#[test]
#[ignore = "boots many machines"]
fn exercise_4_is_judged_by_the_machine() {
    is_judged_by_the_machine(4);
}

#[test]
#[ignore = "boots many machines"]
fn exercise_5_is_judged_by_the_machine() {
    is_judged_by_the_machine(5);
}

#[test]
#[ignore = "builds the report's TEE"]
fn exercise_6_is_judged_by_the_machine() {
    is_judged_by_the_machine(6);
}

#[test]
#[ignore = "plays four sequences to five TEEs, several times"]
fn exercise_7_is_judged_by_the_machine() {
    is_judged_by_the_machine(7);
}

#[test]
#[ignore = "builds TEEs"]
fn exercise_8_is_judged_by_the_machine() {
    is_judged_by_the_machine(8);
}
