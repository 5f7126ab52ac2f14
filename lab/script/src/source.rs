// SPDX-License-Identifier: MIT OR Apache-2.0
//! Steps as a scenario writes them.
//!
//! A step is one table; the key that says what it does (`RawStep::actions`) must be the only one of its kind in it.

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use toml::Spanned;

/// A number, or an expression that is worked out when the step is played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number; negative ones stand for what they are in 64 bits.
    Number(i64),
    /// An expression.
    Text(String),
}

/// A value and where it stands.
pub type Number = Spanned<Value>;

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or an expression")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Number(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
                Ok(Value::Number(number as i64))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Values by name.
pub type Numbers = BTreeMap<String, Number>;
/// Steps one after another.
pub type RawSteps = Vec<Spanned<RawStep>>;

/// A file that scenarios take lists of steps from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Included {
    /// Lists of steps by name.
    #[serde(default)]
    pub steps: BTreeMap<String, RawSteps>,
    /// Buffers by name.
    #[serde(default)]
    pub buffers: BTreeMap<String, Spanned<crate::Size>>,
}

/// With whose layers something holds: `ours`, `as-reported`, a package, a file's name; of none named, with any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct OnlyWith {
    /// Of these monitors one.
    pub monitor: Words,
    /// Of these TEEs one.
    pub tee: Words,
    /// Of these normal worlds one.
    pub normal_world: Words,
}

/// The words for layers that are no package's or file's name.
const LAYERS: [&str; 9] =
    ["ours", "none", "as-reported", "client-id", "pristine-template", "fallible-pool", "hypervisor", "probe", "linux"];

impl OnlyWith {
    /// Finds a word that can't name a layer, so that nothing would ever hold by it. A package's name has a `-`, a
    /// file's a `.`.
    pub fn unknown(&self) -> Option<&str> {
        let words = [&self.monitor, &self.tee, &self.normal_world].into_iter().flat_map(Words::all);
        let can_be = |word: &str| LAYERS.contains(&word) || word.contains(['-', '.']);
        words.map(String::as_str).find(|word| !can_be(word))
    }
}

/// A word, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Words {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Default for Words {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Words {
    /// Returns them all.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(word) => std::slice::from_ref(word),
            Self::Several(words) => words,
        }
    }
}

/// A step.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawStep {
    /// What it is called in lines.
    pub name: Option<String>,
    /// Only with these layers; with others it is not played.
    #[serde(default)]
    pub only_with: OnlyWith,
    /// Given to variables before all else, in the order of their names.
    #[serde(default)]
    pub set: Numbers,

    /// Builds a message at this address.
    pub message: Option<Number>,
    /// Its command.
    pub cmd: Option<Number>,
    /// Its function.
    pub func: Option<Number>,
    /// Its session.
    pub session: Option<Number>,
    /// Its cancellation id.
    pub cancel_id: Option<Number>,
    /// The number of parameters that it claims; else as many as there are.
    pub num_params: Option<Number>,
    /// Whose session it opens: a pseudo-TA's name or a UUID. Makes the command OPEN_SESSION, and its two own
    /// parameters.
    pub open: Option<Spanned<String>>,
    /// Its parameters.
    #[serde(default)]
    pub params: Vec<Spanned<RawParam>>,

    /// Writes numbers at this address.
    pub write: Option<Number>,
    /// The numbers.
    #[serde(default)]
    pub values: Vec<Number>,
    /// Or a text.
    pub bytes: Option<String>,
    /// Bits of a number: 8, 32 or 64.
    pub width: Option<Spanned<u8>>,
    /// How often all of them are written, one after another.
    pub times: Option<Number>,
    /// Writes a page list at this address.
    pub pages: Option<Number>,
    /// The addresses in it.
    #[serde(default)]
    pub of: Vec<Number>,
    /// The address of the list's next page.
    pub next: Option<Number>,

    /// An SMC with this function.
    pub smc: Option<Number>,
    /// An HVC with this function.
    pub hvc: Option<Number>,
    /// Goes on with the call that the last call's answer suspended: RETURN_FROM_RPC with its x1 to x7, but for those
    /// given.
    pub answer_rpc: Option<Spanned<bool>>,
    /// An argument.
    pub x1: Option<Number>,
    /// An argument.
    pub x2: Option<Number>,
    /// An argument.
    pub x3: Option<Number>,
    /// An argument.
    pub x4: Option<Number>,
    /// An argument.
    pub x5: Option<Number>,
    /// An argument.
    pub x6: Option<Number>,
    /// An argument.
    pub x7: Option<Number>,
    /// An argument.
    pub x8: Option<Number>,
    /// An argument.
    pub x9: Option<Number>,
    /// An argument.
    pub x10: Option<Number>,
    /// An argument.
    pub x11: Option<Number>,
    /// An argument.
    pub x12: Option<Number>,
    /// An argument.
    pub x13: Option<Number>,
    /// An argument.
    pub x14: Option<Number>,
    /// An argument.
    pub x15: Option<Number>,
    /// An argument.
    pub x16: Option<Number>,
    /// An argument.
    pub x17: Option<Number>,
    /// The client id: another name of x7.
    pub client: Option<Number>,
    /// Whether x4 and up must come back unchanged: true unless told otherwise.
    pub preserves: Option<bool>,
    /// Whether a yielding call that an interrupt suspends is gone on with: true unless told otherwise.
    pub resumes: Option<bool>,

    /// Reads memory; `value` is what was read.
    pub read: Option<Number>,
    /// Runs what stands there.
    pub execute: Option<Number>,
    /// Waits so many milliseconds.
    pub wait_ms: Option<Number>,
    /// Waits so many ticks of the counter.
    pub wait_ticks: Option<Number>,
    /// Starts a CPU with this list.
    pub start: Option<Spanned<String>>,
    /// Which CPU.
    pub cpu: Option<Number>,
    /// Waits until this CPU has played its list.
    pub join: Option<Number>,
    /// Plays steps so often.
    #[serde(rename = "loop")]
    pub repeat: Option<Number>,
    /// Plays steps once for each of these values.
    pub each: Option<Vec<Number>>,
    /// The variable that counts rounds, or has the value.
    #[serde(rename = "as")]
    pub variable: Option<Spanned<String>>,
    /// The first round's number; else 0.
    pub from: Option<Number>,
    /// No further round once this is not 0.
    pub until: Option<Number>,
    /// The steps of the loop.
    #[serde(default)]
    pub steps: RawSteps,
    /// Of the steps that it plays, none is played after one that fails.
    pub until_failure: Option<bool>,
    /// Plays this list.
    pub play: Option<Spanned<String>>,
    /// Waits at this barrier.
    pub barrier: Option<Spanned<String>>,
    /// For so many CPUs.
    pub cpus: Option<Spanned<u8>>,
    /// Prints a number under this name.
    pub figure: Option<Spanned<String>>,
    /// The number.
    pub value: Option<Number>,
    /// Times the call and prints what it takes under this name.
    pub measure: Option<Spanned<String>>,
    /// How often.
    pub samples: Option<Spanned<u16>>,
    /// How often it is called before that.
    pub warm_up: Option<u16>,
    /// Times a loop of so many rounds of two instructions; `ticks` is what it takes.
    pub time_loop: Option<Number>,

    /// It ends with a synchronous exception.
    pub faults: Option<RawFault>,
    /// Whether it returns: false for what must not.
    pub returns: Option<bool>,
    /// What must hold after it: an expression, and its value or a table that says more.
    #[serde(default)]
    pub expect: BTreeMap<Spanned<String>, Spanned<toml::Value>>,
    /// Given to variables after it.
    #[serde(default)]
    pub keep: Numbers,
}

