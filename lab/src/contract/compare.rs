// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plain QEMU's lines against a guest's.

use super::Place;
use super::lists::Lists;
use super::said::{Observation, Said};
use std::collections::BTreeSet;
use std::fmt::Write;

/// What came of a comparison.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// What is wrong, to read.
    pub complaints: String,
    /// Checks that failed as the list of faults says.
    pub known: BTreeSet<String>,
    /// How many observations agree.
    pub agreed: usize,
}

impl Comparison {
    /// Says whether nothing is wrong that isn't known.
    pub fn passed(&self) -> bool {
        self.complaints.is_empty()
    }

    fn complain(&mut self, check: &str, plain: &str, guest: &str, remark: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.complaints, "{check}{remark}\n  - plain: {plain}\n  + guest: {guest}");
    }
}

/// Compares what plain QEMU said with what the guest said.
pub fn compare(plain: &Said, guest: &Said, lists: &Lists, place: &Place) -> Comparison {
    let mut result = Comparison::default();
    for (who, said) in [("plain QEMU", plain), ("the guest", guest)] {
        if !said.is_whole() {
            let (lines, end) = (said.observations.len(), said.end.as_deref().unwrap_or("no end"));
            let last = said.observations.last().map_or("-", |last| &last.check);
            let _ = writeln!(result.complaints, "{who} is not complete: {lines} lines, {end}; the last one is {last}");
        }
    }
    for observation in &plain.observations {
        let check = &observation.check;
        let Some(guests) = find(guest, check) else {
            result.complain(check, &observation.text, "(nothing)", "");
            continue;
        };
        let (expected, vain) = lists.expected(check, &observation.essence(), place);
        for difference in vain {
            let _ = writeln!(
                result.complaints,
                "{check}: differences.toml names `{}`, which plain QEMU does not say: {}",
                difference.plain.as_deref().unwrap_or_default(),
                observation.text
            );
        }
        match (expected == guests.essence(), lists.fault(check)) {
            (true, _) => result.agreed += 1,
            (false, Some(_)) => {
                result.known.insert(check.clone());
            }
            (false, None) => result.complain(check, &observation.text, &guests.text, ""),
        }
    }
    for observation in guest.observations.iter().filter(|guest| find(plain, &guest.check).is_none()) {
        result.complain(&observation.check, "(nothing)", &observation.text, "");
    }
    result
}

fn find<'s>(said: &'s Said, check: &str) -> Option<&'s Observation> {
    said.observations.iter().find(|observation| observation.check == check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::lists::{Difference, Fault};

    fn said(lines: &[&str]) -> Said {
        let mut said = Said::default();
        for line in lines {
            said.hear(&format!("contract t: {line}"));
        }
        said.hear(&format!("contract: {} lines", lines.len()));
        said
    }

    fn place() -> Place {
        Place { cpu: "max,pauth-impdef=on".into(), cpus: 2, beside_noise: false }
    }

    fn difference(plain: &str, guest: &str) -> Difference {
        Difference {
            check: "t: a".into(),
            plain: Some(plain.into()),
            guest: guest.into(),
            reason: "of its own".into(),
            on: vec!["max".into()],
            cpus: Vec::new(),
        }
    }

    #[test]
    fn the_same_lines_agree_and_others_are_shown_on_both_sides() {
        let plain = said(&["a: x=1 y=2", "b: z=3"]);
        let lists = Lists::default();
        assert!(compare(&plain, &said(&["a: x=1 y=2", "b: z=3"]), &lists, &place()).passed());
        let other = compare(&plain, &said(&["a: x=1 y=7", "c: z=3"]), &lists, &place()).complaints;
        assert!(other.contains("t: a\n  - plain: x=1 y=2\n  + guest: x=1 y=7"), "{other}");
        assert!(other.contains("t: b\n  - plain: z=3\n  + guest: (nothing)"), "{other}");
        assert!(other.contains("t: c\n  - plain: (nothing)"), "{other}");
    }

    #[test]
    fn a_difference_holds_exactly_where_it_is_named() {
        let plain = said(&["a: x=1 y=2"]);
        let lists = Lists { differences: vec![difference("y=2", "y=3")], faults: Vec::new() };
        assert!(compare(&plain, &said(&["a: x=1 y=3"]), &lists, &place()).passed());
        assert!(!compare(&plain, &said(&["a: x=1 y=2"]), &lists, &place()).passed());
        assert!(!compare(&plain, &said(&["a: x=1 y=4"]), &lists, &place()).passed());
        let elsewhere = Place { cpu: "cortex-a57".into(), ..place() };
        assert!(compare(&plain, &said(&["a: x=1 y=2"]), &lists, &elsewhere).passed());
        let vain = Lists { differences: vec![difference("y=9", "y=3")], faults: Vec::new() };
        let complaints = compare(&plain, &plain, &vain, &place()).complaints;
        assert!(complaints.contains("names `y=9`"), "{complaints}");
    }

    #[test]
    fn a_whole_line_may_be_another_whatever_plain_qemu_says() {
        let whole = Difference { plain: None, ..difference("", "x=0") };
        let lists = Lists { differences: vec![whole], faults: Vec::new() };
        for plain in ["a: x=1 y=2", "a: z"] {
            assert!(compare(&said(&[plain]), &said(&["a: x=0"]), &lists, &place()).passed());
            assert!(!compare(&said(&[plain]), &said(&[plain]), &lists, &place()).passed());
        }
    }

    #[test]
    fn a_known_fault_is_no_complaint_and_is_told() {
        let faults = vec![Fault { check: "t: a".into(), point: "B4".into() }];
        let lists = Lists { differences: Vec::new(), faults };
        let failed = compare(&said(&["a: x=1"]), &said(&["a: x=0"]), &lists, &place());
        assert!(failed.passed() && failed.known.contains("t: a"));
        let mended = compare(&said(&["a: x=1"]), &said(&["a: x=1"]), &lists, &place());
        assert!(mended.passed() && mended.known.is_empty());
    }

    #[test]
    fn a_run_without_its_end_fails() {
        let plain = said(&["a: x=1"]);
        let mut cut = Said::default();
        cut.hear("contract t: a: x=1");
        let complaints = compare(&plain, &cut, &Lists::default(), &place()).complaints;
        assert!(
            complaints.contains("the guest is not complete: 1 lines, no end; the last one is t: a"),
            "{complaints}"
        );
    }
}
