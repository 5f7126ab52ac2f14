// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps of the command line.
#![forbid(unsafe_code)]

/// What is played when the command line has no step.
pub const DEFAULT: &str = "vault.put=greeting:hello-from-bare-metal vault.expect=greeting:hello-from-bare-metal \
    vault.expect-missing=somebody-elses vault.delete=greeting vault.expect-missing=greeting";

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Puts a secret.
    Put {
        /// Its name.
        name: &'a str,
        /// The secret.
        value: &'a str,
    },
    /// Gets a secret and prints it.
    Get {
        /// Its name.
        name: &'a str,
    },
    /// Gets a secret and compares it.
    Expect {
        /// Its name.
        name: &'a str,
        /// What it must be.
        value: &'a str,
    },
    /// Asks for a secret that must not be there.
    ExpectMissing {
        /// Its name.
        name: &'a str,
    },
    /// Deletes a secret.
    Delete {
        /// Its name.
        name: &'a str,
    },
    /// Sleeps so many milliseconds.
    WaitMs(u64),
    /// Sleeps until somebody types a line.
    WaitLine,
    /// Prints a word.
    Print(&'a str),
    /// Makes a call and prints what it answers.
    Call(u32),
    /// Reads a 32-bit word of memory and prints it, if it can.
    Read(u64),
}

/// A word of the command line that is no step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown<'a>(pub &'a str);

impl<'a> Step<'a> {
    /// Reads one word.
    pub fn parse(word: &'a str) -> Result<Self, Unknown<'a>> {
        let unknown = Unknown(word);
        let (key, argument) = word.split_once('=').unwrap_or((word, ""));
        let name = || if argument.is_empty() { Err(unknown) } else { Ok(argument) };
        let pair = || match argument.split_once(':') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok((name, value)),
            _ => Err(unknown),
        };
        Ok(match key {
            "vault.put" => pair().map(|(name, value)| Self::Put { name, value })?,
            "vault.expect" => pair().map(|(name, value)| Self::Expect { name, value })?,
            "vault.get" => Self::Get { name: name()? },
            "vault.expect-missing" => Self::ExpectMissing { name: name()? },
            "vault.delete" => Self::Delete { name: name()? },
            "wait-ms" => Self::WaitMs(argument.parse().map_err(|_| unknown)?),
            "wait-line" if word == key => Self::WaitLine,
            "print" => Self::Print(name()?),
            "call" => number(argument).and_then(|id| u32::try_from(id).ok()).map(Self::Call).ok_or(unknown)?,
            "read" => number(argument).filter(|address| address % 4 == 0).map(Self::Read).ok_or(unknown)?,
            _ => return Err(unknown),
        })
    }
}

/// Reads a number, hexadecimal and written so: `0x…`.
fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// Returns the steps of a command line, or those of [`DEFAULT`] if it has none.
pub fn steps(bootargs: &str) -> impl Iterator<Item = Result<Step<'_>, Unknown<'_>>> {
    let line = if bootargs.split_whitespace().next().is_none() { DEFAULT } else { bootargs };
    line.split_whitespace().map(Step::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_read_and_the_default_is_made_of_steps() {
        let line = "vault.put=a:b:c vault.get=a vault.expect=a:b vault.expect-missing=x vault.delete=a wait-ms=10 \
            wait-line print=ready call=0xc3001234 read=0x8000000";
        let all: Vec<_> = steps(line).collect();
        let name = "a";
        assert_eq!(
            all,
            [
                Ok(Step::Put { name, value: "b:c" }),
                Ok(Step::Get { name }),
                Ok(Step::Expect { name, value: "b" }),
                Ok(Step::ExpectMissing { name: "x" }),
                Ok(Step::Delete { name }),
                Ok(Step::WaitMs(10)),
                Ok(Step::WaitLine),
                Ok(Step::Print("ready")),
                Ok(Step::Call(0xC300_1234)),
                Ok(Step::Read(0x0800_0000)),
            ]
        );
        assert!(steps(" ").count() > 0);
        assert!(steps("").all(|step| step.is_ok()));
    }

    #[test]
    fn a_word_that_is_no_step_is_named() {
        for word in
            ["vault.put=a", "vault.put=:b", "vault.get", "vault.steal=a", "wait-ms=soon", "wait-line=1", "quiet"]
        {
            assert_eq!(Step::parse(word), Err(Unknown(word)));
        }
    }
}
