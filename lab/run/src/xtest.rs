// SPDX-License-Identifier: MIT OR Apache-2.0
//! OP-TEE's test suite, as it is known here: its cases, and how many subtests each has
//! (`scenarios/interop/xtest.toml`).

use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What was counted, case by case, on the real stack.
static REFERENCE: LazyLock<Reference> = LazyLock::new(|| {
    let text = include_str!("../../../scenarios/interop/xtest.toml");
    // A file of the tree's: a test reads it.
    toml::from_str(text).unwrap_or_default()
});

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    subtests: BTreeMap<String, Subtests>,
}

/// How many subtests a case has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Subtests {
    /// Always this many.
    Exactly(u64),
    /// It depends on what memory is left.
    Between([u64; 2]),
}

impl Subtests {
    /// Returns the smallest and the largest count.
    pub(crate) const fn bounds(self) -> [u64; 2] {
        match self {
            Self::Exactly(count) => [count, count],
            Self::Between(bounds) => bounds,
        }
    }
}

/// Lists the names of all cases, one a line: the list that the guest's init knows them by.
pub(crate) fn list() -> String {
    REFERENCE.subtests.keys().map(|name| format!("{name}\n")).collect()
}

/// Lists the cases that a word means, as the guest's init does: `1001`, `1001-1009`, `4000` (all from 4000 to 4999),
/// `pkcs11`, `all`.
pub(crate) fn cases(word: &str) -> impl Iterator<Item = (&'static str, Subtests)> {
    let number = |digits: &str| digits.parse::<u64>().ok().filter(|_| digits.len() == 4);
    let range = match word.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)),
        None if word.ends_with("000") => number(word).map(|first| (first, first + 999)),
        None => number(word).map(|only| (only, only)),
    };
    REFERENCE.subtests.iter().filter_map(move |(name, subtests)| {
        let (suite, rest) = name.split_once('_')?;
        let meant = match range {
            Some((first, last)) => {
                suite == "regression" && rest.get(..4).and_then(number).is_some_and(|n| first <= n && n <= last)
            }
            None => word == "all" || word == suite,
        };
        meant.then_some((name.as_str(), *subtests))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(word: &str) -> Vec<&'static str> {
        cases(word).map(|(name, _)| name).collect()
    }

    #[test]
    fn words_mean_cases_ranges_thousands_and_suites() {
        assert_eq!(names("1001"), ["regression_1001"]);
        // There is no case 1014.
        assert_eq!(names("1013-1015"), ["regression_1013", "regression_1015"]);
        assert_eq!(names("2000"), ["regression_2001", "regression_2002", "regression_2003", "regression_2004"]);
        assert_eq!(names("4007").len(), 7);
        assert!(names("pkcs11").iter().all(|name| name.starts_with("pkcs11_")));
        assert_eq!(names("all").len(), names("regression").len() + names("pkcs11").len());
        for none in ["", "1014", "001", "1-9", "7000", "gp", "-", "1009-1001", "10010"] {
            assert_eq!(names(none), [""; 0], "{none}");
        }
    }
}
