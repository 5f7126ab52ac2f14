//! What the contract's program said: a line for each check.

use std::fmt;

/// What comes before everything that it says.
const MARK: &str = "contract ";
/// Its last line, with how many lines there are.
const END: &str = "contract: ";

/// The observations of one check, word by word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The topic and the check: `vgic: spi-life`.
    pub check: String,
    /// What it saw.
    pub text: String,
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.text)
    }
}

impl Observation {
    /// Its words without the spaces between them: where a line is cut is no observation.
    pub fn essence(&self) -> String {
        essence(&self.text)
    }
}

/// Text without its spaces.
pub fn essence(text: &str) -> String {
    text.split_whitespace().collect()
}

/// All that was said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// In the order in which it came.
    pub observations: Vec<Observation>,
    /// How it ended, once it has: `N lines`, or what went wrong.
    pub end: Option<String>,
}

impl Said {
    /// Hears a line. One that begins in no known way goes on with what came before it: a console may cut lines.
    pub fn hear(&mut self, line: &str) {
        if let Some((check, text)) = line.strip_prefix(MARK).and_then(split) {
            self.observations.push(Observation { check, text });
        } else if let Some(end) = line.strip_prefix(END) {
            self.end = Some(end.to_owned());
        } else if self.end.is_none()
            && let Some(last) = self.observations.last_mut()
        {
            last.text += line;
        }
    }

    /// Whether it ended and all of its lines have come.
    pub fn is_whole(&self) -> bool {
        self.end.as_deref() == Some(&format!("{} lines", self.observations.len()))
    }
}

/// `vgic: spi-life: text` as check and text.
fn split(line: &str) -> Option<(String, String)> {
    let (topic, rest) = line.split_once(": ")?;
    let (check, text) = rest.split_once(':')?;
    Some((format!("{topic}: {check}"), text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_line_is_one_observation() {
        let mut said = Said::default();
        for line in ["nobody asked", "contract vgic: a: x=1 y", "=2 z=3", "contract vgic: b:", "contract: 2 lines"] {
            said.hear(line);
        }
        assert_eq!(said.observations[0].to_string(), "vgic: a: x=1 y=2 z=3");
        assert_eq!(said.observations[1].text, "");
        assert!(said.is_whole());
    }

    #[test]
    fn a_line_that_is_missing_or_an_end_that_is_none_is_noticed() {
        let mut said = Said::default();
        said.hear("contract vgic: a: x=1");
        assert!(!said.is_whole());
        said.hear("contract: 2 lines");
        assert!(!said.is_whole());
        said.hear("contract: PANIC at the end");
        assert!(!said.is_whole());
    }
}
