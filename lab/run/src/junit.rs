// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run's expectations with their evidence as JUnit XML, which CI systems show.

use crate::judge::Verdict;
use crate::run::Outcome;
use anyhow::{Context, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

/// Makes one suite with a case for each expectation.
pub fn suite(outcome: &Outcome, cpu: &str) -> TestSuite {
    let mut suite = TestSuite::new(fit(&outcome.name));
    suite.set_time(outcome.duration);
    let names = &outcome.names;
    let layers = [("monitor", &names.monitor), ("tee", &names.tee), ("normal-world", &names.normal_world)];
    for (layer, name) in [("cpu", &cpu.to_owned())].into_iter().chain(layers) {
        suite.add_property((layer, fit(name).as_str()));
    }
    let on = if names.are_ours() { String::new() } else { format!(" on {names}") };
    let class = format!("{}.{cpu}{on}", outcome.name);
    suite.add_test_cases(outcome.verdicts.iter().map(|verdict| case(verdict, &class)));
    if outcome.interrupted {
        suite.add_test_case(not_run(&class, "the run was interrupted, so nothing of it is judged"));
    }
    suite.set_system_out(outcome.lines.iter().map(|line| fit(&line.to_string()) + "\n").collect::<String>());
    suite
}

/// Makes a suite of a scenario that did not run, and why: what isn't written down would be taken for passed.
pub fn unrun(name: &str, cpu: &str, why: &str) -> TestSuite {
    let mut suite = TestSuite::new(fit(name));
    suite.set_time(Duration::ZERO).add_test_case(not_run(&format!("{name}.{cpu}"), why));
    suite
}

/// Writes a file with the suites of several runs.
pub fn file(suites: Vec<TestSuite>) -> Result<String> {
    let mut report = Report::unnamed();
    report.add_test_suites(suites).to_string().context("cannot write the expectations as XML")
}

fn case(verdict: &Verdict, class: &str) -> TestCase {
    let evidence = fit(&verdict.evidence);
    let mut status = match (verdict.holds, verdict.judged) {
        (true, true) => TestCaseStatus::success(),
        (true, false) => TestCaseStatus::skipped(),
        (false, _) => TestCaseStatus::non_success(NonSuccessKind::Failure),
    };
    let passed = verdict.holds && verdict.judged;
    if !passed {
        explain(&mut status, &evidence);
    }
    let mut case = TestCase::new(fit(&verdict.claim), status);
    case.set_classname(fit(class)).set_time(Duration::from_millis(verdict.millis.unwrap_or(0)));
    if passed {
        case.set_system_out(evidence);
    }
    case
}

fn not_run(class: &str, why: &str) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    explain(&mut status, &fit(why));
    let mut case = TestCase::new("it runs", status);
    case.set_classname(fit(class)).set_time(Duration::ZERO);
    case
}

/// Says why a case did not pass. Of several lines an attribute keeps none apart (XML 1.0 §3.3.3), so they stand in the
/// element as well.
fn explain(status: &mut TestCaseStatus, why: &str) {
    status.set_message(why);
    if why.contains('\n') {
        status.set_description(why);
    }
}

/// Makes text fit for `quick_junit`: it drops controls, a tab among them, which would join two words, and does not know
/// of the two letters that XML 1.0 §2.2 leaves out.
pub fn fit(text: &str) -> String {
    text.replace('\t', " ").replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Line;

    #[test]
    fn every_expectation_is_a_case_with_its_evidence_and_its_time() {
        let mut outcome = Outcome {
            name: "two-guests".into(),
            verdicts: vec![
                Verdict { millis: Some(1234), ..Verdict::new(true, "vm1 says \"a<b\"", "[vm1] a<b & c") },
                Verdict::new(false, "EL3 says /x/", "NOT SEEN"),
            ],
            lines: vec![Line { speaker: "vm1".into(), text: "a<b & c\u{1}\u{ffff}".into() }],
            duration: Duration::from_millis(2005),
            ..Outcome::default()
        };
        let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="2" skipped="0" failures="1" errors="0">
    <testsuite name="two-guests" tests="2" skipped="0" errors="0" failures="1" time="2.005">
        <properties>
            <property name="cpu" value="max"/>
            <property name="monitor" value="Triptych"/>
            <property name="tee" value="Triptych"/>
            <property name="normal-world" value="hypervisor"/>
        </properties>
        <testcase name="vm1 says &quot;a&lt;b&quot;" classname="two-guests.max" time="1.234">
            <system-out>[vm1] a&lt;b &amp; c</system-out>
        </testcase>
        <testcase name="EL3 says /x/" classname="two-guests.max" time="0.000">
            <failure message="NOT SEEN"/>
        </testcase>
        <system-out>[vm1] a&lt;b &amp; c�
</system-out>
    </testsuite>
</testsuites>
"#;
        assert_eq!(file(vec![suite(&outcome, "max")]).unwrap(), expected);

        outcome.names.tee = "my<tee>.bin".into();
        outcome.verdicts[1] = Verdict { judged: false, ..Verdict::new(true, "TEE says /x/", "not judged") };
        let foreign = file(vec![suite(&outcome, "max")]).unwrap();
        assert!(foreign.contains("skipped=\"1\" errors=\"0\" failures=\"0\""), "{foreign}");
        assert!(foreign.contains("<property name=\"tee\" value=\"my&lt;tee&gt;.bin\"/>"), "{foreign}");
        let class = "name=\"TEE says /x/\" classname=\"two-guests.max on my&lt;tee&gt;.bin\"";
        assert!(foreign.contains(class), "{foreign}");
        assert!(foreign.contains("<skipped message=\"not judged\"/>"), "{foreign}");
    }

    #[test]
    fn what_did_not_run_is_an_error_and_not_nothing() {
        let text = file(vec![unrun("two-guests", "max", "QEMU is \"missing\"")]).unwrap();
        assert!(text.contains("<testsuite name=\"two-guests\" tests=\"1\" skipped=\"0\" errors=\"1\""), "{text}");
        assert!(text.contains("name=\"it runs\" classname=\"two-guests.max\""), "{text}");
        assert!(text.contains("<error message=\"QEMU is &quot;missing&quot;\"/>"), "{text}");
        let interrupted = suite(&Outcome { name: "a".into(), interrupted: true, ..Outcome::default() }, "max");
        assert_eq!((interrupted.tests, interrupted.errors), (1, 1));
        let interrupted = file(vec![interrupted]).unwrap();
        assert!(interrupted.contains("<error message=\"the run was interrupted"), "{interrupted}");
    }

    #[test]
    fn evidence_of_several_lines_is_kept_apart() {
        let text = file(vec![unrun("two-guests", "max", "one\ntwo\tthree")]).unwrap();
        assert!(text.contains(">one\ntwo three</error>"), "{text}");
    }
}
