// SPDX-License-Identifier: MIT OR Apache-2.0
//! Figures beside their goals, another system's, and those of an earlier day.

use super::measured::Measured;
use super::other::Found;
use super::split::Split;
use super::table::Entry;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// A figure may get worse by this share, which is what another version of the compiler does to it.
const TOLERANCE: f64 = 0.02;

/// All figures of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// One by one.
    pub rows: Vec<Row>,
    /// What was measured beside ours.
    pub other: Option<String>,
    /// Where instructions go.
    pub splits: Vec<Split>,
}

/// One figure.
#[derive(Debug, Clone)]
pub struct Row {
    /// What the table says of it.
    pub entry: Entry,
    /// What it is.
    pub measured: Measured,
    /// Its median in the baseline, if it is there.
    pub before: Option<f64>,
    /// What it is in the other stack, if that is asked for what it is a figure of.
    pub other: Option<Found>,
}

/// What a figure is judged to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As good as it must be.
    Good,
    /// Worse than its goal; so it was in the baseline.
    StillMissed,
    /// Worse than its goal.
    Missed,
    /// Worse than in the baseline.
    Regressed,
}

impl Row {
    /// Judges the figure.
    pub fn verdict(&self) -> Verdict {
        let unit = self.entry.unit;
        let misses = |value| self.entry.goal.is_some_and(|goal| unit.worse_by(value, goal) > 0.0);
        let missed = misses(self.measured.median);
        if missed && !self.before.is_some_and(misses) {
            return Verdict::Missed;
        }
        let regressed = self.before.is_some_and(|before| {
            unit.worse_by(self.measured.median, before) > unit.slack().max(before.abs() * TOLERANCE)
        });
        match (regressed, missed) {
            (true, _) => Verdict::Regressed,
            (false, true) => Verdict::StillMissed,
            (false, false) => Verdict::Good,
        }
    }

    fn figure(&self) -> Figure {
        let Measured { median, min, max, samples } = self.measured;
        let Entry { name, goal, reference, .. } = &self.entry;
        let other = match self.other {
            Some(Ok(Measured { median, min, max, samples })) => Some(Other { median, min, max, samples }),
            _ => None,
        };
        Figure { name: name.clone(), median, min, max, samples, goal: *goal, reference: *reference, other }
    }
}

/// One object of `bench.json` and of the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name.
    pub name: String,
    /// The median of its samples.
    pub median: f64,
    /// The least of them.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// How many.
    pub samples: usize,
    /// It must not be worse than this.
    pub goal: Option<f64>,
    /// What another system needs for the same.
    pub reference: Option<f64>,
    /// What the other stack needs, if one was measured beside ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Other>,
}

/// A figure as it is on another stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Other {
    /// The median of its samples.
    pub median: f64,
    /// The least of them.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// How many.
    pub samples: usize,
}

/// Reads the medians of an earlier `bench.json`, by name.
pub(super) fn read_baseline(file: &Path) -> Result<HashMap<String, f64>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let figures: Vec<Figure> =
        serde_json::from_str(&text).with_context(|| format!("{} holds no figures", file.display()))?;
    Ok(figures.into_iter().map(|figure| (figure.name, figure.median)).collect())
}

