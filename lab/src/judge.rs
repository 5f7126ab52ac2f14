//! Whether what was expected came.

use crate::console::Line;
use crate::scenario::Expect;
use anyhow::Result;
use regex::Regex;

/// Holds the lines of a run against what the scenario expects.
#[derive(Debug)]
pub struct Judge {
    claims: Vec<Claim>,
    /// A layer's last words that nobody expected.
    panic: Option<Line>,
}

/// One expectation and what has come of it.
#[derive(Debug)]
struct Claim {
    expect: Expect,
    pattern: Regex,
    seen: usize,
    evidence: Option<Line>,
    /// The first line whose number is out of bounds.
    outside: Option<Line>,
}

/// What became of one expectation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Verdict {
    /// Whether it holds.
    pub holds: bool,
    /// The expectation in words.
    pub claim: String,
    /// The line that shows it, or what is wrong.
    pub evidence: String,
}

impl Judge {
    /// Nothing seen yet.
    pub fn new(expects: &[&Expect]) -> Result<Self> {
        let claims = expects.iter().map(|expect| Claim::new(expect)).collect::<Result<_>>()?;
        Ok(Self { claims, panic: None })
    }

    /// Takes note of a line.
    pub fn hear(&mut self, line: &Line) {
        let mut expected = false;
        let mut previous_met = true;
        for claim in &mut self.claims {
            let met_before = claim.evidence.is_some();
            if !claim.expect.in_order || previous_met {
                expected |= claim.hear(line);
            }
            previous_met = met_before;
        }
        if !expected && self.panic.is_none() && is_panic(line) {
            self.panic = Some(line.clone());
        }
    }

    /// Whether all that must be seen was seen, and nothing speaks against the rest so far.
    pub fn is_content(&self) -> bool {
        self.panic.is_none() && self.claims.iter().all(|claim| claim.holds())
    }

    /// Whether a layer panicked that was not expected to: nothing good will follow.
    pub const fn is_hopeless(&self) -> bool {
        self.panic.is_some()
    }

    /// What became of every expectation.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let panic = self.panic.as_ref().map(|line| Verdict {
            holds: false,
            claim: "no layer panics".into(),
            evidence: line.to_string(),
        });
        self.claims.iter().map(Claim::verdict).chain(panic).collect()
    }
}

/// Whether a layer, and no guest, says that it came to a mistake of its own.
fn is_panic(line: &Line) -> bool {
    let layer = ["EL3", "TEE", "HYP"].contains(&line.speaker.as_str());
    // "Panic at" is OP-TEE's, and so that of the TEE with the reported bug.
    layer && ["panicked at", "PANIC", "Panic at ", "fault in the monitor"].iter().any(|words| line.text.contains(words))
}

impl Claim {
    fn new(expect: &Expect) -> Result<Self> {
        let pattern = match (&expect.regex, &expect.line) {
            (Some(regex), _) => Regex::new(regex)?,
            (None, line) => Regex::new(&regex::escape(line.as_deref().unwrap_or_default()))?,
        };
        Ok(Self { expect: expect.clone(), pattern, seen: 0, evidence: None, outside: None })
    }

    /// Whether the line is one that this expectation is about and welcomes.
    fn hear(&mut self, line: &Line) -> bool {
        if line.speaker != self.expect.from {
            return false;
        }
        let Some(found) = self.pattern.captures(&line.text) else { return false };
        self.seen += 1;
        if self.evidence.is_none() {
            self.evidence = Some(line.clone());
        }
        if self.expect.at_most.is_some() || self.expect.at_least.is_some() {
            let number = found.get(1).and_then(|group| group.as_str().parse::<f64>().ok());
            let inside = number.is_some_and(|number| {
                self.expect.at_most.is_none_or(|most| number <= most)
                    && self.expect.at_least.is_none_or(|least| number >= least)
            });
            if !inside && self.outside.is_none() {
                self.outside = Some(line.clone());
            }
        }
        !self.expect.absent
    }

    fn holds(&self) -> bool {
        if self.expect.absent {
            return self.seen == 0;
        }
        self.outside.is_none() && self.expect.count.map_or(self.seen > 0, |count| self.seen == count)
    }

    fn verdict(&self) -> Verdict {
        let evidence = match (&self.outside, &self.evidence) {
            (Some(line), _) => format!("out of bounds: {line}"),
            (None, None) if self.expect.absent => "never seen".to_owned(),
            (None, None) => "NOT SEEN".to_owned(),
            (None, Some(line)) if self.expect.count.is_some() => format!("{} times: {line}", self.seen),
            (None, Some(line)) => line.to_string(),
        };
        Verdict { holds: self.holds(), claim: self.words(), evidence }
    }

