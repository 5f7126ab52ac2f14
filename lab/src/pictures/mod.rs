// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab pictures`: the pictures of the course, drawn from runs.
//!
//! Each is one traced run and what of its records is shown. They are committed, so that the course can be read without
//! running anything, and drawn anew when what they show has changed.

mod matrix;
mod memory;
mod steps;
mod svg;

use crate::command::run::keep;
use anyhow::{Context, Result, ensure};
use lab_reproduce::reproduce;
use lab_run::plan::Plan;
use lab_run::prepare::{Kit, prepare};
use lab_run::progress::Progress;
use lab_run::run::run;
use lab_run::scenario::Scenario;
use lab_run::stack::Stack;
use lab_run::workspace::{Workspace, write_if_changed};
use lab_trace::{Trace, Tracing};
use svg::Drawing;

/// What of a run is shown.
enum Show {
    /// Calls, by the names of their functions, each after the one before.
    Calls(&'static [&'static str]),
    /// The layers' beginning.
    Boot,
    /// Where the VMs' RAM is.
    Stage2,
}

/// A picture of a traced run.
struct Picture {
    /// Its name, without extension.
    name: &'static str,
    /// For those who can't see it.
    title: &'static str,
    /// What is run, from the root of the checkout.
    scenario: &'static str,
    /// What the TEE is built with.
    tee: &'static [&'static str],
    show: Show,
}

/// The picture that no trace shows.
const MATRIX: &str = "07-trust";

const PICTURES: [Picture; 7] = [
    Picture {
        name: "01-first-smc",
        title: "Two SMCs of the probe: one that EL3 answers, one that goes to the TEE and back",
        scenario: "docs/course/pictures/01.toml",
        tee: &[],
        show: Show::Calls(&["SMCCC_VERSION", "OPTEE_SMC_CALLS_UID"]),
    },
    Picture {
        name: "02-boot",
        title: "The layers begin, one after another",
        scenario: "scenarios/guest-undefined-smc.toml",
        tee: &[],
        show: Show::Boot,
    },
    Picture {
        name: "03-world-switch",
        title: "A guest's call to the TEE, level by level, with instructions",
        scenario: "scenarios/guest-undefined-smc.toml",
        tee: &[],
        show: Show::Calls(&["OPTEE_SMC_CALL_WITH_REGD_ARG"]),
    },
    Picture {
        name: "04-two-guests",
        title: "Where the RAM of two VMs is, as each sees it and as it is",
        scenario: "docs/course/pictures/04.toml",
        tee: &[],
        show: Show::Stage2,
    },
    Picture {
        name: "05-messages",
        title: "A yielding call that asks for the time: the call, three RPCs and the end",
        scenario: "docs/course/pictures/05.toml",
        tee: &[],
        show: Show::Calls(&[
            "OPTEE_SMC_CALL_WITH_ARG",
            "OPTEE_SMC_CALL_WITH_ARG",
            "OPTEE_SMC_CALL_RETURN_FROM_RPC",
            "OPTEE_SMC_CALL_RETURN_FROM_RPC",
            "OPTEE_SMC_CALL_RETURN_FROM_RPC",
        ]),
    },
    Picture {
        name: "06-second-vm",
        title: "The report's two calls, and the free list that does not close",
        scenario: "docs/course/pictures/06.toml",
        tee: &["as-reported"],
        show: Show::Calls(&["OPTEE_SMC_VM_CREATED", "OPTEE_SMC_VM_CREATED"]),
    },
    Picture {
        name: "08-break-it",
        title: "A call that is resumed after its VM is gone, and once more as the next VM of that number",
        scenario: "docs/course/pictures/08.toml",
        tee: &[],
        show: Show::Calls(&[
            "OPTEE_SMC_VM_DESTROYED",
            "OPTEE_SMC_CALL_RETURN_FROM_RPC",
            "OPTEE_SMC_VM_CREATED",
            "OPTEE_SMC_CALL_RETURN_FROM_RPC",
        ]),
    },
];