impl Report {
    /// Says whether every goal is met and nothing got worse.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(|row| row.verdict() == Verdict::Good)
    }

    /// Says whether nothing is worse than the baseline has it.
    pub fn held(&self) -> bool {
        self.rows.iter().all(|row| matches!(row.verdict(), Verdict::Good | Verdict::StillMissed))
    }

    /// Says why the other stack has no figure, and which ones.
    fn missing(&self) -> Vec<(&str, Vec<&str>)> {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for row in &self.rows {
            let Some(Err(reason)) = &row.other else { continue };
            match reasons.iter_mut().find(|(known, _)| known == reason) {
                Some((_, names)) => names.push(&row.entry.name),
                None => reasons.push((reason, vec![&row.entry.name])),
            }
        }
        reasons
    }

    /// Writes what `bench.json` holds.
    pub fn json(&self) -> Result<String> {
        let figures: Vec<_> = self.rows.iter().map(Row::figure).collect();
        Ok(serde_json::to_string_pretty(&figures).context("figures are JSON")? + "\n")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for split in &self.splits {
            write!(f, "{split}")?;
        }
        if !self.splits.is_empty() {
            writeln!(f)?;
        }
        const HEADS: [&str; 8] = ["median", "min", "max", "samples", "goal", "reference", "ratio", "change"];
        let of = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
        write!(f, "{:<26}", "")?;
        for head in HEADS.into_iter().chain(self.other.iter().flat_map(|_| ["other", "ratio"])) {
            write!(f, "{head:>11}")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            let Measured { median, min, max, samples } = row.measured;
            let ratio =
                |other: Option<f64>| other.map_or_else(|| "-".to_owned(), |other| format!("{:.3}", median / other));
            let change = row.before.map_or_else(|| "new".to_owned(), |before| signed(median - before));
            write!(f, "{:<26}", row.entry.name)?;
            let Entry { goal, reference, .. } = row.entry;
            let mut cells = vec![number(median), number(min), number(max), samples.to_string()];
            cells.extend([of(goal), of(reference), ratio(reference), change]);
            if self.other.is_some() {
                let theirs = row.other.as_ref().and_then(|found| found.as_ref().ok()).map(|other| other.median);
                cells.extend([of(theirs), ratio(theirs)]);
            }
            for cell in cells {
                write!(f, "{cell:>11}")?;
            }
            match row.verdict() {
                Verdict::Good => writeln!(f)?,
                Verdict::StillMissed | Verdict::Missed => writeln!(f, "  GOAL MISSED")?,
                Verdict::Regressed => writeln!(f, "  WORSE THAN BEFORE")?,
            }
        }
        if let Some(other) = &self.other {
            writeln!(f, "other: {other}")?;
            for (reason, names) in self.missing() {
                writeln!(f, "  no {}: {reason}", names.join(", "))?;
            }
        }
        let bad = self.rows.iter().filter(|row| row.verdict() != Verdict::Good).count();
        match bad {
            0 => writeln!(f, "PASS {} figures", self.rows.len()),
            _ => writeln!(f, "FAIL {bad} of {} figures", self.rows.len()),
        }
    }
}

