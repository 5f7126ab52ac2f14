// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a machine made of the answers: which of them it contradicts.

use super::bench::evidence;
use super::sheet::{Answered, Sheet};
use super::verdict;
use lab_run::judge::Verdict;
use lab_run::run::Outcome;
use regex::Regex;
use std::sync::LazyLock;

/// One line in which a probe says that something did not come as it should.
struct Complaint<'l> {
    file: &'l str,
    line: usize,
    /// The step's name, and the loops around it.
    step: &'l str,
    /// What came instead.
    what: &'l str,
}

/// Gives a verdict on every answer that the machine has heard of: right unless one of its complaints is about it. What
/// the machine said is told on request only: whoever is wrong shall think again first.
pub(super) fn grade(sheet: &Sheet, outcome: &Outcome, numbers: bool) -> Vec<Verdict> {
    let name = sheet.file.file_name().unwrap_or_default().to_string_lossy();
    // Of every answer that is contradicted, by what; and steps with the answers of which some are wrong.
    let mut contradicted = vec![None; sheet.answers.len()];
    let mut doubted: Vec<(&Complaint<'_>, Vec<usize>)> = Vec::new();
    let mut others = Vec::new();
    let complaints = complaints(outcome);
    for complaint in &complaints {
        let about = if complaint.file == name { complaint.blame(sheet) } else { Vec::new() };
        match about.as_slice() {
            [] => others.push(format!("{}:{} {}: {}", complaint.file, complaint.line, complaint.step, complaint.what)),
            [one] => {
                contradicted[*one].get_or_insert(complaint.what);
            }
            // What goes wrong first may be why the rest does.
            _ if doubted.iter().any(|(_, doubts)| about.iter().all(|one| doubts.contains(one))) => {}
            _ => doubted.push((complaint, about)),
        }
    }
    let said = |what: &str| numbers.then(|| format!("the machine: {what}"));
    let played = outcome.passed() || outcome.lines.iter().any(|line| line.text.contains("done: "));
    let mut verdicts = Vec::new();
    for (index, (answered, what)) in sheet.answers.iter().zip(&contradicted).enumerate() {
        let in_doubt = doubted.iter().any(|(_, about)| about.contains(&index));
        if what.is_some() || (played && !in_doubt) {
            verdicts.push(answered.verdict(what.is_none(), what.and_then(said).as_deref()));
        }
    }
    for (complaint, about) in doubted {
        let doubts = about.iter().map(|index| &sheet.answers[*index]);
        let doubts = doubts.map(|answered| format!("{}\n    {}", answered.claim, answered.question.hint));
        let evidence = doubts.chain(said(complaint.what)).collect::<Vec<_>>().join("\n");
        verdicts.push(verdict(false, format!("{}: at least one of these is wrong", complaint.step), evidence));
    }
    if !outcome.passed() && (!others.is_empty() || complaints.is_empty()) {
        let said = if others.is_empty() { evidence(outcome) } else { others.join("\n") };
        verdicts.push(verdict(false, "the machine does what the exercise says beside your answers", said));
    }
    verdicts
}

/// Returns all complaints but those about an exception that did not come.
fn complaints(outcome: &Outcome) -> Vec<Complaint<'_>> {
    let mut all: Vec<Complaint<'_>> = Vec::new();
    for complaint in outcome.lines.iter().filter_map(|line| Complaint::of(&line.text)) {
        let nothing = |other: &Complaint<'_>| other.line == complaint.line && other.what.starts_with("no exception");
        let about_it = ["exception class = ", "FAR = "].iter().any(|label| complaint.what.starts_with(label));
        if !(about_it && all.iter().any(nothing)) {
            all.push(complaint);
        }
    }
    all
}

/// Lists what a machine's probes say against what was expected of it.
pub(super) fn contradictions(outcome: &Outcome) -> impl Iterator<Item = String> {
    outcome.lines.iter().filter(|line| Complaint::of(&line.text).is_some()).map(ToString::to_string)
}

impl<'l> Complaint<'l> {
    fn of(text: &'l str) -> Option<Self> {
        // `step 7 (05.toml:31 the header; i = 3): x0 = 0x0, expected 0x7`
        static PATTERN: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r"^(?:\[probe\] )?step \d+ \(([^:()]+):(\d+)(.*?)\): (.*)$").ok());
        let found = PATTERN.as_ref()?.captures(text)?;
        let group = |n| found.get(n).map_or("", |group| group.as_str());
        Some(Self { file: group(1), line: group(2).parse().ok()?, step: group(3).trim(), what: group(4) })
    }

    /// Finds the answers that a complaint may be about: the one that predicted this, else those that show in this step,
    /// else those that stand in it.
    fn blame(&self, sheet: &Sheet) -> Vec<usize> {
        let label = self.what.split(" = ").next().unwrap_or_default();
        let here = |answered: &Answered| answered.step == Some(self.line);
        let predicted = |answered: &Answered| here(answered) && label_of(&answered.key) == label;
        let shows = |answered: &Answered| answered.question.shows_in.iter().any(|step| step == self.step);
        let which = |about: &dyn Fn(&Answered) -> bool| {
            sheet.answers.iter().enumerate().filter(|(_, each)| about(each)).map(|(index, _)| index).collect::<Vec<_>>()
        };
        let ways: [&dyn Fn(&Answered) -> bool; 3] = [&predicted, &shows, &here];
        ways.into_iter().map(which).find(|about| !about.is_empty()).unwrap_or_default()
    }
}

