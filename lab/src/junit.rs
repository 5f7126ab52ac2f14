// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run's expectations with their evidence as JUnit XML, which CI systems show.

use crate::judge::Verdict;
use crate::run::Outcome;
use std::fmt::Write;

/// One suite with a case for each expectation, in the format that Apache Ant's `junitreport` defined and its readers
/// accept.
pub fn suite(outcome: &Outcome, cpu: &str) -> String {
    let count = |of: fn(&Verdict) -> bool| outcome.verdicts.iter().filter(|verdict| of(verdict)).count();
    let (failures, skipped) = (count(|verdict| !verdict.holds), count(|verdict| !verdict.judged));
    let (tests, time) = (outcome.verdicts.len(), outcome.duration.as_millis());
    let errors = usize::from(outcome.interrupted);
    let mut text = head(&outcome.name, [tests + errors, failures, errors, skipped], time as u64);
    text += "  <properties>\n";
    let names = &outcome.names;
    let layers = [("monitor", &names.monitor), ("tee", &names.tee), ("normal-world", &names.normal_world)];
    for (layer, name) in [("cpu", &cpu.to_owned())].into_iter().chain(layers) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    <property name=\"{layer}\" value=\"{}\"/>", escaped(name));
    }
    text += "  </properties>\n";
    let on = if names.are_ours() { String::new() } else { format!(" on {names}") };
    let class = escaped(&format!("{}.{cpu}{on}", outcome.name));
    for verdict in &outcome.verdicts {
        let (claim, evidence) = (escaped(&verdict.claim), escaped(&verdict.evidence));
        let time = seconds(verdict.millis.unwrap_or(0));
        let _ = writeln!(text, "  <testcase classname=\"{class}\" name=\"{claim}\" time=\"{time}\">");
        let _ = match (verdict.holds, verdict.judged) {
            (true, true) => writeln!(text, "    <system-out>{evidence}</system-out>"),
            (true, false) => writeln!(text, "    <skipped message=\"{evidence}\"/>"),
            (false, _) => writeln!(text, "    <failure message=\"{evidence}\"/>"),
        };
        text += "  </testcase>\n";
    }
    if outcome.interrupted {
        text += &not_run(&class, "the run was interrupted, so nothing of it is judged");
    }
    text += "  <system-out>";
    for line in &outcome.lines {
        text += &escaped(&line.to_string());
        text.push('\n');
    }
    text += "</system-out>\n</testsuite>\n";
    text
}

/// A suite of a scenario that did not run, and why: what isn't written down would be taken for passed.
pub fn unrun(name: &str, cpu: &str, why: &str) -> String {
    head(name, [1, 0, 1, 0], 0) + &not_run(&escaped(&format!("{name}.{cpu}")), why) + "</testsuite>\n"
}

fn head(name: &str, [tests, failures, errors, skipped]: [usize; 4], millis: u64) -> String {
    format!(
        "<testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" \
         time=\"{}\">\n",
        escaped(name),
        seconds(millis)
    )
}

fn not_run(class: &str, why: &str) -> String {
    let why = escaped(why);
    format!(
        "  <testcase classname=\"{class}\" name=\"it runs\" time=\"0.000\">\n    \
         <error message=\"{why}\"/>\n  </testcase>\n"
    )
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// A file with the suites of several runs.
pub fn file(suites: &[String]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    text += &suites.concat();
    text + "</testsuites>\n"
}

/// Text as XML 1.0 §2.2 and §2.4 allow it, in elements and attributes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\t' => {
                let _ = write!(out, "&#{};", letter as u32);
            }
            letter if letter < ' ' || ['\u{fffe}', '\u{ffff}'].contains(&letter) => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Line;
    use std::time::Duration;

    #[test]
    fn every_expectation_is_a_case_with_its_evidence_and_its_time() {
        let mut outcome = Outcome {
            name: "two-guests".into(),
            verdicts: vec![
                Verdict { millis: Some(1234), ..Verdict::new(true, "vm1 says \"a<b\"", "[vm1] a<b & c") },
                Verdict::new(false, "EL3 says /x/", "NOT SEEN"),
            ],
            lines: vec![Line { speaker: "vm1".into(), text: "a<b & c\u{1}".into() }],
            duration: Duration::from_millis(2005),
            ..Outcome::default()
        };
        let expected = "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites>
<testsuite name=\"two-guests\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"2.005\">
  <properties>
    <property name=\"cpu\" value=\"max\"/>
    <property name=\"monitor\" value=\"Triptych\"/>
    <property name=\"tee\" value=\"Triptych\"/>
    <property name=\"normal-world\" value=\"hypervisor\"/>
  </properties>
  <testcase classname=\"two-guests.max\" name=\"vm1 says &quot;a&lt;b&quot;\" time=\"1.234\">
    <system-out>[vm1] a&lt;b &amp; c</system-out>
  </testcase>
  <testcase classname=\"two-guests.max\" name=\"EL3 says /x/\" time=\"0.000\">
    <failure message=\"NOT SEEN\"/>
  </testcase>
  <system-out>[vm1] a&lt;b &amp; c\u{fffd}
</system-out>
</testsuite>
</testsuites>
";
        assert_eq!(file(&[suite(&outcome, "max")]), expected);

        outcome.names.tee = "my<tee>.bin".into();
        outcome.verdicts[1] = Verdict { judged: false, ..Verdict::new(true, "TEE says /x/", "not judged") };
        let foreign = suite(&outcome, "max");
        assert!(foreign.contains("failures=\"0\" errors=\"0\" skipped=\"1\""), "{foreign}");
        assert!(foreign.contains("<property name=\"tee\" value=\"my&lt;tee&gt;.bin\"/>"), "{foreign}");
        assert!(
            foreign.contains("classname=\"two-guests.max on my&lt;tee&gt;.bin\" name=\"TEE says /x/\""),
            "{foreign}"
        );
        assert!(foreign.contains("    <skipped message=\"not judged\"/>"), "{foreign}");
    }

    #[test]
    fn what_did_not_run_is_an_error_and_not_nothing() {
        let text = unrun("two-guests", "max", "QEMU is \"missing\"");
        assert!(text.starts_with("<testsuite name=\"two-guests\" tests=\"1\" failures=\"0\" errors=\"1\""), "{text}");
        assert!(text.contains("classname=\"two-guests.max\" name=\"it runs\""), "{text}");
        assert!(text.contains("<error message=\"QEMU is &quot;missing&quot;\"/>"), "{text}");
        let interrupted = suite(&Outcome { name: "a".into(), interrupted: true, ..Outcome::default() }, "max");
        assert!(interrupted.contains("tests=\"1\" failures=\"0\" errors=\"1\""), "{interrupted}");
        assert!(interrupted.contains("<error message=\"the run was interrupted"), "{interrupted}");
    }
}
