// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the contract's program said: a line for each check.

use std::fmt;

/// What everything that it says begins with. The last line goes on with a colon and how many lines there are.
const MARK: &str = "contract";

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
    /// Returns its words without the spaces between them: where a line is cut is no observation.
    pub fn essence(&self) -> String {
        essence(&self.text)
    }
}

/// Takes the spaces out of a text.
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
    /// The beginning of a line that was cut before it said which check it is.
    head: Option<String>,
}

impl Said {
    /// Hears a line. One that begins in no known way goes on with what came before it: a console may cut lines,
    /// anywhere, and a space there is lost.
    pub fn hear(&mut self, line: &str) {
        let head = match self.head.take() {
            Some(head) if !line.starts_with(MARK) => head + line,
            _ => line.to_owned(),
        };
        if let Some(end) = head.strip_prefix(MARK).and_then(|rest| rest.strip_prefix(':')) {
            self.end = Some(end.trim_start().to_owned());
        } else if let Some((check, text)) = head.strip_prefix(MARK).and_then(split) {
            self.observations.push(Observation { check, text });
        } else if head.starts_with(MARK) || !head.is_empty() && MARK.starts_with(&head) {
            self.head = Some(head);
        } else if self.end.is_none()
            && let Some(last) = self.observations.last_mut()
        {
            last.text += line;
        }
    }

    /// Says whether it ended and all of its lines have come.
    pub fn is_whole(&self) -> bool {
        self.end.as_deref() == Some(&format!("{} lines", self.observations.len()))
    }
}

/// Takes `vgic: spi-life: text` apart into check and text.
fn split(line: &str) -> Option<(String, String)> {
    let (topic, rest) = line.split_once(':')?;
    let (check, text) = rest.split_once(':')?;
    Some((format!("{}: {}", topic.trim(), check.trim()), text.trim().to_owned()))
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
    fn a_line_is_one_observation_wherever_it_is_cut() {
        let line = "contract pl011: received-one-by-one: first=0x61 rest-comes=true";
        for cut in 1..line.len() {
            let mut said = Said::default();
            // As a console does, which ends no line with a space.
            let (begin, rest) = line.split_at(cut);
            for line in ["contract pl011: received: fr=0x90", begin.trim_end(), rest, "contract: 2 lines"] {
                said.hear(line);
            }
            let heard: Vec<_> = said.observations.iter().map(|said| (said.check.as_str(), said.essence())).collect();
            let whole = ("pl011: received-one-by-one", "first=0x61rest-comes=true".to_owned());
            assert_eq!(heard, [("pl011: received", "fr=0x90".to_owned()), whole], "{begin}|{rest}");
            assert!(said.is_whole());
        }
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
