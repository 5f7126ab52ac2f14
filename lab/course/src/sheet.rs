// SPDX-License-Identifier: MIT OR Apache-2.0
//! An exercise's file as it was handed in, held against the exercise as it is asked.
//!
//! `questions/NN.toml` is the exercise with a [`Question`] in every place that is to be filled in. All the rest of what
//! was handed in must say the same as that: who takes a question out, or changes what is asked, has answered nothing.

use super::question::{Answer, Fault, HOLE, Question, is_hole, written};
use super::verdict;
use anyhow::{Context, Result};
use lab_run::judge::Verdict;
use lab_run::scenario::{Error, Scenario, new_name};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Value};

/// A file of an exercise, with the answers in it.
#[derive(Debug)]
pub struct Sheet {
    /// The file.
    pub file: PathBuf,
    /// Its text, with every answer in the form that its reader takes. Lines are where they were.
    pub text: String,
    /// The answers, in the file's order.
    pub answers: Vec<Answered>,
    /// What is not filled in, no answer, or not what is asked.
    pub faults: Vec<Verdict>,
}

/// A question with the answer to it.
#[derive(Debug)]
pub struct Answered {
    /// What is asked.
    pub question: Question,
    /// What was written.
    pub answer: Answer,
    /// The key.
    pub key: String,
    /// The step, VM or sequence that it belongs to, by name.
    pub owner: String,
    /// The line in which the step begins, from 1, if it is one.
    pub step: Option<usize>,
    /// File, line, owner, key and what was written, for people.
    pub claim: String,
}

impl Sheet {
    /// Reads a file. `asked` is the text of its questions; what it includes is the checkout's, wherever the file is.
    pub fn read(file: &Path, asked: &str, included: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text, file, asked, included)
    }

    /// Reads a sheet that is given as text.
    pub fn parse(text: &str, file: &Path, asked: &str, included: &Path) -> Result<Self> {
        let asked: Value = toml::from_str(asked).context("the checker's own questions can't be read")?;
        let given = DeTable::parse(text).map_err(|error| Error::from_toml(file, text, &error))?;
        let given = Spanned::new(given.span(), DeValue::Table(given.into_inner()));
        let buffers = asked.get("buffers").and_then(Value::as_table);
        let buffers = buffers.into_iter().flat_map(|table| table.keys()).map(String::as_str);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let mut reader = Reader {
            name: &name,
            text,
            buffers: buffers.collect(),
            answers: Vec::new(),
            faults: Vec::new(),
            edits: Vec::new(),
        };
        reader.value(&asked, &given, &Place::default())?;
        if let Some(DeValue::Array(files)) = given.get_ref().get("include").map(Spanned::get_ref) {
            for file in files.iter().filter(|file| file.get_ref().is_str()) {
                let path = included.join(file.get_ref().as_str().unwrap_or_default());
                reader.edits.push((file.span(), Value::String(path.display().to_string()).to_string()));
            }
        }
        let Reader { mut answers, mut faults, mut edits, .. } = reader;
        answers.sort_by_key(|(start, _)| *start);
        faults.sort_by_key(|(start, _)| *start);
        edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
        let mut text = text.to_owned();
        for (span, value) in edits {
            // An answer on several lines stays on so many.
            let lines = "\n".repeat(text[span.clone()].matches('\n').count());
            let value = if lines.is_empty() { value } else { format!("{lines}{value}") };
            text.replace_range(span, &value);
        }
        let answers = answers.into_iter().map(|(_, answered)| answered).collect();
        let faults = faults.into_iter().map(|(_, fault)| fault).collect();
        Ok(Self { file: file.to_path_buf(), text, answers, faults })
    }

    /// Returns the scenario that was handed in, with further steps behind its own.
    pub fn scenario(&self, more: &str) -> Result<Scenario> {
        Ok(Scenario::parse(&format!("{}{more}", self.text), &self.file)?)
    }

    /// Returns the answer with this key that belongs to this owner.
    pub fn answered(&self, owner: &str, key: &str) -> Result<&Answered> {
        let found = self.answers.iter().find(|answered| answered.owner == owner && answered.key == key);
        found.with_context(|| format!("the checker asks nothing of {owner} {key}"))
    }
}

