// SPDX-License-Identifier: MIT OR Apache-2.0
//! A question of an exercise, and whether what was written is an answer to it.
//!
//! An answer is a constant: what asks the machine (a register, memory, the counter) says nothing of what one thinks
//! that the machine will do.

use lab_run::scenario::Size;
use lab_script::{constant, place};
use serde::Deserialize;
use std::fmt;
use toml::Spanned;
use toml::de::{DeInteger, DeValue};

/// How a hole is written, where an answer will stand.
pub(super) const HOLE: &str = "?";

/// What is asked at one place of an exercise's file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Question {
    /// What kind of thing an answer is.
    pub ask: Kind,
    /// What it is called, where its key says too little.
    pub name: Option<String>,
    /// Said to whoever is wrong.
    pub hint: String,
    /// The steps in which a wrong answer shows, by name, beside the one that it stands in.
    #[serde(default)]
    pub shows_in: Vec<String>,
    /// How many bits of a number count.
    pub bits: Option<u8>,
    /// What the question itself says that the answer must be, so that a right prediction is about the right thing.
    pub is: Option<Constant>,
    /// And what it must not be.
    pub is_not: Option<Constant>,
    /// It lies in this range, both ends included.
    pub within: Option<[Constant; 2]>,
}

/// A kind of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A number that is the same whatever the machine does.
    Number,
    /// A number that the addresses of buffers are part of.
    Place,
    /// An amount of memory.
    Size,
    /// Part of a line.
    Line,
    /// Who says something.
    Speaker,
    /// What is wrong with a flash.
    Damage,
    /// What becomes of a sequence of calls.
    Cell,
    /// A list of words; one of them may be left open.
    Names,
}

/// What stands in the file at the place of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
    /// Several.
    Names(Vec<String>),
    /// What the scenario's own reader judges.
    Other,
}

/// Why something is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The hole is still there.
    Open,
    /// It is something else than what is asked for, and why.
    NoAnswer(String),
    /// It is one, and can't be right.
    Wrong,
}

/// A number of a question, or an expression for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct Constant(u64);

impl TryFrom<toml::Value> for Constant {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::Integer(number) => Ok(Self(number as u64)),
            toml::Value::String(text) => constant(&text).map(Self),
            other => Err(format!("{other} is no number")),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "a number, or the name of one in quotes",
            Self::Place => "a number, or in quotes an expression of numbers and buffers",
            Self::Size => "a size, as \"16M\"",
            Self::Line => "part of a line, in quotes",
            Self::Speaker => "who speaks, in quotes",
            Self::Damage => "what is wrong with the flash",
            Self::Cell => "correct, refused, wrong-but-alive or panic, in quotes",
            Self::Names => "a list of names, each in quotes",
        })
    }
}

impl Question {
    /// Reads the answer that stands there. `buffers` are the names of the exercise's buffers.
    pub fn answer(&self, given: &DeValue<'_>, buffers: &[&str]) -> Result<Answer, Fault> {
        if is_hole(given) {
            return Err(Fault::Open);
        }
        let answer = match self.ask {
            Kind::Number => self.number(given).map(Answer::Number)?,
            Kind::Place => match given {
                DeValue::Integer(number) => Answer::Number(integer(number).ok_or_else(|| self.other_kind())?),
                DeValue::String(text) => {
                    place(text, buffers).map_err(Fault::NoAnswer)?;
                    Answer::Text(text.trim().to_owned())
                }
                _ => return Err(self.other_kind()),
            },
            Kind::Size => Answer::Text(size(given).ok_or_else(|| self.other_kind())?),
            Kind::Line | Kind::Speaker | Kind::Cell => {
                let text = given.as_str().map(str::trim).ok_or_else(|| self.other_kind())?;
                if text.is_empty() {
                    return Err(Fault::NoAnswer("there is nothing in it".into()));
                }
                Answer::Text(match self.ask {
                    Kind::Speaker => {
                        let layer = ["EL3", "TEE", "HYP"].into_iter().find(|name| name.eq_ignore_ascii_case(text));
                        layer.map_or_else(|| text.to_lowercase(), str::to_owned)
                    }
                    Kind::Cell => text.to_lowercase().replace([' ', '_'], "-"),
                    _ => text.to_owned(),
                })
            }
            Kind::Damage => Answer::Other,
            Kind::Names => self.names(given).map(Answer::Names)?,
        };
        if self.ask == Kind::Cell
            && let Answer::Text(text) = &answer
            && !["correct", "refused", "wrong-but-alive", "panic"].contains(&text.as_str())
        {
            return Err(self.other_kind());
        }
        Ok(answer)
    }

