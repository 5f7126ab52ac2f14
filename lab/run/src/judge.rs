// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether what was expected came.

use crate::console::Line;
use crate::mishap;
use crate::scenario::{Expect, Scenario};
use crate::stack::Stack;
use anyhow::Result;
use regex::{Captures, Regex};
use std::time::Instant;

/// Holds the lines of a run against what the scenario expects.
#[derive(Debug)]
pub struct Judge {
    claims: Vec<Claim>,
    begin: Instant,
    /// Some VM of the scenario asks for the TEE.
    vms_want_tee: bool,
    /// What is not played, as it is for other layers.
    left_out: Vec<String>,
    /// A line that nobody expected and that says that the machine is not what it should be.
    mishap: Option<Verdict>,
}

/// One expectation and what has come of it.
#[derive(Debug)]
struct Claim {
    expect: Expect,
    pattern: Regex,
    /// Who should say it is a program that is not ours, and has its own words for it.
    foreign: bool,
    /// It is about other layers than run here.
    elsewhere: bool,
    /// Its speaker has spoken.
    heard: bool,
    seen: usize,
    evidence: Option<Line>,
    millis: Option<u64>,
    /// The first line whose number is out of bounds.
    outside: Option<Line>,
}

/// What became of one expectation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Verdict {
    /// Whether it holds; nothing speaks against what is not judged.
    pub holds: bool,
    /// Whether it says anything about what ran.
    #[serde(default = "judged")]
    pub judged: bool,
    /// The expectation in words.
    pub claim: String,
    /// The line that shows it, or what is wrong.
    pub evidence: String,
    /// When that came, in real time after the start.
    #[serde(default)]
    pub millis: Option<u64>,
}

const fn judged() -> bool {
    true
}

impl Verdict {
    /// Makes a verdict about something that was judged at no moment of its own.
    pub fn new(holds: bool, claim: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self { holds, judged: true, claim: claim.into(), evidence: evidence.into(), millis: None }
    }

    /// Returns the word before it in a list.
    pub const fn mark(&self) -> &'static str {
        match (self.holds, self.judged) {
            (false, _) => "FAIL",
            (true, true) => "ok  ",
            (true, false) => "n/a ",
        }
    }
}

impl Judge {
    /// Begins with nothing seen. What layers that are not ours say of themselves is theirs: a line that only ours would
    /// say is not judged, nor is what is expected with other layers only.
    pub fn new(scenario: &Scenario, cpu: &str, stack: &Stack) -> Result<Self> {
        let vms_want_tee = scenario.vms.iter().any(|vm| vm.tee);
        let mut judge = Self::of(&scenario.expects_on(cpu), vms_want_tee, &stack.foreign(scenario))?;
        for claim in &mut judge.claims {
            claim.elsewhere = !stack.is_meant(&claim.expect.only_with, &scenario.chain);
        }
        judge.left_out.clone_from(&scenario.left_out);
        Ok(judge)
    }

    fn of(expects: &[&Expect], vms_want_tee: bool, foreign: &[&str]) -> Result<Self> {
        let claims = expects.iter().map(|expect| Claim::new(expect, foreign)).collect::<Result<_>>()?;
        Ok(Self { claims, begin: Instant::now(), vms_want_tee, left_out: Vec::new(), mishap: None })
    }

    /// Takes note of a line.
    pub fn hear(&mut self, line: &Line) {
        let millis = millis_since(self.begin);
        let mut expected = false;
        let mut previous_met = true;
        for claim in &mut self.claims {
            let met_before = claim.evidence.is_some() || claim.foreign || claim.elsewhere;
            if !claim.expect.in_order || previous_met {
                expected |= claim.hear(line, millis);
            }
            previous_met = met_before;
        }
        if !expected
            && self.mishap.is_none()
            && let Some(claim) = mishap::refuted_by(line, self.vms_want_tee)
        {
            self.mishap = Some(Verdict { millis: Some(millis), ..Verdict::new(false, claim, line.to_string()) });
        }
    }

    /// Says whether all that must be seen was seen, and nothing speaks against the rest so far.
    pub fn is_content(&self) -> bool {
        self.mishap.is_none() && self.claims.iter().all(|claim| claim.verdict().holds)
    }

    /// Returns the line after which nothing good will follow, if there was one.
    pub fn mishap(&self) -> Option<&str> {
        self.mishap.as_ref().map(|verdict| verdict.evidence.as_str())
    }

    /// Judges every expectation.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let left_out = self.left_out.iter().map(|step| Verdict {
            judged: false,
            ..Verdict::new(true, format!("step {step}"), "not played: it is for other layers only")
        });
        self.claims.iter().map(Claim::verdict).chain(left_out).chain(self.mishap.clone()).collect()
    }
}