impl RawStep {
    /// Lists the arguments that are given, x1 first.
    pub fn registers(&self) -> [&Option<Number>; 17] {
        [
            &self.x1, &self.x2, &self.x3, &self.x4, &self.x5, &self.x6, &self.x7, &self.x8, &self.x9, &self.x10,
            &self.x11, &self.x12, &self.x13, &self.x14, &self.x15, &self.x16, &self.x17,
        ]
    }

    /// Says whether it plays other steps more than once.
    pub(crate) fn repeats(&self) -> bool {
        self.repeat.is_some() || self.each.is_some()
    }

    /// Lists the actions that are named, as the scenario spells them.
    pub(crate) fn actions(&self) -> Vec<&'static str> {
        [
            ("smc", self.smc.is_some()),
            ("hvc", self.hvc.is_some()),
            ("answer-rpc", self.answer_rpc.is_some()),
            ("read", self.read.is_some()),
            ("execute", self.execute.is_some()),
            ("wait-ms", self.wait_ms.is_some()),
            ("wait-ticks", self.wait_ticks.is_some()),
            ("start", self.start.is_some()),
            ("join", self.join.is_some()),
            ("loop", self.repeat.is_some()),
            ("each", self.each.is_some()),
            // A loop may play a list.
            ("play", self.play.is_some() && !self.repeats()),
            ("barrier", self.barrier.is_some()),
            ("figure", self.figure.is_some()),
            ("time-loop", self.time_loop.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, there)| there.then_some(name))
        .collect()
    }
}

/// A message's parameter.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawParam {
    /// `none`, or `value`, `tmem` or `rmem` with `-in`, `-out` or `-inout`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The attribute as a number, instead.
    pub attr: Option<Number>,
    /// The parameter is the protocol's own.
    #[serde(default)]
    pub meta: bool,
    /// The address is a page list's.
    #[serde(default)]
    pub noncontig: bool,
    /// First number: a value, an address, an offset.
    #[serde(alias = "at", alias = "offset")]
    pub a: Option<Number>,
    /// Second number: a value, a size.
    #[serde(alias = "size")]
    pub b: Option<Number>,
    /// Third number: a value, a cookie.
    #[serde(alias = "ref")]
    pub c: Option<Number>,
}

/// A synchronous exception.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawFault {
    /// Its class (ESR bits 31:26).
    pub class: Option<Number>,
    /// The fault address.
    pub address: Option<Number>,
}