/// Writes counts as they are, shares with three digits.
fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// Writes a change with its sign.
fn signed(value: f64) -> String {
    match number(value) {
        zero if zero == "0" || zero.trim_start_matches('-') == "0.000" => "=".to_owned(),
        more if value > 0.0 => format!("+{more}"),
        less => less,
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::{Table, Unit};
    use super::*;
    use lab_run::workspace::Workspace;
    use std::collections::HashSet;

    fn row(unit: Unit, now: f64, before: Option<f64>, goal: Option<f64>) -> Row {
        let measured = Measured { median: now, min: now, max: now, samples: 1 };
        let entry = Entry {
            name: "x".into(),
            unit,
            figure: None,
            source: None,
            minus: None,
            level: None,
            plus: None,
            goal,
            reference: Some(100.0),
        };
        Row { entry, measured, before, other: None }
    }

    fn report(row: Row) -> Report {
        Report { rows: vec![row], other: None, splits: Vec::new() }
    }

    fn since(unit: Unit, now: f64, before: f64) -> Verdict {
        row(unit, now, Some(before), None).verdict()
    }

    #[test]
    fn small_figures_may_change_by_four_instructions_and_large_ones_by_two_percent() {
        use Unit::Instructions;
        assert_eq!(since(Instructions, 61.0, 57.0), Verdict::Good);
        assert_eq!(since(Instructions, 62.0, 57.0), Verdict::Regressed);
        assert_eq!(since(Instructions, 10_200.0, 10_000.0), Verdict::Good);
        assert_eq!(since(Instructions, 10_201.0, 10_000.0), Verdict::Regressed);
        assert_eq!(since(Instructions, 1.0, 10_000.0), Verdict::Good);
    }

    #[test]
    fn four_instructions_are_no_slack_for_what_is_not_instructions() {
        assert_eq!(since(Unit::Percent, 1.019, 1.0), Verdict::Good);
        assert_eq!(since(Unit::Percent, 1.021, 1.0), Verdict::Regressed);
        assert_eq!(since(Unit::Percent, 0.045, 0.036), Verdict::Good);
        assert_eq!(since(Unit::Percent, 0.047, 0.036), Verdict::Regressed);
        assert_eq!(since(Unit::Vms, 126.0, 128.0), Verdict::Good);
        assert_eq!(since(Unit::Vms, 125.0, 128.0), Verdict::Regressed);
        assert_eq!(since(Unit::Vms, 200.0, 128.0), Verdict::Good);
    }

    #[test]
    fn a_goal_is_missed_above_it_or_with_vms_below_it() {
        let judge = |unit, now, before| row(unit, now, before, Some(70.0)).verdict();
        assert_eq!(judge(Unit::Instructions, 70.0, None), Verdict::Good);
        assert_eq!(judge(Unit::Instructions, 71.0, None), Verdict::Missed);
        assert_eq!(judge(Unit::Instructions, 71.0, Some(70.0)), Verdict::Missed);
        assert_eq!(judge(Unit::Instructions, 71.0, Some(71.0)), Verdict::StillMissed);
        assert_eq!(judge(Unit::Instructions, 99.0, Some(71.0)), Verdict::Regressed);
        assert_eq!(judge(Unit::Vms, 70.0, None), Verdict::Good);
        assert_eq!(judge(Unit::Vms, 69.0, None), Verdict::Missed);
        assert_eq!(row(Unit::Waits, 1.0, Some(0.0), Some(0.0)).verdict(), Verdict::Missed);
        assert_eq!(row(Unit::Waits, 0.0, Some(0.0), Some(0.0)).verdict(), Verdict::Good);
    }

    #[test]
    fn a_missed_goal_fails_and_what_the_baseline_lacks_is_new() {
        let good = report(row(Unit::Instructions, 50.0, None, Some(70.0)));
        assert!(good.passed() && good.held());
        let text = good.to_string();
        assert!(text.contains("0.500") && text.contains("new") && text.ends_with("PASS 1 figures\n"), "{text}");
        let missed = report(row(Unit::Instructions, 71.0, Some(71.0), Some(70.0)));
        assert!(!missed.passed() && missed.held());
        let text = missed.to_string();
        assert!(text.contains("GOAL MISSED") && text.ends_with("FAIL 1 of 1 figures\n"), "{text}");
        let worse = report(row(Unit::Instructions, 60.0, Some(50.0), Some(70.0)));
        assert!(!worse.passed() && !worse.held());
        let text = worse.to_string();
        assert!(text.contains("+10  WORSE THAN BEFORE"), "{text}");
    }

    #[test]
    fn another_stack_stands_beside_ours_and_judges_nothing() {
        let theirs = Measured { median: 200.0, min: 190.0, max: 210.0, samples: 41 };
        let good = row(Unit::Instructions, 50.0, Some(50.0), Some(70.0));
        let rows = vec![
            Row { other: Some(Ok(theirs)), ..good.clone() },
            Row { other: Some(Err("step 3 fails".into())), ..good.clone() },
            good,
        ];
        let report = Report { rows, other: Some("tfa.bin".into()), splits: Vec::new() };
        assert!(report.passed());
        let text = report.to_string();
        let line = |index| text.lines().nth(index).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(line(1)[8..], ["=", "200", "0.250"]);
        assert_eq!(line(2)[8..], ["=", "-", "-"]);
        assert!(text.contains("other: tfa.bin\n  no x: step 3 fails\nPASS"), "{text}");
        let json = report.json().unwrap();
        assert_eq!(json.matches("\"other\"").count(), 1, "{json}");
    }

    #[test]
    fn what_is_written_can_be_the_next_baseline() {
        let report = report(row(Unit::Percent, 1.5, None, None));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), report.json().unwrap()).unwrap();
        assert_eq!(read_baseline(file.path()).unwrap(), HashMap::from([("x".to_owned(), 1.5)]));
        std::fs::write(file.path(), "{}").unwrap();
        assert!(read_baseline(file.path()).is_err());
    }

    #[test]
    fn the_baseline_of_the_checkout_has_the_figures_of_the_table() {
        let folder = Workspace::locate().unwrap().root().join("lab/bench");
        let table = Table::read(&folder.join("figures.toml")).unwrap();
        let baseline = read_baseline(&folder.join("baseline.json")).unwrap();
        let known: HashSet<_> = baseline.keys().map(String::as_str).collect();
        assert_eq!(table.entries().map(|entry| entry.name.as_str()).collect::<HashSet<_>>(), known);
    }
}