impl Answered {
    /// Returns the answer's text; empty if it is none.
    pub fn text(&self) -> &str {
        match &self.answer {
            Answer::Text(text) => text,
            _ => "",
        }
    }

    /// Judges the answer right, or gives the hint and, where it is asked for, what the machine said.
    pub fn verdict(&self, right: bool, said: Option<&str>) -> Verdict {
        if right {
            return verdict(true, &self.claim, "");
        }
        let said = said.map(|said| format!("\n{said}")).unwrap_or_default();
        verdict(false, &self.claim, format!("{}{said}", self.question.hint))
    }
}

/// Where in the file the reader is.
#[derive(Debug, Clone, Default)]
struct Place {
    /// For people: `step "the header": values`.
    path: String,
    key: String,
    owner: String,
    step: Option<usize>,
}

impl Place {
    fn key(&self, key: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.ends_with(' ') { "" } else { "." };
        Self { path: format!("{}{dot}{key}", self.path), key: key.to_owned(), ..self.clone() }
    }

    fn element(&self, index: usize) -> Self {
        Self { path: format!("{}[{index}]", self.path), ..self.clone() }
    }
}

struct Reader<'t> {
    name: &'t str,
    text: &'t str,
    buffers: Vec<&'t str>,
    /// With where they stand.
    answers: Vec<(usize, Answered)>,
    faults: Vec<(usize, Verdict)>,
    edits: Vec<(Range<usize>, String)>,
}

impl<'t> Reader<'t> {
    fn line(&self, span: &Range<usize>) -> usize {
        self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
    }

    fn fault(&mut self, span: &Range<usize>, claim: &str, evidence: impl Into<String>) {
        let claim = format!("{}:{} {claim}", self.name, self.line(span));
        self.faults.push((span.start, verdict(false, claim, evidence)));
    }

    fn value(&mut self, asked: &Value, given: &Spanned<DeValue<'_>>, place: &Place) -> Result<()> {
        match (asked, given.get_ref()) {
            (Value::Table(table), _) if table.contains_key("ask") => {
                let question: Question =
                    asked.clone().try_into().with_context(|| format!("the checker's own question {}", place.path))?;
                self.question(question, given, place);
            }
            (Value::Table(asked), DeValue::Table(table)) => return self.table(asked, table, given.span(), place),
            (Value::Array(asked), DeValue::Array(list)) if asked.iter().all(|each| name_of(each).is_some()) => {
                return self.named(asked, list.iter().collect(), given.span(), place);
            }
            (Value::Array(asked), DeValue::Array(list)) if asked.len() == list.len() => {
                for (index, (asked, given)) in asked.iter().zip(list.iter()).enumerate() {
                    let step = is_step(&place.path).then(|| self.line(&given.span()));
                    self.value(asked, given, &Place { step: step.or(place.step), ..place.element(index) })?;
                }
            }
            (asked, given) if same(asked, given) => {}
            _ => {
                let stands = match asked {
                    Value::Table(_) => String::new(),
                    Value::Array(list) => format!("there are {} of them in it; ", list.len()),
                    other => format!("{other} stands there; "),
                };
                let evidence = format!("{stands}only what is \"{HOLE}\" is to be filled in");
                self.fault(&given.span(), &format!("{} is what the exercise says", place.path), evidence);
            }
        }
        Ok(())
    }

    fn table(&mut self, asked: &toml::Table, given: &DeTable<'_>, span: Range<usize>, place: &Place) -> Result<()> {
        for (key, value) in given {
            let Some(asked) = asked.get(key.get_ref().as_ref()) else {
                let claim = format!("{} stands in the exercise", place.key(key.get_ref()).path);
                let evidence = match new_name(key.get_ref()).filter(|new| asked.contains_key(*new)) {
                    Some(new) => format!("it is called `{new}` now"),
                    None => format!("it does not; only what is \"{HOLE}\" is to be filled in"),
                };
                self.fault(&key.span(), &claim, evidence);
                continue;
            };
            self.value(asked, value, &place.key(key.get_ref()))?;
        }
        for key in asked.keys().filter(|key| given.iter().all(|(there, _)| there.get_ref() != key.as_str())) {
            let claim = format!("{} is there", place.key(key).path);
            self.fault(&span, &claim, "the exercise has it, and this file does not any more");
        }
        Ok(())
    }

