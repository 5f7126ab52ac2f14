// SPDX-License-Identifier: MIT OR Apache-2.0
//! From steps as a scenario writes them to the script that the probe plays.

use super::names::{self, Ram};
use super::source::{Included, OnlyWith, RawSteps};
use crate::{Size, distance};
use probe::script::expression::Operation;
use probe::script::wire::{List, Record};
use probe::script::{ARENA, LARGEST, NESTING, Script, Steps, VARIABLES};
use shared_abi::optee_msg::PAGE_SIZE;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use toml::Spanned;

/// A file with steps.
#[derive(Debug, Clone, Copy)]
pub struct Source<'s> {
    /// Its name, as the probe prints it.
    pub name: &'s str,
    /// Its text.
    pub text: &'s str,
    /// The list without a name.
    pub main: &'s RawSteps,
    /// Lists by name.
    pub lists: &'s BTreeMap<String, RawSteps>,
    /// Buffers by name.
    pub buffers: &'s BTreeMap<String, Spanned<Size>>,
}

impl<'s> Source<'s> {
    /// Makes a source of an included file.
    pub fn included(name: &'s str, text: &'s str, included: &'s Included) -> Self {
        static NOTHING: RawSteps = Vec::new();
        Self { name, text, main: &NOTHING, lists: &included.steps, buffers: &included.buffers }
    }
}

/// What is wrong with a script, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// In which source.
    pub file: usize,
    /// Where in its text.
    pub span: Range<usize>,
    /// In words.
    pub message: String,
    /// What was meant, perhaps.
    pub nearest: Option<String>,
}

/// A script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// As the probe reads it.
    pub bytes: Vec<u8>,
    /// The lists in it: by name, or the one without.
    pub played: Vec<Option<String>>,
    /// Steps that are left out of it: where each stands, and its name.
    pub left_out: Vec<String>,
}

/// How a script is compiled.
pub struct Target<'t> {
    /// The memory of its probe.
    pub ram: Ram,
    /// Whether it ends by switching the machine, or the VM, off.
    pub power_off: bool,
    /// Says whether steps are played that hold with some layers only.
    pub meant: &'t dyn Fn(&OnlyWith) -> bool,
}

/// Compiles the script whose first list is the one of this name; the first source's nameless one without a name.
pub fn compile(sources: &[Source<'_>], main: Option<&str>, target: &Target<'_>) -> Result<Compiled, Mistake> {
    let mut compiler = Compiler::new(sources, target)?;
    compiler.queue.push(main.map(str::to_owned));
    compiler.check_nesting()?;
    let mut lists = Vec::new();
    let mut next = 0;
    while let Some(name) = compiler.queue.get(next).cloned() {
        let (file, steps) = match &name {
            None => (0, sources[0].main),
            Some(name) => compiler.named(name).ok_or_else(|| at(0, 0..0, format!("there is no list `{name}`")))?,
        };
        if steps.is_empty() {
            let message = match &name {
                None => "the probe has nothing to play: there is no [[step]]".to_owned(),
                Some(name) => format!("the list `{name}` has no step"),
            };
            return Err(at(file, 0..0, message));
        }
        let steps = compiler.list(file, steps)?;
        Steps::of(&steps).write(&mut lists);
        next += 1;
    }
    let mut files = Vec::new();
    for source in sources {
        source.name.write(&mut files);
    }
    let mut variables = Vec::new();
    for name in &compiler.variables {
        name.as_str().write(&mut variables);
    }
    let script = Script {
        files: List::of(&files),
        variables: List::of(&variables),
        arena: compiler.arena,
        power_off: target.power_off,
        lists: List::of(&lists),
    };
    let mut out = Vec::new();
    script.write(&mut out);
    if out.len() > LARGEST {
        return Err(at(0, 0..0, format!("the script has {} bytes, at most {LARGEST} are possible", out.len())));
    }
    Script::parse(&out).map_err(|damage| at(0, 0..0, format!("the probe would refuse the script: {damage}")))?;
    Ok(Compiled { bytes: out, played: compiler.queue, left_out: compiler.left_out })
}

pub(super) fn at(file: usize, span: Range<usize>, message: String) -> Mistake {
    Mistake { file, span, message, nearest: None }
}

/// What is known of a script while its steps are compiled.
pub(super) struct Compiler<'s> {
    pub sources: &'s [Source<'s>],
    pub constants: HashMap<String, u64>,
    pub buffers: BTreeMap<&'s str, u32>,
    arena: u32,
    pub variables: Vec<String>,
    pub barriers: Vec<String>,
    /// The lists of the script in their order.
    queue: Vec<Option<String>>,
    /// How many steps were compiled.
    pub steps: u16,
    /// Says whether a step is played.
    pub meant: &'s dyn Fn(&OnlyWith) -> bool,
    /// What is left out.
    pub left_out: Vec<String>,
}

/// Where a step stands, and what is known there.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub file: usize,
    pub span: Range<usize>,
    /// The address of the last message.
    pub message: Option<Vec<Operation>>,
    /// What the loop around it is called, for steps without a name.
    pub name: String,
    /// Loops around it.
    pub depth: usize,
}

impl Place {
    /// Makes a mistake of the step as a whole.
    pub(super) fn mistake<T>(&self, message: impl Into<String>) -> Result<T, Mistake> {
        self.mistake_at(self.span.clone(), message)
    }

    /// Makes a mistake of some part of the step.
    pub(super) fn mistake_at<T>(&self, span: Range<usize>, message: impl Into<String>) -> Result<T, Mistake> {
        Err(at(self.file, span, message.into()))
    }
}

