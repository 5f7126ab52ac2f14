// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a user has accepted of a stack, as a file of his own.

use super::row::{Became, Row};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What the file begins with when it is written.
const HEADER: &str = "\
# What `cargo lab judge` found of a TEE and its user accepts. A scenario passes if it comes to nothing worse: nothing is
# answered otherwise that does not stand here, and who dies does so with last words that do.

";

/// Scenarios, and what is accepted of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    #[serde(flatten)]
    scenarios: BTreeMap<String, Entry>,
}

/// What is accepted of one scenario.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    /// How it may die: by last words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dies: Vec<String>,
    /// What it may answer otherwise.
    #[serde(default)]
    differences: Vec<String>,
}

impl Accepted {
    /// Reads a file.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is no list of what is accepted", file.display()))
    }

    /// Accepts what these rows came to.
    pub(super) fn of(rows: &[Row]) -> Self {
        let entry = |row: &Row| match row.became {
            Became::Holds | Became::Unrun(_) => None,
            Became::Otherwise | Became::Dies(_) => {
                Some(Entry { dies: row.death().into_iter().collect(), differences: row.differences.clone() })
            }
        };
        Self { scenarios: rows.iter().filter_map(|row| Some((row.name.clone(), entry(row)?))).collect() }
    }

    /// Accepts what either does: where CPUs race, runs differ.
    pub(super) fn and(mut self, other: Self) -> Self {
        for (name, entry) in other.scenarios {
            let known = self.scenarios.entry(name).or_default();
            known.dies.extend(entry.dies);
            known.dies.sort();
            known.dies.dedup();
            known.differences.extend(entry.differences);
            known.differences.sort();
            known.differences.dedup();
        }
        self
    }

    /// Writes it as a file.
    pub fn text(&self) -> Result<String> {
        Ok(HEADER.to_owned() + &toml::to_string_pretty(self).context("what is accepted can't be written")?)
    }

    /// Says whether a row came to nothing that isn't accepted.
    pub(super) fn accepts(&self, row: &Row) -> bool {
        let Some(entry) = self.scenarios.get(&row.name) else { return false };
        if !matches!(row.became, Became::Otherwise | Became::Dies(_)) {
            return false;
        }
        row.death().is_none_or(|death| entry.dies.contains(&death))
            && row.differences.iter().all(|difference| entry.differences.contains(difference))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(became: Became, differences: &[&str]) -> Row {
        Row {
            name: "hostile-ids".into(),
            meaning: String::new(),
            became,
            differences: differences.iter().map(|difference| (*difference).to_owned()).collect(),
            last_words: Vec::new(),
            seconds: 0.0,
            accepted: false,
        }
    }

    #[test]
    fn what_was_recorded_is_accepted_and_nothing_worse() {
        let otherwise = row(Became::Otherwise, &["a: x0 = 0x1, expected 0x0", "b"]);
        let accepted = Accepted::of(std::slice::from_ref(&otherwise));
        assert!(accepted.accepts(&otherwise) && accepted.accepts(&row(Became::Otherwise, &["b"])));
        assert!(!accepted.accepts(&row(Became::Otherwise, &["b", "c"])));
        assert!(!accepted.accepts(&row(Became::Dies("x".into()), &["b"])));
        assert!(!accepted.accepts(&row(Became::Unrun("x".into()), &[])));
        let dead = row(Became::Dies("x".into()), &[]);
        assert!(Accepted::of(std::slice::from_ref(&dead)).accepts(&dead));
        // Another end is another.
        assert!(!Accepted::of(std::slice::from_ref(&dead)).accepts(&row(Became::Dies("y".into()), &[])));
        assert!(!Accepted::default().accepts(&dead));
        let other = Row { name: "hostile-rpc".into(), ..otherwise.clone() };
        assert!(!accepted.accepts(&other));
        // Another run's are added, and none goes.
        let both = accepted.and(Accepted::of(&[row(Became::Dies("x".into()), &["c", "b"])]));
        assert!(both.accepts(&otherwise) && both.accepts(&row(Became::Dies("x".into()), &["b", "c"])));
    }

    #[test]
    fn a_file_that_is_written_is_read_again() {
        let accepted = Accepted::of(&[row(Became::Dies("x".into()), &["a \"quoted\" one"])]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("accepted.toml");
        fs::write(&file, accepted.text().unwrap()).unwrap();
        assert_eq!(Accepted::read(&file).unwrap(), accepted);
        fs::write(&file, "[hostile-ids]\ndie = []\n").unwrap();
        assert!(Accepted::read(&file).is_err());
    }
}