/// Draws the pictures whose name begins with `only`, or all.
pub fn pictures(workspace: &Workspace, only: Option<&str>, progress: &Progress) -> Result<()> {
    let wanted = |name: &str| only.is_none_or(|only| name.starts_with(only));
    let names: Vec<_> = PICTURES.iter().map(|picture| picture.name).chain([MATRIX]).collect();
    ensure!(names.iter().any(|name| wanted(name)), "no picture's name begins so; they are {}", names.join(", "));
    for picture in PICTURES.iter().filter(|picture| wanted(picture.name)) {
        let trace = record(workspace, picture, progress)?;
        let drawing = match picture.show {
            Show::Calls(names) => steps::calls(&trace, names)?,
            Show::Boot => steps::boot(&trace),
            Show::Stage2 => memory::stage2(&trace),
        };
        write(workspace, picture.name, picture.title, drawing)?;
    }
    if wanted(MATRIX) {
        let drawing = matrix::matrix(&reproduce(workspace, &Stack::default(), progress)?);
        write(workspace, MATRIX, "Sequences, remedies, and what became of them", drawing)?;
    }
    Ok(())
}

fn write(workspace: &Workspace, name: &str, title: &str, drawing: Drawing) -> Result<()> {
    let file = workspace.root().join("docs/course/pictures").join(name).with_extension("svg");
    write_if_changed(&file, drawing.finish(title).as_bytes())
}

/// Runs a picture's scenario with layers that trace.
fn record(workspace: &Workspace, picture: &Picture, progress: &Progress) -> Result<Trace> {
    let scenario = Scenario::read(&workspace.root().join(picture.scenario))?;
    let tee = picture.tee.iter().map(|feature| (*feature).to_owned()).collect();
    let plan = Plan::of(scenario)?.traced(Tracing { tee, ..Tracing::default() });
    let kit = Kit::of(workspace, &plan, progress)?;
    progress.step(&format!("drawing {}", picture.name));
    let prepared = prepare(workspace, &plan, &kit)?;
    let mut outcome = run(&prepared, &mut |_| {})?;
    keep(&mut outcome, &prepared)?;
    ensure!(
        outcome.passed() || !picture.tee.is_empty(),
        "{} is no picture of what it should show:\n{}",
        picture.name,
        outcome.report()
    );
    outcome.trace.context("the run left no trace")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_has_a_scenario_that_can_be_read_and_is_drawn() {
        let workspace = Workspace::locate().unwrap();
        for picture in &PICTURES {
            Scenario::read(&workspace.root().join(picture.scenario)).unwrap();
            let file = workspace.root().join("docs/course/pictures").join(picture.name).with_extension("svg");
            assert!(std::fs::read_to_string(&file).is_ok_and(|text| text.starts_with("<svg")), "{}", file.display());
        }
    }

    #[test]
    fn every_picture_can_be_read_on_a_phone() {
        let folder = Workspace::locate().unwrap().root().join("docs/course/pictures");
        let mut seen = 0;
        for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_none_or(|extension| extension != "svg") {
                continue;
            }
            seen += 1;
            let text = std::fs::read_to_string(&file).unwrap();
            let number = |of: &str| {
                let rest = &text[text.find(of).unwrap() + of.len()..];
                rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap()].parse::<u32>().unwrap()
            };
            // Shown on 360 pixels the text is 11 of them high, and nothing of it is beyond the edge.
            let (width, font) = (number("viewBox=\"0 0 "), number("text{font:"));
            assert!(font * 360 / width.max(360) >= 11, "{}: {font} in {width}", file.display());
            for element in text.split("<text x=\"").skip(1) {
                let x: u32 = element.split('"').next().unwrap().parse().unwrap();
                let (tag, words) = element.split('<').next().unwrap().split_once('>').unwrap();
                let letters =
                    words.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "'").replace("&amp;", "&");
                let reaches = if tag.contains("end") { x } else { x + (letters.chars().count() * 73 / 10) as u32 };
                assert!(reaches <= width, "{}: {words}", file.display());
            }
        }
        assert_eq!(seen, PICTURES.len() + 1);
    }
}