impl<'s> Compiler<'s> {
    fn new(sources: &'s [Source<'s>], target: &'s Target<'s>) -> Result<Self, Mistake> {
        let mut compiler = Self {
            sources,
            constants: names::all(target.ram).collect(),
            buffers: BTreeMap::new(),
            arena: 0,
            variables: Vec::new(),
            barriers: Vec::new(),
            queue: Vec::new(),
            steps: 0,
            meant: target.meant,
            left_out: Vec::new(),
        };
        for (file, source) in sources.iter().enumerate() {
            for (name, size) in source.buffers {
                let mistake = |message| Err(at(file, size.span(), message));
                if compiler.buffers.contains_key(name.as_str()) || compiler.constants.contains_key(name) {
                    return mistake(format!("`{name}` means something else already"));
                }
                let end = u64::from(compiler.arena) + size.get_ref().0.next_multiple_of(PAGE_SIZE as u64);
                if end > u64::from(ARENA) {
                    return mistake(format!("the buffers have more than {} KiB", ARENA >> 10));
                }
                compiler.buffers.insert(name, compiler.arena);
                compiler.arena = end as u32;
            }
            for (name, steps) in source.lists {
                if sources[..file].iter().any(|other| other.lists.contains_key(name)) {
                    let span = steps.first().map_or(0..0, Spanned::span);
                    return Err(at(file, span, format!("there are two lists `{name}`")));
                }
            }
            for steps in source.lists.values().chain([source.main]) {
                compiler.find_variables(file, steps)?;
            }
        }
        Ok(compiler)
    }

    fn find_variables(&mut self, file: usize, steps: &RawSteps) -> Result<(), Mistake> {
        for spanned in steps {
            let step = spanned.get_ref();
            let named = step.set.iter().chain(&step.keep).map(|(name, number)| (name, number.span()));
            let counting = step.variable.iter().map(|name| (name.get_ref(), name.span()));
            for (name, span) in named.chain(counting) {
                if !self.variables.contains(name) {
                    let word = name.starts_with(|c: char| c.is_ascii_alphabetic())
                        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                    let taken = self.buffers.contains_key(name.as_str()) || self.constants.contains_key(name);
                    if !word || taken || names::known(name).is_some() {
                        return Err(at(file, span, format!("`{name}` can't be a variable's name")));
                    }
                    self.variables.push(name.clone());
                }
                if self.variables.len() > VARIABLES {
                    return Err(at(file, span, format!("more than {VARIABLES} variables")));
                }
            }
            self.find_variables(file, &step.steps)?;
        }
        Ok(())
    }

    fn named(&self, name: &str) -> Option<(usize, &'s RawSteps)> {
        let sources = self.sources;
        sources.iter().enumerate().find_map(|(file, source)| source.lists.get(name).map(|steps| (file, steps)))
    }

    /// Returns the number of a list, which becomes part of the script.
    pub(super) fn list_number(&mut self, place: &Place, name: &Spanned<String>) -> Result<u8, Mistake> {
        if self.named(name.get_ref()).is_none() {
            let names = self.sources.iter().flat_map(|source| source.lists.keys());
            let nearest = names.min_by_key(|known| distance(name.get_ref(), known)).cloned();
            let message = format!("there is no list `{}`", name.get_ref());
            return Err(Mistake { nearest, ..at(place.file, name.span(), message) });
        }
        let name = Some(name.get_ref().clone());
        let index = match self.queue.iter().position(|known| *known == name) {
            Some(index) => index,
            None => {
                self.queue.push(name);
                self.queue.len() - 1
            }
        };
        u8::try_from(index).map_err(|_| at(place.file, place.span.clone(), "more than 256 lists".into()))
    }

    fn list(&mut self, file: usize, steps: &RawSteps) -> Result<Vec<u8>, Mistake> {
        let place = Place { file, span: 0..0, message: None, name: String::new(), depth: 0 };
        self.steps(steps, place)
    }

    /// Writes steps one after another, as they stand in a script.
    pub(super) fn steps(&mut self, steps: &RawSteps, mut place: Place) -> Result<Vec<u8>, Mistake> {
        let mut out = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            place.span = step.span();
            self.step(step.get_ref(), &mut place, &mut out)?;
            if step.get_ref().returns == Some(false) && index + 1 != steps.len() {
                return Err(at(place.file, place.span, "what must not return is the last step of its list".into()));
            }
        }
        Ok(out)
    }

    /// Checks that no list plays itself, and that none needs more room than the player has.
    fn check_nesting(&self) -> Result<(), Mistake> {
        for (file, source) in self.sources.iter().enumerate() {
            for steps in source.lists.values().chain([source.main]) {
                self.descend(file, steps, NESTING)?;
            }
        }
        Ok(())
    }

    fn descend(&self, file: usize, steps: &RawSteps, left: usize) -> Result<(), Mistake> {
        for spanned in steps {
            let step = spanned.get_ref();
            let played = step.play.as_ref().and_then(|name| self.named(name.get_ref()));
            let mut left = left;
            for (inner, steps) in [step.repeats().then_some((file, &step.steps)), played].into_iter().flatten() {
                let message = format!("more than {NESTING} loops and lists inside each other");
                left = left.checked_sub(1).ok_or_else(|| at(file, spanned.span(), message))?;
                self.descend(inner, steps, left)?;
            }
        }
        Ok(())
    }
}