    fn other_kind(&self) -> Fault {
        Fault::NoAnswer(format!("an answer is {}", self.ask))
    }

    fn number(&self, given: &DeValue<'_>) -> Result<u64, Fault> {
        let number = match given {
            DeValue::Integer(number) => integer(number).ok_or_else(|| self.other_kind())?,
            DeValue::String(text) => constant(text).map_err(Fault::NoAnswer)?,
            _ => return Err(self.other_kind()),
        };
        let number = match self.bits {
            Some(bits) => truncated(number, bits).ok_or(Fault::Wrong)?,
            None => number,
        };
        let is = self.is.is_none_or(|Constant(wanted)| number == wanted);
        let is_not = self.is_not.is_none_or(|Constant(taken)| number != taken);
        let within = self.within.is_none_or(|[Constant(from), Constant(to)]| (from..=to).contains(&number));
        if is && is_not && within { Ok(number) } else { Err(Fault::Wrong) }
    }

    fn names(&self, given: &DeValue<'_>) -> Result<Vec<String>, Fault> {
        let list = given.as_array().ok_or_else(|| self.other_kind())?;
        let mut names = Vec::new();
        for name in list {
            if is_hole(name.get_ref()) {
                return Err(Fault::Open);
            }
            names.push(name.get_ref().as_str().ok_or_else(|| self.other_kind())?.trim().to_lowercase());
        }
        Ok(names)
    }

    /// Returns what stands in the place of what was written, so that the file's own reader takes it.
    pub fn in_place(answer: &Answer) -> Option<String> {
        match answer {
            Answer::Number(number) => match i64::try_from(*number) {
                Ok(number) => Some(number.to_string()),
                Err(_) => Some(format!("\"{number:#x}\"")),
            },
            Answer::Text(text) => Some(toml::Value::String(text.clone()).to_string()),
            Answer::Names(_) | Answer::Other => None,
        }
    }
}

/// Says whether this was left open.
pub(super) fn is_hole(given: &DeValue<'_>) -> bool {
    given.as_str().is_some_and(|text| text.trim() == HOLE)
}

/// Returns a number of so many bits, or a negative one that has its sign in all the others.
fn truncated(number: u64, bits: u8) -> Option<u64> {
    let shift = 64_u32.checked_sub(bits.into())?;
    let short = number << shift >> shift;
    let extended = ((number << shift) as i64 >> shift) as u64;
    (number == short || number == extended).then_some(short)
}

/// Reads an integer. TOML's have a sign; those of the machine may be larger.
fn integer(number: &DeInteger<'_>) -> Option<u64> {
    let (digits, radix) = (number.as_str(), number.radix());
    let unsigned = u64::from_str_radix(digits, radix).ok();
    unsigned.or_else(|| i64::from_str_radix(digits, radix).ok().map(|number| number as u64))
}

/// Reads a size as the scenario's reader takes it, without the `B` or `iB` that some write.
fn size(given: &DeValue<'_>) -> Option<String> {
    let text = match given {
        DeValue::Integer(number) => integer(number)?.to_string(),
        DeValue::String(text) => text.trim().to_uppercase(),
        _ => return None,
    };
    let unit = |text: &str| text.ends_with(['K', 'M', 'G']);
    let short = [text.strip_suffix("IB"), text.strip_suffix('B')].into_iter().flatten().find(|short| unit(short));
    let short = short.unwrap_or(&text).replace(['_', ' '], "");
    Size::try_from(short.clone()).ok().map(|_| short)
}

