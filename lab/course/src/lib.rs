// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab check`: whether the exercises of the course are done.
//!
//! An exercise is a small file in `docs/course/exercises/` that the student changes. It is judged by what machines do
//! with it: the checker boots what was written, and often also a machine on which it must *not* hold, because an
//! expectation that holds on every machine says nothing. There is no answer to compare with.
//!
//! What is asked is the checker's own, in `questions/`: of the student's file it takes the answers and nothing else.
//!
//! | module | what |
//! |---|---|
//! | `first_smc`, `boot`, `world_switch`, `two_guests` | exercises 1 to 4 |
//! | `message`, `second_vm`, `remedies`, `defence` | exercises 5 to 8 |
//! | `function` | exercise 8's function, tried on the host |
//! | `registers` | what is wrong with a list of registers (exercise 3) |
//! | `overlay` | a layer built with the student's file in it |
//! | [`Sheet`], `question` | an exercise's file as it was handed in; one of its questions |
//! | [`Bench`], `grade` | boots machines with the answers; holds the answers against what those machines did |
#![forbid(unsafe_code)]
// They panic where nobody reads any more; `lab_run::screen` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![deny(unreachable_pub)]

mod bench;
mod boot;
mod defence;
mod first_smc;
mod function;
mod grade;
mod message;
mod overlay;
mod question;
mod registers;
mod remedies;
mod second_vm;
mod sheet;
mod two_guests;
mod world_switch;

pub use bench::Bench;
pub use sheet::Sheet;

use anyhow::{Context, Result};
use lab_run::files::shown;
use lab_run::judge::Verdict;
use lab_run::lock;
use lab_run::progress::Progress;
use lab_run::say;
use lab_run::screen::print;
use lab_run::workspace::Workspace;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// An exercise of the course.
pub struct Exercise {
    /// The chapter's number.
    pub number: u8,
    /// What it is about.
    pub title: &'static str,
    /// The chapter, from the root of the checkout.
    pub chapter: &'static str,
    /// The files that the student changes, in the folder of the exercises.
    pub files: &'static [&'static str],
    /// What the first of them is asked: the file with its questions in the places of its holes.
    pub questions: &'static str,
    judge: fn(&Bench<'_>, &Sheet) -> Result<Vec<Verdict>>,
}

/// All of them, in order.
pub const EXERCISES: [Exercise; 8] = [
    Exercise {
        number: 1,
        title: "the first SMC",
        chapter: "docs/course/01-first-smc.md",
        files: &["01.toml"],
        questions: include_str!("questions/01.toml"),
        judge: first_smc::judge,
    },
    Exercise {
        number: 2,
        title: "a chain that stops where it must",
        chapter: "docs/course/02-boot.md",
        files: &["02.toml"],
        questions: include_str!("questions/02.toml"),
        judge: boot::judge,
    },
    Exercise {
        number: 3,
        title: "what a world switch must keep",
        chapter: "docs/course/03-world-switch.md",
        files: &["03.toml"],
        questions: include_str!("questions/03.toml"),
        judge: world_switch::judge,
    },
    Exercise {
        number: 4,
        title: "one address, two memories",
        chapter: "docs/course/04-two-guests.md",
        files: &["04.toml"],
        questions: include_str!("questions/04.toml"),
        judge: two_guests::judge,
    },
    Exercise {
        number: 5,
        title: "a message by hand, and a double fetch that is none",
        chapter: "docs/course/05-messages.md",
        files: &["05.toml"],
        questions: include_str!("questions/05.toml"),
        judge: message::judge,
    },
    Exercise {
        number: 6,
        title: "the report, past a patch",
        chapter: "docs/course/06-second-vm.md",
        files: &["06.toml"],
        questions: include_str!("questions/06.toml"),
        judge: second_vm::judge,
    },
    Exercise {
        number: 7,
        title: "what each remedy makes of it",
        chapter: "docs/course/07-trust.md",
        files: &["07.toml"],
        questions: include_str!("questions/07.toml"),
        judge: remedies::judge,
    },
    Exercise {
        number: 8,
        title: "an attack, and the defence",
        chapter: "docs/course/08-break-it.md",
        files: &["08.toml", "08.rs"],
        questions: include_str!("questions/08.toml"),
        judge: defence::judge,
    },
];

