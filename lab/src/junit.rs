//! A run's expectations with their evidence as JUnit XML, which CI systems show.

use crate::run::Outcome;
use std::fmt::Write;

/// One suite with a case for each expectation, in the format that Apache Ant's `junitreport` defined and its readers accept.
pub fn suite(outcome: &Outcome, cpu: &str) -> String {
    let failures = outcome.verdicts.iter().filter(|verdict| !verdict.holds).count();
    let (suite, class) = (escaped(&outcome.name), escaped(&format!("{}.{cpu}", outcome.name)));
    let mut text = String::new();
    let tests = outcome.verdicts.len();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "<testsuite name=\"{suite}\" tests=\"{tests}\" failures=\"{failures}\">");
    for verdict in &outcome.verdicts {
        let (claim, evidence) = (escaped(&verdict.claim), escaped(&verdict.evidence));
        let _ = writeln!(text, "  <testcase classname=\"{class}\" name=\"{claim}\">");
        let _ = if verdict.holds {
            writeln!(text, "    <system-out>{evidence}</system-out>")
        } else {
            writeln!(text, "    <failure message=\"{evidence}\"/>")
        };
        text += "  </testcase>\n";
    }
    text += "  <system-out>";
    for line in &outcome.lines {
        text += &escaped(&line.to_string());
        text.push('\n');
    }
    text += "</system-out>\n</testsuite>\n";
    text
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
    use crate::judge::Verdict;

    #[test]
    fn every_expectation_is_a_case_with_its_evidence() {
        let verdict = |holds, claim: &str, evidence: &str| Verdict::new(holds, claim, evidence);
        let outcome = Outcome {
            name: "two-guests".into(),
            verdicts: vec![
                verdict(true, "vm1 says \"a<b\"", "[vm1] a<b & c"),
                verdict(false, "EL3 says /x/", "NOT SEEN"),
            ],
            lines: vec![Line { speaker: "vm1".into(), text: "a<b & c\u{1}".into() }],
            folder: "runs".into(),
            interrupted: false,
            trace: None,
        };
        let expected = "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites>
<testsuite name=\"two-guests\" tests=\"2\" failures=\"1\">
  <testcase classname=\"two-guests.max\" name=\"vm1 says &quot;a&lt;b&quot;\">
    <system-out>[vm1] a&lt;b &amp; c</system-out>
  </testcase>
  <testcase classname=\"two-guests.max\" name=\"EL3 says /x/\">
    <failure message=\"NOT SEEN\"/>
  </testcase>
  <system-out>[vm1] a&lt;b &amp; c\u{fffd}
</system-out>
</testsuite>
</testsuites>
";
        assert_eq!(file(&[suite(&outcome, "max")]), expected);
    }
}
