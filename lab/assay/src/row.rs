// SPDX-License-Identifier: MIT OR Apache-2.0
//! One scenario, and what became of the stack in it.

use super::accepted::Accepted;
use lab_run::console::Line;
use lab_run::judge::Verdict;
use lab_run::mishap;
use lab_run::run::Outcome;
use lab_run::scenario::Scenario;
use std::collections::BTreeSet;
use std::fmt;

/// How many of a layer's last lines are kept.
const LAST_WORDS: usize = 12;

/// One scenario.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub meaning: String,
    /// What became of the stack.
    pub became: Became,
    /// What was answered otherwise, each once.
    pub differences: Vec<String>,
    /// What the secure world said last, if it died.
    pub last_words: Vec<String>,
    /// How long it took.
    pub seconds: f64,
    /// The user has accepted it.
    pub accepted: bool,
}

/// What became of a stack in a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// It did all that is expected.
    Holds,
    /// It lived, and answered otherwise.
    Otherwise,
    /// It came to its end, or came back from some call no more: what shows that.
    Dies(String),
    /// The scenario did not run: why.
    Unrun(String),
}

impl Became {
    /// Names it in a word, as a file of accepted differences does.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Otherwise => "answers otherwise",
            Self::Dies(_) => "dies",
            Self::Unrun(_) => "not run",
        }
    }

    /// Returns what shows it, if it needs showing.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Holds | Self::Otherwise => None,
            Self::Dies(why) | Self::Unrun(why) => Some(why),
        }
    }
}

impl Row {
    /// Makes a row of what came of a run.
    pub(super) fn of(scenario: &Scenario, outcome: &Outcome) -> Self {
        // A TEE's assertion comes before the panic that follows, and says more.
        let ends = |line: &&Line| mishap::ends_tee(line) || mishap::refuted_by(line, false).is_some();
        let last_word = outcome.lines.iter().find(ends);
        // The end of the machine is judged last.
        let end = outcome.verdicts.last().filter(|end| !end.holds);
        let became = match (last_word, end) {
            _ if outcome.interrupted => Became::Unrun("it was interrupted".into()),
            _ if outcome.passed() => Became::Holds,
            (Some(line), _) => Became::Dies(line.to_string()),
            (None, Some(end)) => Became::Dies(format!("{}: {}", end.claim, end.evidence)),
            (None, None) => Became::Otherwise,
        };
        let mut differences: Vec<_> = outcome.lines.iter().filter_map(difference).collect();
        // What a probe says of itself is in its own lines, and how the machine ended is what became of it.
        let own = |verdict: &&Verdict| !verdict.holds && !is_of_probe(&verdict.claim);
        let others = outcome.verdicts[..outcome.verdicts.len().saturating_sub(1)].iter().filter(own);
        differences.extend(others.map(|verdict| verdict.claim.clone()));
        let mut seen = BTreeSet::new();
        differences.retain(|difference| seen.insert(difference.clone()));
        let dead = matches!(became, Became::Dies(_));
        let secure: Vec<_> = outcome.lines.iter().filter(|line| is_secure(line) && dead).collect();
        let last_words = secure[secure.len().saturating_sub(LAST_WORDS)..].iter().map(ToString::to_string).collect();
        Self {
            name: scenario.name.clone(),
            meaning: scenario.summary.clone(),
            became,
            differences,
            last_words,
            seconds: outcome.duration.as_secs_f64(),
            accepted: false,
        }
    }

    /// Makes the row of a scenario that did not run.
    pub(super) fn unrun(scenario: &Scenario, why: &str) -> Self {
        Self {
            name: scenario.name.clone(),
            meaning: scenario.summary.clone(),
            became: Became::Unrun(why.to_owned()),
            differences: Vec::new(),
            last_words: Vec::new(),
            seconds: 0.0,
            accepted: false,
        }
    }

    /// Notes whether the user has accepted it.
    pub(super) fn held_against(self, accepted: &Accepted) -> Self {
        Self { accepted: accepted.accepts(&self), ..self }
    }

    /// Returns what its end is known by, if it died.
    pub(super) fn death(&self) -> Option<String> {
        match &self.became {
            Became::Dies(why) => Some(known_by(why)),
            _ => None,
        }
    }