/// Writes a value of the file as it stands there.
pub(super) fn written<'t>(text: &'t str, value: &Spanned<DeValue<'_>>) -> &'t str {
    text.get(value.span()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(question: &str, given: &str) -> Result<Answer, Fault> {
        let question: Question = toml::from_str(&format!("hint = ''\n{question}")).unwrap();
        question.answer(DeValue::parse(given).unwrap().get_ref(), &["msg"])
    }

    #[test]
    fn a_number_counts_however_it_is_written() {
        let number = Ok(Answer::Number(22));
        for given in ["22", "0x16", "0b010110", "'22'", "' 0X16 '", "'data_abort - 0xF'", "0o26"] {
            assert_eq!(ask("ask = 'number'", given), number, "{given}");
        }
        let large = Ok(Answer::Number(0xB813_DF4D_3C7B_A9A5));
        assert_eq!(ask("ask = 'number'", "0xB813_DF4D_3C7B_A9A5"), large);
        assert_eq!(ask("ask = 'number'", "'0xB813_DF4D_3C7B_A9A5'"), large);
    }

    #[test]
    fn what_the_machine_fills_in_is_no_answer() {
        for given in ["'level'", "'esr >> 26'", "'x0'", "''", "2.0", "true", "[2]", "{ is = 2 }", "'msg'"] {
            assert!(matches!(ask("ask = 'number'", given), Err(Fault::NoAnswer(_))), "{given}");
        }
        assert_eq!(ask("ask = 'number'", "'?'"), Err(Fault::Open));
        assert!(matches!(ask("ask = 'place'", "'u64(msg)'"), Err(Fault::NoAnswer(_))));
        assert_eq!(ask("ask = 'place'", "'lo(msg)'"), Ok(Answer::Text("lo(msg)".into())));
    }

    #[test]
    fn bits_are_cut_off_a_sign_and_nothing_else() {
        assert_eq!(ask("ask = 'number'\nbits = 32", "-1"), Ok(Answer::Number(0xFFFF_FFFF)));
        assert_eq!(ask("ask = 'number'\nbits = 32", "0xFFFF_FFFF"), Ok(Answer::Number(0xFFFF_FFFF)));
        assert_eq!(ask("ask = 'number'\nbits = 32", "0x1_0000_0000"), Err(Fault::Wrong));
    }

    #[test]
    fn what_the_question_says_of_its_answer_is_held_against_it() {
        assert_eq!(ask("ask = 'number'\nis = 'PSCI_VERSION'", "0x8400_0001"), Err(Fault::Wrong));
        assert_eq!(ask("ask = 'number'\nis-not = 1", "1"), Err(Fault::Wrong));
        assert_eq!(ask("ask = 'number'\nwithin = ['TEE', 'TEE_END - 16']", "'TEE_END - 15'"), Err(Fault::Wrong));
        assert_eq!(ask("ask = 'number'\nwithin = ['TEE', 'TEE_END - 16']", "'TEE'"), Ok(Answer::Number(0x0E10_0000)));
    }

    #[test]
    fn words_and_sizes_are_taken_as_people_write_them() {
        let text = |text: &str| Ok(Answer::Text(text.into()));
        for given in ["'64M'", "' 64m'", "'64MiB'", "'64 MB'"] {
            assert_eq!(ask("ask = 'size'", given), text("64M"), "{given}");
        }
        assert_eq!(ask("ask = 'size'", "67108864"), text("67108864"));
        assert_eq!(ask("ask = 'cell'", "'Wrong but alive'"), text("wrong-but-alive"));
        assert!(matches!(ask("ask = 'cell'", "'dead'"), Err(Fault::NoAnswer(_))));
        assert_eq!(ask("ask = 'speaker'", "'hyp'"), text("HYP"));
        assert_eq!(ask("ask = 'speaker'", "'VM1'"), text("vm1"));
        assert!(matches!(ask("ask = 'line'", "'  '"), Err(Fault::NoAnswer(_))));
        assert_eq!(ask("ask = 'names'", "['SP_EL0 ']"), Ok(Answer::Names(vec!["sp_el0".into()])));
        assert_eq!(ask("ask = 'names'", "['sp_el0', '?']"), Err(Fault::Open));
    }
}