    fn words(&self) -> String {
        let expect = &self.expect;
        let what = match (&expect.line, &expect.regex) {
            (Some(line), _) => format!("\"{line}\""),
            (None, Some(regex)) => format!("/{regex}/"),
            (None, None) => "anything".to_owned(),
        };
        let mut words = format!("{} says {what}", expect.from);
        if expect.absent {
            words = format!("{} never says {what}", expect.from);
        }
        if let Some(count) = expect.count {
            words += &format!(" {count} times");
        }
        if expect.in_order {
            words += " after that";
        }
        if let Some(least) = expect.at_least {
            words += &format!(", at least {least}");
        }
        if let Some(most) = expect.at_most {
            words += &format!(", at most {most}");
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{Listener, Port};

    fn judge(expects: &str, lines: &str) -> Judge {
        #[derive(serde::Deserialize)]
        struct File {
            expect: Vec<Expect>,
        }
        let file: File = toml::from_str(expects).unwrap();
        let mut judge = Judge::new(&file.expect.iter().collect::<Vec<_>>()).unwrap();
        for line in Listener::new(Port::NonSecure).hear(lines.as_bytes()) {
            judge.hear(&line);
        }
        judge
    }

    fn holds(expects: &str, lines: &str) -> Vec<bool> {
        judge(expects, lines).verdicts().iter().map(|verdict| verdict.holds).collect()
    }

    const HELLO: &str = "[[expect]]\nfrom = 'vm1'\nline = 'hello (1)'\n";

    #[test]
    fn a_line_counts_only_from_its_speaker_and_word_for_word() {
        assert_eq!(holds(HELLO, "[vm1] oh, hello (1)!\n"), [true]);
        assert_eq!(holds(HELLO, "[vm2] hello (1)\n[vm1] hello 1\n"), [false]);
    }

    #[test]
    fn what_must_be_absent_speaks_against_the_run() {
        let absent = HELLO.to_owned() + "absent = true\n";
        assert_eq!(holds(&absent, "[vm1] bye\n"), [true]);
        assert_eq!(holds(&absent, "[vm1] hello (1)\n"), [false]);
    }

    #[test]
    fn counts_are_exact() {
        let twice = HELLO.to_owned() + "count = 2\n";
        assert_eq!(holds(&twice, "[vm1] hello (1)\n"), [false]);
        assert_eq!(holds(&twice, &"[vm1] hello (1)\n".repeat(2)), [true]);
        assert_eq!(holds(&twice, &"[vm1] hello (1)\n".repeat(3)), [false]);
    }

    #[test]
    fn order_is_that_of_the_file_where_asked_for() {
        let expects = HELLO.to_owned() + "[[expect]]\nfrom = 'HYP'\nline = 'bye'\nin-order = true\n";
        assert_eq!(holds(&expects, "[vm1] hello (1)\n[HYP] bye\n"), [true, true]);
        assert_eq!(holds(&expects, "[HYP] bye\n[vm1] hello (1)\n"), [true, false]);
    }

    #[test]
    fn numbers_are_held_against_their_bounds() {
        let size = "[[expect]]\nfrom = 'HYP'\nregex = 'image (\\d+) KiB'\nat-most = 512\nat-least = 1\n";
        assert_eq!(holds(size, "[HYP] image 512 KiB\n"), [true]);
        assert_eq!(holds(size, "[HYP] image 513 KiB\n"), [false]);
        assert_eq!(holds(size, "[HYP] image 0 KiB\n"), [false]);
    }

    #[test]
    fn an_unexpected_panic_of_a_layer_fails_the_run_and_a_guests_does_not() {
        let judge_panic = |expects: &str| judge(expects, "[vm1] hello (1)\n[HYP] PANIC at src/main.rs:1\n");
        assert!(judge_panic(HELLO).is_hopeless() && !judge_panic(HELLO).is_content());
        let expected = HELLO.to_owned() + "[[expect]]\nfrom = 'HYP'\nline = 'PANIC'\n";
        assert!(judge_panic(&expected).is_content());
        let mut reported = judge(HELLO, "[vm1] hello (1)\n");
        for line in Listener::new(Port::Secure).hear(b"[TEE] E/TC:0 0   Panic at src/as_reported/assertion.rs:13\n") {
            reported.hear(&line);
        }
        assert!(reported.is_hopeless());
        assert!(judge(HELLO, "[vm1] hello (1)\n[vm1] panic\n").is_content());
    }
}
