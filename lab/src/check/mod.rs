//! `lab check`: whether the exercises of the course are done.
//!
//! An exercise is a small file in `docs/course/exercises/` that the student changes. It is judged by what machines do
//! with it: the checker boots what was written, and often also a machine on which it must *not* hold, because an
//! expectation that holds on every machine says nothing. There is no answer to compare with.

mod bench;
mod boot;
mod calls;
mod defence;
mod first_smc;
mod holes;
mod message;
mod overlay;
mod remedies;
mod second_vm;
mod two_guests;
mod world_switch;

pub use bench::Bench;

use crate::judge::Verdict;
use crate::progress::Progress;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::fs;
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
    judge: fn(&Bench<'_>) -> Result<Vec<Verdict>>,
}

/// All of them, in order.
pub const EXERCISES: [Exercise; 8] = [
    Exercise {
        number: 1,
        title: "the first SMC",
        chapter: "docs/course/01-first-smc.md",
        files: &["01.toml"],
        judge: first_smc::judge,
    },
    Exercise {
        number: 2,
        title: "a chain that stops where it must",
        chapter: "docs/course/02-boot.md",
        files: &["02.toml"],
        judge: boot::judge,
    },
    Exercise {
        number: 3,
        title: "what a world switch must keep",
        chapter: "docs/course/03-world-switch.md",
        files: &["03.toml"],
        judge: world_switch::judge,
    },
    Exercise {
        number: 4,
        title: "one address, two memories",
        chapter: "docs/course/04-two-guests.md",
        files: &["04.toml"],
        judge: two_guests::judge,
    },
    Exercise {
        number: 5,
        title: "a message by hand, and a double fetch that is none",
        chapter: "docs/course/05-messages.md",
        files: &["05.toml"],
        judge: message::judge,
    },
    Exercise {
        number: 6,
        title: "the report, past a patch",
        chapter: "docs/course/06-second-vm.md",
        files: &["06.toml"],
        judge: second_vm::judge,
    },
    Exercise {
        number: 7,
        title: "what each remedy makes of it",
        chapter: "docs/course/07-trust.md",
        files: &["07.toml"],
        judge: remedies::judge,
    },
    Exercise {
        number: 8,
        title: "an attack, and the defence",
        chapter: "docs/course/08-break-it.md",
        files: &["08.toml", "08.rs"],
        judge: defence::judge,
    },
];

/// Where the exercises are.
pub fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root().join("docs/course/exercises")
}

/// Something that is as it should be, or isn't.
fn verdict(holds: bool, claim: impl Into<String>, evidence: impl Into<String>) -> Verdict {
    Verdict { holds, claim: claim.into(), evidence: evidence.into() }
}

impl Exercise {
    /// The exercise of this number.
    pub fn of(number: u8) -> Option<&'static Self> {
        EXERCISES.iter().find(|exercise| exercise.number == number)
    }

    /// Judges the files in `folder`: first whether they are filled in, then what machines make of them.
    pub fn check(&self, workspace: &Workspace, folder: &Path, progress: &Progress) -> Result<Vec<Verdict>> {
        let mut open = Vec::new();
        for name in self.files {
            let file = folder.join(name);
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            for hole in holes::holes(&text) {
                open.push(verdict(false, format!("{name}:{} is filled in", hole.line), hole.text));
            }
        }
        if !open.is_empty() {
            return Ok(open);
        }
        let bench = Bench::new(workspace, progress, self.number, folder);
        (self.judge)(&bench)
    }

    /// What a check came to, for people; its last line is PASS or FAIL.
    pub fn report(&self, verdicts: &[Verdict]) -> String {
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
            let files: Vec<_> = self.files.iter().map(|file| format!("docs/course/exercises/{file}")).collect();
            let _ = writeln!(text, "what to do: {}; what to change: {}", self.chapter, files.join(", "));
            let _ = writeln!(text, "FAIL check {}", self.number);
        }
        text
    }
}

/// Whether an exercise is done.
pub fn passed(verdicts: &[Verdict]) -> bool {
    !verdicts.is_empty() && verdicts.iter().all(|verdict| verdict.holds)
}

/// Judges one exercise and prints what came of it; without a number, lists them.
pub fn check(workspace: &Workspace, number: Option<u8>, files: Option<&Path>, progress: &Progress) -> Result<bool> {
    let Some(number) = number else {
        for exercise in &EXERCISES {
            println!("{}  {} ({})", exercise.number, exercise.title, exercise.chapter);
        }
        return Ok(true);
    };
    let exercise =
        Exercise::of(number).with_context(|| format!("there is no exercise {number}; `cargo lab check` lists them"))?;
    let folder = files.map_or_else(|| folder(workspace), Path::to_path_buf);
    let verdicts = exercise.check(workspace, &folder, progress)?;
    progress.finish();
    print!("{}", exercise.report(&verdicts));
    Ok(passed(&verdicts))
}