/// Says what the probe calls that which a key predicts.
fn label_of(key: &str) -> &str {
    match key {
        "class" => "exception class",
        "address" => "FAR",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_run::console::Line;
    use std::path::Path;

    const ASKED: &str = "[[step]]\nname = 'a'\n\
                         values = [{ ask = 'number', name = 'cmd', hint = 'look', shows-in = ['b'] }]\n\
                         [[step]]\nname = 'b'\nexpect = { x0 = { ask = 'number', hint = 'think' } }\n\
                         faults = { class = { ask = 'number', hint = 'read' } }\n";
    const GIVEN: &str =
        "[[step]]\nname = 'a'\nvalues = [1]\n[[step]]\nname = 'b'\nexpect = { x0 = 2 }\nfaults = { class = 3 }\n";

    fn sheet(asked: &str, given: &str) -> Sheet {
        Sheet::parse(given, Path::new("x.toml"), asked, Path::new("")).unwrap()
    }

    fn outcome(said: &[&str]) -> Outcome {
        Outcome {
            verdicts: vec![verdict(said.is_empty(), "done", "")],
            lines: said.iter().map(|text| Line { speaker: "probe".into(), text: (*text).into() }).collect(),
            ..Outcome::default()
        }
    }

    fn graded(said: &[&str], numbers: bool) -> Vec<(bool, String)> {
        let verdicts = grade(&sheet(ASKED, GIVEN), &outcome(said), numbers).into_iter();
        verdicts.map(|verdict| (verdict.holds, verdict.evidence)).collect()
    }

    #[test]
    fn a_contradiction_is_blamed_on_the_prediction_and_hinted_at() {
        let said = ["step 2 (x.toml:4 b): x0 = 0x5, expected 0x2"];
        assert_eq!(graded(&said, false), [(false, "think".into())]);
        assert_eq!(graded(&said, true), [(false, "think\nthe machine: x0 = 0x5, expected 0x2".into())]);
        let said =
            ["step 2 (x.toml:4 b): exception class = 0x5, expected 0x3", "done: 2 steps, 3 expectations, 1 failed"];
        assert_eq!(graded(&said, false), [(true, String::new()), (true, String::new()), (false, "read".into())]);
    }

    #[test]
    fn what_nobody_predicted_is_blamed_on_what_shows_there() {
        let said = [
            "step 2 (x.toml:4 b): no exception, expected one",
            "step 2 (x.toml:4 b): exception class = 0x0, expected 0x3",
        ];
        assert_eq!(graded(&said, false), [(false, "look".into())]);
        let said = ["step 1 (x.toml:1 a): exception, expected none: ESR"];
        assert_eq!(graded(&said, false), [(false, "look".into())]);
    }

    #[test]
    fn several_answers_to_blame_are_all_named_and_none_is_called_wrong() {
        const SIZE: &str = "[[step]]\nname = 'c'\n\
                            values = [{ ask = 'number', name = 'size', hint = 'count', shows-in = ['b'] }]\n";
        let before_b = |text: &str, more: &str| {
            let b = "[[step]]\nname = 'b'";
            text.replace(b, &format!("{more}{b}"))
        };
        let (asked, given) = (before_b(ASKED, SIZE), before_b(GIVEN, "[[step]]\nname = 'c'\nvalues = [4]\n"));
        let said = ["step 3 (x.toml:7 b): w1 = 0x5, expected 0x2", "done: 3 steps, 4 expectations, 1 failed"];
        let verdicts = grade(&sheet(&asked, &given), &outcome(&said), false);
        let wrong: Vec<_> = verdicts.iter().filter(|verdict| !verdict.holds).collect();
        assert_eq!((verdicts.len(), wrong.len()), (3, 1));
        assert_eq!(wrong[0].claim, "b: at least one of these is wrong");
        assert_eq!(wrong[0].evidence, "x.toml:3 a: cmd = 1\n    look\nx.toml:6 c: size = 4\n    count");
    }

    #[test]
    fn what_is_about_no_answer_is_told_as_it_is() {
        let elsewhere = ["[probe] step 9 (rpc.toml:4 b; i = 3): x1 = 0x5, expected 0x2"];
        assert_eq!(graded(&elsewhere, false), [(false, "rpc.toml:4 b; i = 3: x1 = 0x5, expected 0x2".into())]);
        assert_eq!(contradictions(&outcome(&elsewhere)).count(), 1);
    }

    #[test]
    fn without_a_complaint_all_answers_are_right() {
        assert_eq!(graded(&[], false), [(true, String::new()), (true, String::new()), (true, String::new())]);
    }
}