    /// Finds tables with names, in the exercise's order.
    fn named(
        &mut self,
        asked: &[Value],
        given: Vec<&Spanned<DeValue<'_>>>,
        span: Range<usize>,
        place: &Place,
    ) -> Result<()> {
        let name = |value: &DeValue<'_>| value.get("name").and_then(|name| name.get_ref().as_str()).map(str::to_owned);
        let names: Vec<_> = asked.iter().filter_map(name_of).collect();
        let there: Vec<_> = given.iter().map(|value| name(value.get_ref()).unwrap_or_default()).collect();
        for name in names.iter().filter(|name| !there.iter().any(|there| there == *name)) {
            let claim = format!("{} \"{name}\" is there", place.path);
            self.fault(&span, &claim, "the exercise has it, and this file does not any more");
        }
        for (value, _) in given.iter().zip(&there).filter(|(_, there)| !names.contains(&there.as_str())) {
            let claim = format!("every {} is the exercise's", place.path);
            self.fault(&value.span(), &claim, "this one is not; a scenario of your own belongs into scenarios/");
        }
        if names.iter().eq(there.iter()) {
            for ((asked, given), name) in asked.iter().zip(given).zip(names) {
                let step = is_step(&place.path).then(|| self.line(&given.span()));
                let path = format!("{} \"{name}\": ", place.path);
                let owner = name.to_owned();
                self.value(asked, given, &Place { path, owner, step, ..Place::default() })?;
            }
        } else if self.faults.is_empty() {
            self.fault(&span, &format!("the {}s are in the exercise's order, each once", place.path), names.join(", "));
        }
        Ok(())
    }

    fn question(&mut self, question: Question, given: &Spanned<DeValue<'_>>, place: &Place) {
        let span = given.span();
        let (start, line) = (span.start, self.line(&span));
        let key = question.name.clone().unwrap_or_else(|| place.key.clone());
        let owner = if place.owner.is_empty() { String::new() } else { format!(" {}:", place.owner) };
        let claim = format!("{}:{line}{owner} {key} = {}", self.name, written(self.text, given));
        match question.answer(given.get_ref(), &self.buffers) {
            Ok(answer) => {
                if let Some(text) = Question::in_place(&answer) {
                    self.edits.push((span, text));
                }
                let Place { owner, step, .. } = place.clone();
                self.answers.push((start, Answered { question, answer, key, owner, step, claim }));
            }
            Err(Fault::Open) => {
                // Of a list, the line of its hole.
                let list = given.get_ref().as_array();
                let hole = list.and_then(|list| list.iter().find(|each| is_hole(each.get_ref())));
                let span = hole.map_or(span, Spanned::span);
                let line = self.line(&span);
                let whole = self.text.lines().nth(line - 1).unwrap_or_default().trim().to_owned();
                self.fault(&span, "is filled in", whole);
            }
            Err(Fault::NoAnswer(why)) => {
                self.faults.push((start, verdict(false, format!("{claim} is an answer"), why)));
            }
            Err(Fault::Wrong) => self.faults.push((start, verdict(false, claim, question.hint))),
        }
    }
}

/// Says what a step, a VM or a sequence is called. A question has a name as well, and is none of them.
fn name_of(value: &Value) -> Option<&str> {
    value.get("ask").is_none().then(|| value.get("name"))?.and_then(Value::as_str)
}

/// Says whether this is a list of steps.
fn is_step(path: &str) -> bool {
    path == "step" || path.starts_with("steps.")
}

