// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a scenario file, and where.

use lab_script::distance;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A mistake in a scenario file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    file: PathBuf,
    line: Option<usize>,
    message: String,
    nearest: Option<String>,
}

impl Error {
    /// Takes what the TOML reader found.
    pub fn from_toml(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message().trim().to_owned();
        let (message, nearest) = match renamed_of(&message) {
            Some(message) => (message, None),
            None => (message.clone(), nearest_of(&message)),
        };
        Self { file: file.to_path_buf(), line: error.span().map(|span| line_of(text, span)), nearest, message }
    }
}

impl Error {
    /// Places a mistake in a file's text.
    pub fn at(file: &Path, text: &str, span: Range<usize>, message: String, nearest: Option<String>) -> Self {
        Self { file: file.to_path_buf(), line: Some(line_of(text, span)), message, nearest }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(key) = &self.nearest {
            write!(f, "; did you mean `{key}`?")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// A mistake that no grammar finds: in which entry of which table, and what.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The header of the table, as in `[[vm]]`; empty for the top of the file.
    pub table: &'static str,
    /// Which of several tables with that header.
    pub index: usize,
    /// The key, if one is to blame.
    pub key: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl Fault {
    /// Finds the line to blame.
    pub(crate) fn at(self, file: &Path, text: &str) -> Error {
        let mut lines = text.lines().enumerate();
        let mut line = None;
        if !self.table.is_empty() {
            line = lines.by_ref().filter(|(_, text)| text.trim_start().starts_with(self.table)).nth(self.index);
        }
        let of_key = lines
            .take_while(|(_, text)| !text.starts_with('['))
            .find(|(_, text)| text.strip_prefix(self.key).is_some_and(|rest| rest.trim_start().starts_with('=')));
        Error {
            file: file.to_path_buf(),
            line: of_key.or(line).map(|(number, _)| number + 1),
            message: self.message,
            nearest: None,
        }
    }
}

/// Returns the line, from 1, in which a span starts.
fn line_of(text: &str, span: Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
}

/// Keys that had another name once: that, and what they are called now.
const RENAMED: [(&str, &str); 1] = [("vmid", "id")];

/// Says what a key is called now that had this name once.
pub fn new_name(key: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(old, _)| *old == key).map(|(_, new)| *new)
}

/// Says what to say instead of serde's ``unknown field `a`, expected one of `b`, `c` ``, if one of these was called so
/// once.
fn renamed_of(message: &str) -> Option<String> {
    let mut quoted = message.strip_prefix("unknown field")?.split('`').skip(1).step_by(2);
    let given = quoted.next()?;
    let new = new_name(given)?;
    quoted.any(|known| known == new).then(|| format!("`{given}` is called `{new}` now"))
}

/// Finds which of the names in serde's ``unknown field `a`, expected one of `b`, `c` `` is the likeliest.
fn nearest_of(message: &str) -> Option<String> {
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let given = quoted.next()?;
    quoted.min_by_key(|known| distance(given, known)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unknown_names_get_a_proposal() {
        let message = "unknown field `memry`, expected one of `name`, `memory`";
        assert_eq!(nearest_of(message).as_deref(), Some("memory"));
        assert_eq!(nearest_of("missing field `memory`"), None);
    }
}