    /// Says whether nothing has to be done about it.
    pub fn is_fine(&self) -> bool {
        match self.became {
            Became::Holds => true,
            Became::Otherwise | Became::Dies(_) => self.accepted,
            Became::Unrun(_) => false,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted = if self.accepted { ", which is accepted" } else { "" };
        write!(f, "{:<20} {}{accepted} ({:.0} s)", self.name, self.became.word(), self.seconds)?;
        if let Some(why) = self.became.why() {
            write!(f, "\n    {why}")?;
        }
        if self.accepted {
            return Ok(());
        }
        self.differences.iter().try_for_each(|difference| write!(f, "\n    {difference}"))
    }
}

/// Says whether a claim is one of those that are implied of every probe.
fn is_of_probe(claim: &str) -> bool {
    claim.contains("steps, \\d+ expectations, 0 failed") || claim.contains(r"step \d+ |no script")
}

/// Returns what a TEE's end is known by: its last words without who says them, and without numbers that differ from
/// build to build.
fn known_by(line: &str) -> String {
    let begins = ["assertion ", "Panic", "PANIC", "panicked", "Core "].iter().filter_map(|word| line.find(word)).min();
    let words = &line[begins.unwrap_or(0)..];
    let mut rest = words.split("0x");
    let mut known = rest.next().unwrap_or_default().to_owned();
    for part in rest {
        known += "0x…";
        known += part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    known
}

fn is_secure(line: &Line) -> bool {
    ["TEE", "EL3", "?s"].contains(&line.speaker.as_str()) && !line.text.is_empty()
}

/// Reads a complaint of a probe's, `step 7 (FILE.toml:31 NAME; n = 0): x0 = 0x0, expected 0x7`, as what stays the same
/// when a line is moved or a loop goes round again: `NAME: x0 = 0x0, expected 0x7`.
fn difference(line: &Line) -> Option<String> {
    let text = line.text.strip_prefix("[probe] ").unwrap_or(&line.text);
    let (_, rest) = text.strip_prefix("step ")?.split_once(" (")?;
    // Names have no such end; what is compared may have brackets of its own.
    let (place, what) = rest.split_once("): ")?;
    let place = place.split("; ").next().unwrap_or(place);
    let name = match place.split_once(' ') {
        Some((_, name)) if !name.is_empty() => name,
        _ => place,
    };
    Some(format!("{name}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<String> {
        difference(&Line { speaker: "probe".into(), text: text.into() })
    }

    #[test]
    fn a_difference_is_the_same_whatever_line_and_round_it_is_of() {
        let what = "VM_CREATED again: x0 = 0x0, expected 0x7";
        assert_eq!(told("step 7 (second-vm.toml:31 VM_CREATED again): x0 = 0x0, expected 0x7").unwrap(), what);
        assert_eq!(
            told("[probe] step 9 (second-vm.toml:32 VM_CREATED again; n = 3): x0 = 0x0, expected 0x7").unwrap(),
            what
        );
        let said = told("step 4 (pool.toml:53 lists): (ret == A) | (ret == B) = 0x0, expected 0x1").unwrap();
        assert_eq!(said, "lists: (ret == A) | (ret == B) = 0x0, expected 0x1");
        assert_eq!(
            told("step 4 (pool.toml:74; id = 1): ret = 0x1, expected 0x0").unwrap(),
            "pool.toml:74: ret = 0x1, expected 0x0"
        );
        assert_eq!(told("done: 12 steps, 19 expectations, 1 failed"), None);
    }

    #[test]
    fn an_end_is_known_by_its_words_and_not_by_who_was_where() {
        let said = "[TEE] E/TC:0 0   assertion 'prtn' failed at core/kernel/notif.c:35 <get_notif_data>";
        assert_eq!(known_by(said), "assertion 'prtn' failed at core/kernel/notif.c:35 <get_notif_data>");
        let abort = "[TEE] E/TC:1 0 0 Core data-abort at address 0xdead0000 (translation fault) at 0x0E101234";
        assert_eq!(known_by(abort), "Core data-abort at address 0x… (translation fault) at 0x…");
        assert_eq!(known_by("the machine powers off: it did not"), "the machine powers off: it did not");
    }
}