/// Says whether two values that are no questions are equal.
fn same(asked: &Value, given: &DeValue<'_>) -> bool {
    match (asked, given) {
        (Value::String(asked), DeValue::String(given)) => asked == given,
        (Value::Integer(asked), DeValue::Integer(given)) => {
            i128::from_str_radix(given.as_str(), given.radix()) == Ok(i128::from(*asked))
        }
        (Value::Boolean(asked), DeValue::Boolean(given)) => asked == given,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = "name = 'x'\n[buffers]\nmsg = '4K'\n\
                         [[step]]\nname = 'a'\nexpect = { x0 = { ask = 'number', hint = 'h' } }\n\
                         [[step]]\nname = 'b'\nvalues = [{ ask = 'place', hint = 'p' }, 0x10]\n";
    const GIVEN: &str = "name = 'x'\n[buffers]\nmsg = '4K'\n[[step]]\nname = 'a'\nexpect = { x0 = '1 + 1' }\n\
                         [[step]]\nname = 'b'\nvalues = ['msg', 16]\n";

    fn read(given: &str) -> Sheet {
        Sheet::parse(given, Path::new("01.toml"), ASKED, Path::new("/lab")).unwrap()
    }

    fn faults(from: &str, to: &str) -> String {
        assert!(GIVEN.contains(from), "{from}");
        let faults = read(&GIVEN.replacen(from, to, 1)).faults;
        faults.iter().map(|fault| format!("{} ({})\n", fault.claim, fault.evidence)).collect()
    }

    #[test]
    fn answers_are_found_with_where_they_stand_and_become_constants() {
        let sheet = read(GIVEN);
        assert!(sheet.faults.is_empty(), "{:?}", sheet.faults);
        let first = sheet.answered("a", "x0").unwrap();
        assert_eq!((&first.answer, first.step), (&Answer::Number(2), Some(4)));
        assert_eq!(first.claim, "01.toml:6 a: x0 = '1 + 1'");
        assert_eq!(sheet.text, GIVEN.replace("'1 + 1'", "2").replace("'msg'", "\"msg\""));
        assert!(sheet.answered("a", "x1").is_err());
    }

    #[test]
    fn how_a_file_is_laid_out_does_not_matter() {
        let other = "# mine\nstep = [{ name = 'a', expect.x0 = 2 }, { values = ['msg', 0b10_000], name = 'b' }]\n\
                     buffers = { msg = '4K' }\nname = \"x\"\n";
        assert_eq!(read(other).faults, []);
    }

    #[test]
    fn what_is_not_filled_in_is_named() {
        assert!(faults("'1 + 1'", "'?'").contains("01.toml:6 is filled in"));
        assert!(faults("'1 + 1'", "'x0'").contains("x0 = 'x0' is an answer"));
    }

    #[test]
    fn the_hole_of_a_list_is_named_by_its_own_line() {
        let asked = "[keep]\nask = 'names'\nhint = ''\n";
        let sheet = Sheet::parse("keep = [\n  'a',\n  '?',\n]\n", Path::new("3.toml"), asked, Path::new("")).unwrap();
        assert_eq!(
            (sheet.faults[0].claim.as_str(), sheet.faults[0].evidence.as_str()),
            ("3.toml:3 is filled in", "'?',")
        );
    }

    #[test]
    fn a_question_that_is_gone_or_changed_is_missed() {
        assert!(faults("expect = { x0 = '1 + 1' }\n", "").contains("step \"a\": expect is there"));
        assert!(faults("x0 = '1 + 1'", "").contains("step \"a\": expect.x0 is there"));
        assert!(faults("x0 = '1 + 1'", "w0 = 2").contains("expect.w0 stands in the exercise"));
        assert!(faults("[[step]]\nname = 'a'\nexpect = { x0 = '1 + 1' }\n", "").contains("step \"a\" is there"));
        assert!(faults("'msg', 16", "'msg', 17").contains("values[1] is what the exercise says"));
        assert!(faults("'msg', 16", "'msg'").contains("values is what the exercise says"));
        assert!(faults("name = 'b'", "name = 'c'").contains("every step is the exercise's"));
        assert!(faults("[[step]]", "[[step]]\nname = 'a'\nexpect = { x0 = 0 }\n[[step]]").contains("each once"));
        assert!(faults("name = 'x'", "name = 'x'\ntimeout = 1").contains("timeout stands in the exercise"));
    }

    #[test]
    fn includes_are_those_of_the_checkout() {
        let asked = "include = ['../steps/a.toml']\n";
        let sheet = Sheet::parse(asked, Path::new("/elsewhere/05.toml"), asked, Path::new("/lab/docs")).unwrap();
        assert_eq!(sheet.text, "include = [\"/lab/docs/../steps/a.toml\"]\n");
    }
}
