// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same calls to a TEE that is not ours.

use super::measured::{self, Measured};
use super::table::Run;
use anyhow::{Result, ensure};
use lab_run::console::Line;
use lab_run::plan::Plan;
use lab_run::prepare::{Kit, prepare};
use lab_run::progress::Progress;
use lab_run::run::{Outcome, run};
use lab_run::scenario::Scenario;
use lab_run::stack::Stack;
use lab_run::workspace::Workspace;
use std::collections::HashMap;

/// A figure of the other TEE, or why there is none.
pub type Found = Result<Measured, String>;

/// Plays a scenario's script to another stack and returns its figures. `ours` is what our own chain says to that
/// script.
pub(super) fn figures(
    workspace: &Workspace,
    of: &Run,
    scenario: &Scenario,
    kit: &Kit,
    stack: &Stack,
    ours: &[Line],
    progress: &Progress,
) -> Result<HashMap<String, Found>> {
    let plan = Plan::of(scenario.clone())?.on_stack(stack.clone());
    plan.stack.check(scenario)?;
    let kit = kit.clone().with_layers_of(workspace, &plan, progress)?;
    let outcome = run(&prepare(workspace, &plan, &kit)?, &mut |_| {})?;
    ensure!(
        outcome.lines.iter().any(|line| line.speaker == "probe"),
        "{} does not start the probe as its BL33:\n{}",
        stack.label(),
        outcome.report()
    );
    let found = of.figures.iter().map(|entry| {
        let found = measured::of(&outcome.lines, entry).ok_or_else(|| reason(&outcome, entry.printed(), ours));
        (entry.name.clone(), found)
    });
    Ok(found.collect())
}

/// Says why a figure that our chain gives is missing: the first failure after the last figure that both give before it.
fn reason(outcome: &Outcome, missing: &str, ours: &[Line]) -> String {
    let names: Vec<_> = ours.iter().filter_map(name).collect();
    let until = names.iter().position(|name| *name == missing).unwrap_or(names.len());
    let before = &names[..until];
    let start = outcome.lines.iter().rposition(|line| name(line).is_some_and(|name| before.contains(&name)));
    let rest = &outcome.lines[start.map_or(0, |last| last + 1)..];
    let failure = rest.iter().find(|line| line.speaker == "probe" && line.text.starts_with("step "));
    match failure {
        Some(line) => line.text.clone(),
        None => {
            let ended = outcome.verdicts.last().map_or("", |end| end.evidence.as_str());
            let last = outcome.lines.last().map_or_else(String::new, |line| format!("; the last line is: {line}"));
            format!("it isn't printed ({ended}{last})")
        }
    }
}

/// Returns the name of the figure that a line prints.
fn name(line: &Line) -> Option<&str> {
    (line.speaker == "probe").then(|| line.text.strip_prefix("figure ")?.split(' ').next())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_run::judge::Verdict;

    fn lines(said: &[&str]) -> Vec<Line> {
        said.iter().map(|text| Line { speaker: "probe".into(), text: (*text).into() }).collect()
    }

    fn outcome(said: &[&str]) -> Outcome {
        Outcome {
            name: "bench".into(),
            verdicts: vec![Verdict::new(false, "it powers off", "still running")],
            lines: lines(said),
            folder: "runs/bench".into(),
            ..Outcome::default()
        }
    }

    #[test]
    fn a_figure_is_missing_because_of_what_failed_where_it_should_have_been() {
        let ours = lines(&["figure a 1", "figure b 1", "figure c 1", "figure c 1", "figure d 1"]);
        let theirs = outcome(&["figure a 1", "step 2 (x.toml:5): no b", "figure c 1", "step 7 (x.toml:9): no d"]);
        assert_eq!(reason(&theirs, "b", &ours), "step 2 (x.toml:5): no b");
        assert_eq!(reason(&theirs, "d", &ours), "step 7 (x.toml:9): no d");
    }

    #[test]
    fn a_figure_is_missing_because_the_machine_stopped_before_it() {
        let ours = lines(&["figure a 1", "figure b 1"]);
        let reason = reason(&outcome(&["figure a 1", "and then"]), "b", &ours);
        assert_eq!(reason, "it isn't printed (still running; the last line is: [probe] and then)");
    }
}