/// Says how much real time has passed since then.
pub(crate) fn millis_since(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Claim {
    fn new(expect: &Expect, foreign: &[&str]) -> Result<Self> {
        let pattern = match (&expect.regex, &expect.line) {
            (Some(regex), _) => Regex::new(regex)?,
            (None, line) => Regex::new(&regex::escape(line.as_deref().unwrap_or_default()))?,
        };
        let foreign = foreign.contains(&expect.from.as_str());
        let expect = expect.clone();
        Ok(Self {
            expect,
            pattern,
            foreign,
            elsewhere: false,
            heard: false,
            seen: 0,
            evidence: None,
            millis: None,
            outside: None,
        })
    }

    /// Says whether it is about any line of its speaker's.
    const fn is_any(&self) -> bool {
        self.expect.line.is_none() && self.expect.regex.is_none()
    }

    /// Takes note of a line; says whether it is one that this expectation asks for.
    fn hear(&mut self, line: &Line, millis: u64) -> bool {
        if line.speaker != self.expect.from || self.elsewhere {
            return false;
        }
        self.heard = true;
        // An empty line is no evidence of anything.
        if self.is_any() && !self.expect.absent && line.text.is_empty() {
            return false;
        }
        let said = |found: &Captures<'_>| found.get(0).is_some_and(|whole| whole.start() < line.echo());
        let Some(found) = self.pattern.captures(&line.text).filter(said) else { return false };
        self.seen += 1;
        if self.evidence.is_none() {
            self.evidence = Some(line.clone());
            self.millis = Some(millis);
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
        !self.expect.absent && !self.is_any()
    }

    fn holds(&self) -> bool {
        if self.expect.absent {
            // Who says nothing at all shows nothing by not saying this.
            return self.seen == 0 && (self.heard || self.is_any());
        }
        self.outside.is_none() && self.expect.count.map_or(self.seen > 0, |count| self.seen == count)
    }

    fn verdict(&self) -> Verdict {
        if self.elsewhere {
            let evidence = "not judged: it is expected with other layers only";
            return Verdict { judged: false, ..Verdict::new(true, self.words(), evidence) };
        }
        let unsaid = self.seen == 0 && !self.holds();
        if self.foreign && unsaid {
            let evidence = "not judged: what stands in this layer's place has words of its own";
            return Verdict { judged: false, ..Verdict::new(true, self.words(), evidence) };
        }
        let evidence = match (&self.outside, &self.evidence) {
            (Some(line), _) => format!("out of bounds: {line}"),
            (None, None) if self.expect.absent && !self.heard && !self.is_any() => {
                format!("{} said nothing at all, so this shows nothing", self.expect.from)
            }
            (None, None) if self.expect.absent => "never seen".to_owned(),
            (None, None) => "NOT SEEN".to_owned(),
            (None, Some(line)) if self.expect.count.is_some() => format!("{} times: {line}", self.seen),
            (None, Some(line)) => line.to_string(),
        };
        Verdict { millis: self.millis, ..Verdict::new(self.holds(), self.words(), evidence) }
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
    use crate::scenario::Package;
    use crate::stack::Tee;

    fn judge(expects: &str, lines: &str) -> Judge {
        judge_of(expects, lines, &[])
    }

    fn judge_of(expects: &str, lines: &str, foreign: &[&str]) -> Judge {
        #[derive(serde::Deserialize)]
        struct File {
            expect: Vec<Expect>,
        }
        let file: File = toml::from_str(expects).unwrap();
        let mut judge = Judge::of(&file.expect.iter().collect::<Vec<_>>(), true, foreign).unwrap();
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
    fn what_a_kernel_repeats_of_its_command_line_is_not_what_it_says() {
        let ready = "[[expect]]\nfrom = 'vm1'\nline = 'ready'\n[[expect]]\nfrom = 'vm1'\nregex = '\\bre[a-z]+'\n";
        let echo = "[vm1] [    0.0] Kernel command line: triptych.print=ready\n";
        assert_eq!(holds(ready, echo), [false, false]);
        assert_eq!(holds(ready, &format!("{echo}[vm1] ready\n")), [true, true]);
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
        assert!(judge_panic(HELLO).mishap().is_some() && !judge_panic(HELLO).is_content());
        let last = judge_panic(HELLO).verdicts().pop().unwrap();
        assert_eq!((last.holds, last.claim.as_str()), (false, "no layer panics"));
        assert_eq!(last.evidence, "[HYP] PANIC at src/main.rs:1");
        let expected = HELLO.to_owned() + "[[expect]]\nfrom = 'HYP'\nline = 'PANIC'\n";
        assert!(judge_panic(&expected).is_content());
        // Who expects any line does not expect this one.
        let anything = HELLO.to_owned() + "[[expect]]\nfrom = 'HYP'\n";
        assert!(judge_panic(&anything).mishap().is_some());
        let mut reported = judge(HELLO, "[vm1] hello (1)\n");
        for line in Listener::new(Port::Secure).hear(b"[TEE] E/TC:0 0   Panic at src/as_reported/assertion.rs:13\n") {
            reported.hear(&line);
        }
        assert!(reported.mishap().is_some());
        assert!(judge(HELLO, "[vm1] hello (1)\n[vm1] panic\n").is_content());
    }

    #[test]
    fn a_vm_that_is_skipped_fails_the_run_unless_that_is_expected() {
        let lines = "[HYP] domU2 has no kernel: add a module; skipped\n[vm1] hello (1)\n";
        let skipped = judge(HELLO, lines);
        assert_eq!(skipped.mishap(), Some("[HYP] domU2 has no kernel: add a module; skipped"));
        assert!(!skipped.is_content() && !skipped.verdicts().pop().unwrap().holds);
        let expected = "[[expect]]\nfrom = 'HYP'\nregex = 'domU2 has no kernel'\n".to_owned() + HELLO;
        assert!(judge(&expected, lines).is_content());
    }

    #[test]
    fn what_is_absent_of_one_who_says_nothing_shows_nothing() {
        let absent = "[[expect]]\nfrom = 'vm2'\nline = 'crash'\nabsent = true\n";
        let evidence = |lines: &str| judge(absent, lines).verdicts().remove(0);
        assert!(!evidence("[vm1] hello\n").holds);
        assert_eq!(evidence("[vm1] hello\n").evidence, "vm2 said nothing at all, so this shows nothing");
        assert!(evidence("[vm2] hello\n").holds);
        assert!(!evidence("[vm2] a crash\n[vm2] hello\n").holds);
        // Its silence is what is expected here.
        assert_eq!(holds("[[expect]]\nfrom = 'vm2'\nabsent = true\n", "[vm1] hello\n"), [true]);
        assert_eq!(holds("[[expect]]\nfrom = 'vm2'\nabsent = true\n", "[vm2]\n"), [false]);
    }

    #[test]
    fn what_is_expected_with_other_layers_only_is_not_judged() {
        let judged = |stack: &Stack| {
            let text = "name = 'a'\nsummary = 'b'\n\
                        [[expect]]\nfrom = 'EL3'\nline = 'ours'\nonly-with = { tee = 'ours' }\n\
                        [[expect]]\nfrom = 'EL3'\nline = 'both'\nin-order = true\n";
            let scenario = Scenario::parse(text, std::path::Path::new("a.toml")).unwrap();
            let mut judge = Judge::new(&scenario, "max", stack).unwrap();
            for line in Listener::new(Port::Secure).hear(b"[EL3] both\n") {
                judge.hear(&line);
            }
            judge.verdicts().iter().map(|verdict| (verdict.holds, verdict.judged)).collect::<Vec<_>>()
        };
        assert_eq!(judged(&Stack::default()), [(false, true), (false, true)]);
        let theirs = Stack { tee: Tee::Package(Package::from("optee-os")), ..Stack::default() };
        assert_eq!(judged(&theirs), [(true, false), (true, true)]);
    }

    #[test]
    fn an_empty_line_is_not_just_any_line() {
        assert_eq!(holds("[[expect]]\nfrom = 'vm2'\n", "[vm2]\n[vm2] \n"), [false]);
        assert_eq!(holds("[[expect]]\nfrom = 'vm2'\n", "[vm2]\n[vm2] x\n"), [true]);
    }

    #[test]
    fn a_foreign_layers_own_words_are_not_judged_and_what_it_must_not_say_is() {
        let image = "[[expect]]\nfrom = 'HYP'\nregex = 'image (\\d+) KiB'\nat-most = 5\n";
        let verdict = |expects: &str, lines: &str| judge_of(expects, lines, &["HYP"]).verdicts().remove(0);
        let unsaid = verdict(image, "[HYP] I am another\n");
        assert_eq!((unsaid.holds, unsaid.judged, unsaid.mark()), (true, false, "n/a "));
        let said = verdict(image, "[HYP] image 6 KiB\n");
        assert_eq!((said.holds, said.judged), (false, true));
        let said = verdict(image, "[HYP] image 5 KiB\n");
        assert_eq!((said.holds, said.judged, said.mark()), (true, true, "ok  "));
        let absent = "[[expect]]\nfrom = 'HYP'\nline = 'x'\nabsent = true\n";
        assert!(!verdict(absent, "[HYP] x\n").holds);
        assert!(!verdict(absent, "[vm1] y\n").judged);
        // A guest's are, whoever stands below it, and what comes after a line that only ours says has no order to keep.
        assert!(!judge_of(HELLO, "[vm1] x\n", &["HYP"]).verdicts()[0].holds);
        let order = image.to_owned() + &HELLO.replace("line", "in-order = true\nline");
        let after: Vec<_> = judge_of(&order, "[vm1] hello (1)\n", &["HYP"]).verdicts();
        assert!(after[1].holds && after[1].judged);
        assert!(judge_of(&order, "[HYP] PANIC\n", &["HYP"]).mishap().is_some());
    }
}