/// Says where the exercises are.
pub fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root().join("docs/course/exercises")
}

/// Makes a verdict: something is as it should be, or isn't.
fn verdict(holds: bool, claim: impl Into<String>, evidence: impl Into<String>) -> Verdict {
    Verdict::new(holds, claim, evidence)
}

impl Exercise {
    /// Returns the exercise of this number.
    pub fn of(number: u8) -> Option<&'static Self> {
        EXERCISES.iter().find(|exercise| exercise.number == number)
    }

    /// Reads what was handed in in `folder`: what is missing, no answer, or not the exercise's stands in its faults.
    pub fn sheet(&self, workspace: &Workspace, folder: &Path) -> Result<Sheet> {
        Sheet::read(&folder.join(self.files[0]), self.questions, &self::folder(workspace))
    }

    /// Judges the files in `folder`: first whether they answer what is asked, then what machines make of them. With
    /// `numbers` whoever is wrong is told what the machine said, too.
    pub fn check(
        &self,
        workspace: &Workspace,
        folder: &Path,
        numbers: bool,
        progress: &Progress,
    ) -> Result<Vec<Verdict>> {
        let sheet = self.sheet(workspace, folder)?;
        if !sheet.faults.is_empty() {
            return Ok(sheet.faults);
        }
        // Variants of the layers are built in one folder.
        let _turn = lock::hold(&workspace.target().join("check"), progress)?;
        (self.judge)(&Bench::new(workspace, progress, self.number, folder, numbers), &sheet)
    }

    /// Writes what a check of the files in `folder` came to, for people; the last line is PASS or FAIL.
    pub fn report(&self, workspace: &Workspace, verdicts: &[Verdict], folder: &Path) -> String {
        let mut text = format!("exercise {}: {}\n", self.number, self.title);
        for verdict in verdicts {
            let mark = if verdict.holds { "ok  " } else { "FAIL" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{mark}  {}", verdict.claim);
            for line in verdict.evidence.lines() {
                let _ = writeln!(text, "        {line}");
            }
        }
        if passed(verdicts) {
            let _ = writeln!(text, "PASS check {}", self.number);
        } else {
            let chapter = shown(&workspace.root().join(self.chapter));
            let files: Vec<_> = self.files.iter().map(|file| shown(&folder.join(file))).collect();
            let _ = writeln!(text, "what to do: {chapter}; what to change: {}", files.join(", "));
            let _ = writeln!(text, "FAIL check {}", self.number);
        }
        text
    }
}

/// Says whether an exercise is done.
pub fn passed(verdicts: &[Verdict]) -> bool {
    !verdicts.is_empty() && verdicts.iter().all(|verdict| verdict.holds)
}

/// Judges one exercise and prints what came of it; without a number, lists them.
pub fn check(
    workspace: &Workspace,
    number: Option<u8>,
    files: Option<&Path>,
    numbers: bool,
    progress: &Progress,
) -> Result<bool> {
    let Some(number) = number else {
        for exercise in &EXERCISES {
            let chapter = shown(&workspace.root().join(exercise.chapter));
            say!("{}  {} ({chapter})", exercise.number, exercise.title);
        }
        return Ok(true);
    };
    let exercise =
        Exercise::of(number).with_context(|| format!("there is no exercise {number}; `cargo lab check` lists them"))?;
    let folder = files.map_or_else(|| folder(workspace), Path::to_path_buf);
    let verdicts = exercise.check(workspace, &folder, numbers, progress)?;
    progress.finish();
    let answered = exercise.sheet(workspace, &folder)?.faults.is_empty();
    if answered && !numbers && !passed(&verdicts) {
        say!("with --numbers you are also told what the machine said where you are wrong");
    }
    print(exercise.report(workspace, &verdicts, &folder));
    Ok(passed(&verdicts))
}
