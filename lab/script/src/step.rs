// SPDX-License-Identifier: MIT OR Apache-2.0
//! One step: what it writes, does, expects and keeps.

use super::compile::{Compiler, Mistake, Place};
use super::expression::{self, Scope, bytes};
use super::source::{Number, Numbers, RawStep, Value};
use probe::script::expression::{Expression, Operation, Width};
use probe::script::step::{Action, Argument, Assignment, Call, Conduit, Item, Loop, Outcome, Step, Unit, Write};
use probe::script::wire::{List, Reader, Record};
use probe::script::{BARRIERS, NESTING, SAMPLES};
use shared_abi::layout::MAX_CPUS;
use shared_abi::optee_msg::{PAGE_SIZE, PageList};
use shared_abi::optee_smc::{OPTEE_SMC_CALL_RETURN_FROM_RPC, OPTEE_SMC_CALL_WITH_ARG, OPTEE_SMC_CALL_WITH_RPC_ARG};
use shared_abi::smccc::FunctionId;
use toml::Spanned;

/// Samples of a measurement that says nothing about it.
const DEFAULT_SAMPLES: u16 = 41;
/// Calls before it.
const DEFAULT_WARM_UP: u16 = 5;
/// The client id's register.
const CLIENT: u8 = 7;

impl Compiler<'_> {
    /// Compiles a step and writes it.
    pub(super) fn step(&mut self, raw: &RawStep, place: &mut Place, out: &mut Vec<u8>) -> Result<(), Mistake> {
        let Some(number) = self.steps.checked_add(1) else { return place.mistake("too many steps") };
        self.steps = number;
        if let [first, second, ..] = raw.actions()[..] {
            return place.mistake(format!("`{first}` and `{second}` are two steps"));
        }
        check_keys(raw, place)?;
        if let Some(word) = raw.only_with.unknown() {
            return place.mistake(format!("`only-with` names `{word}`, which is no layer's"));
        }
        if !(self.meant)(&raw.only_with) {
            let (source, name) = (&self.sources[place.file], raw.name.as_deref().unwrap_or(&place.name));
            self.left_out.push(format!("{}:{} {name}", source.name, self.line(place)).trim_end().to_owned());
            return Ok(());
        }
        let Some(each) = &raw.each else { return self.one(raw, None, number, place, out) };
        let inside = self.steps;
        for value in each {
            // However often a step is played, its number is its place among the steps.
            self.steps = inside;
            self.one(raw, Some(value), number, place, out)?;
        }
        Ok(())
    }

    /// Says in which line of its file a step begins.
    fn line(&self, place: &Place) -> usize {
        self.sources[place.file].text[..place.span.start].matches('\n').count() + 1
    }

    fn one(
        &mut self,
        raw: &RawStep,
        value: Option<&Number>,
        number: u16,
        place: &mut Place,
        out: &mut Vec<u8>,
    ) -> Result<(), Mistake> {
        let sets = self.assignments(&raw.set, place)?;
        let writes = self.writes(raw, place)?;
        let action = self.action(raw, value, place)?;
        let outcome = match (&raw.faults, raw.returns) {
            (Some(_), Some(_)) => return place.mistake("`faults` says already how it ends"),
            (Some(_), None) => Outcome::Faults,
            (None, Some(false)) => Outcome::Never,
            (None, _) => Outcome::Returns,
        };
        let checks = self.checks(raw, place)?;
        let keeps = self.assignments(&raw.keep, place)?;
        let line = self.line(place);
        let Ok(action) = Reader::new(&action).get() else { return place.mistake("a number of it is out of range") };
        let step = Step {
            number,
            file: place.file as u8,
            line: line as u32,
            name: raw.name.as_deref().unwrap_or(&place.name),
            sets: List::of(&sets),
            writes: List::of(&writes),
            action,
            outcome,
            checks: List::of(&checks),
            keeps: List::of(&keeps),
            until_failure: raw.until_failure.unwrap_or(false),
        };
        step.write(out);
        Ok(())
    }

    /// Compiles a value into operations.
    pub(super) fn operations(&self, value: &Number, place: &Place) -> Result<Vec<Operation>, Mistake> {
        match value.get_ref() {
            Value::Number(number) => Ok(vec![Operation::Number(*number as u64)]),
            Value::Text(text) => self.parse(text, value.span(), place),
        }
    }

    /// Parses an expression into its operations.
    pub(super) fn parse(
        &self,
        text: &str,
        span: std::ops::Range<usize>,
        place: &Place,
    ) -> Result<Vec<Operation>, Mistake> {
        expression::operations(text, &Here { compiler: self, place }).map_err(|mistake| Mistake {
            file: place.file,
            span,
            message: mistake.message,
            nearest: mistake.nearest,
        })
    }

    fn number(&self, value: &Number, place: &Place) -> Result<Vec<u8>, Mistake> {
        self.operations(value, place).map(|operations| bytes(&operations))
    }

    fn number_or(&self, value: &Option<Number>, default: u64, place: &Place) -> Result<Vec<u8>, Mistake> {
        match value {
            Some(value) => self.number(value, place),
            None => Ok(bytes(&[Operation::Number(default)])),
        }
    }

    fn assignments(&self, numbers: &Numbers, place: &Place) -> Result<Vec<u8>, Mistake> {
        let mut out = Vec::new();
        for (name, value) in numbers {
            let Some(variable) = self.variables.iter().position(|known| known == name) else {
                return place.mistake_at(value.span(), format!("`{name}` is no variable"));
            };
            let value = self.number(value, place)?;
            Assignment { variable: variable as u8, value: Expression::of(&value) }.write(&mut out);
        }
        Ok(out)
    }

    /// Compiles what a step writes: numbers or bytes, a message, a page list.
    fn writes(&self, raw: &RawStep, place: &mut Place) -> Result<Vec<u8>, Mistake> {
        let mut out = Vec::new();
        if let Some(at) = &raw.write {
            let items = self.items(raw, place)?;
            let times = self.number_or(&raw.times, 1, place)?;
            self.write(at, &times, &items, place)?.extend_into(&mut out);
        }
        let once = bytes(&[Operation::Number(1)]);
        if let Some(at) = &raw.message {
            let items = self.message_items(raw, place)?;
            self.write(at, &once, &items, place)?.extend_into(&mut out);
            place.message = Some(self.operations(at, place)?);
        }
        if let Some(at) = &raw.pages {
            if raw.of.len() > PageList::ENTRIES {
                return place.mistake_at(at.span(), format!("a page list has at most {} pages", PageList::ENTRIES));
            }
            let mut items = Vec::new();
            for page in &raw.of {
                item(Width::Bits64, &self.number(page, place)?, &mut items);
            }
            self.write(at, &once, &items, place)?.extend_into(&mut out);
            if let Some(next) = &raw.next {
                let mut link = self.operations(at, place)?;
                let last = PAGE_SIZE - size_of::<u64>();
                link.extend([
                    Operation::Number(last as u64),
                    Operation::Binary(probe::script::expression::Binary::Add),
                ]);
                let mut items = Vec::new();
                item(Width::Bits64, &self.number(next, place)?, &mut items);
                write(&bytes(&link), &once, &items).extend_into(&mut out);
            }
        }
        Ok(out)
    }

    fn items(&self, raw: &RawStep, place: &Place) -> Result<Vec<u8>, Mistake> {
        let mut items = Vec::new();
        let width = width(raw, place)?;
        for value in &raw.values {
            item(width, &self.number(value, place)?, &mut items);
        }
        for byte in raw.bytes.iter().flat_map(|text| text.bytes()) {
            item(Width::Bits8, &bytes(&[Operation::Number(byte.into())]), &mut items);
        }
        if items.is_empty() { place.mistake("`write` needs `values` or `bytes`") } else { Ok(items) }
    }

    fn write(&self, at: &Number, times: &[u8], items: &[u8], place: &Place) -> Result<Bytes, Mistake> {
        Ok(write(&self.number(at, place)?, times, items))
    }

    /// Compiles what a step does, as it stands in a script.
    fn action(&mut self, raw: &RawStep, value: Option<&Number>, place: &Place) -> Result<Vec<u8>, Mistake> {
        let mut out = Vec::new();
        if let Some((conduit, arguments)) = self.call(raw, place)? {
            let arguments = List::<Argument<'_>>::of(&arguments);
            let call = Call {
                conduit,
                arguments,
                preserves: raw.preserves.unwrap_or(true),
                resumes: raw.resumes.unwrap_or(true),
            };
            match &raw.measure {
                None => Action::Call(call),
                Some(name) => {
                    let samples = raw.samples.as_ref().map_or(DEFAULT_SAMPLES, |samples| *samples.get_ref());
                    if samples == 0 || usize::from(samples) > SAMPLES {
                        return place.mistake(format!("`samples` is 1 to {SAMPLES}"));
                    }
                    let warm_up = raw.warm_up.unwrap_or(DEFAULT_WARM_UP);
                    Action::Measure { name: name.get_ref(), samples, warm_up, call }
                }
            }
            .write(&mut out);
        } else if let Some(at) = &raw.read {
            Action::Read(width(raw, place)?, Expression::of(&self.number(at, place)?)).write(&mut out);
        } else if let Some(at) = &raw.execute {
            Action::Execute(Expression::of(&self.number(at, place)?)).write(&mut out);
        } else if let Some(time) = &raw.wait_ms {
            Action::Wait(Unit::Milliseconds, Expression::of(&self.number(time, place)?)).write(&mut out);
        } else if let Some(time) = &raw.wait_ticks {
            Action::Wait(Unit::Ticks, Expression::of(&self.number(time, place)?)).write(&mut out);
        } else if let Some(name) = &raw.start {
            let cpu = self.number_or(&raw.cpu, 1, place)?;
            let list = self.list_number(place, name)?;
            Action::Start { cpu: Expression::of(&cpu), list }.write(&mut out);
        } else if let Some(cpu) = &raw.join {
            Action::Join(Expression::of(&self.number(cpu, place)?)).write(&mut out);
        } else if let Some(value) = value {
            let from = self.number(value, place)?;
            self.repeat(raw, &from, &bytes(&[Operation::Number(1)]), place, &mut out)?;
        } else if let Some(count) = &raw.repeat {
            let (from, count) = (self.number_or(&raw.from, 0, place)?, self.number(count, place)?);
            self.repeat(raw, &from, &count, place, &mut out)?;
        } else if let Some(name) = &raw.play {
            Action::Play(self.list_number(place, name)?).write(&mut out);
        } else if let Some(name) = &raw.barrier {
            let barrier = self.barrier(name, place)?;
            let cpus = raw.cpus.as_ref().map_or(2, |cpus| *cpus.get_ref());
            if !(1..=MAX_CPUS).contains(&cpus.into()) {
                return place.mistake(format!("`cpus` is 1 to {MAX_CPUS}"));
            }
            Action::Barrier { barrier, cpus }.write(&mut out);
        } else if let Some(name) = &raw.figure {
            let Some(value) = &raw.value else { return place.mistake("`figure` needs a `value`") };
            Action::Figure(name.get_ref(), Expression::of(&self.number(value, place)?)).write(&mut out);
        } else if let Some(rounds) = &raw.time_loop {
            Action::TimeLoop(Expression::of(&self.number(rounds, place)?)).write(&mut out);
        } else {
            Action::Nothing.write(&mut out);
        }
        Ok(out)
    }

    /// Returns the instruction and the arguments of a call, if the step is one.
    fn call(&self, raw: &RawStep, place: &Place) -> Result<Option<(Conduit, Vec<u8>)>, Mistake> {
        let mut arguments: Vec<(u8, Vec<Operation>)> = Vec::new();
        let conduit = match (&raw.smc, &raw.hvc, &raw.answer_rpc) {
            (Some(function), ..) => {
                arguments.push((0, self.operations(function, place)?));
                Conduit::Smc
            }
            (_, Some(function), _) => {
                arguments.push((0, self.operations(function, place)?));
                Conduit::Hvc
            }
            (_, _, Some(answer)) => {
                if !answer.get_ref() {
                    return place.mistake_at(answer.span(), "`answer-rpc` is true or not there");
                }
                arguments.push((0, vec![Operation::Number(OPTEE_SMC_CALL_RETURN_FROM_RPC.0.into())]));
                arguments.extend((1..=CLIENT).map(|register| (register, vec![Operation::Result(register)])));
                Conduit::Smc
            }
            _ => return Ok(None),
        };
        if let (Some(message), Some(Operation::Number(function))) = (&place.message, arguments[0].1.first())
            && [OPTEE_SMC_CALL_WITH_ARG, OPTEE_SMC_CALL_WITH_RPC_ARG].contains(&FunctionId(*function as u32))
            && arguments[0].1.len() == 1
        {
            use probe::script::expression::Unary;
            for (register, half) in [(1, Unary::High), (2, Unary::Low)] {
                let mut address = message.clone();
                address.push(Operation::Unary(half));
                arguments.push((register, address));
            }
        }
        let given = (1..).zip(raw.registers()).chain([(CLIENT, &raw.client)]);
        for (register, value) in given.filter_map(|(register, value)| Some((register, value.as_ref()?))) {
            arguments.retain(|(other, _)| *other != register);
            arguments.push((register, self.operations(value, place)?));
        }
        let mut out = Vec::new();
        for (register, operations) in arguments {
            Argument { register, value: Expression::of(&bytes(&operations)) }.write(&mut out);
        }
        Ok(Some((conduit, out)))
    }

    fn repeat(
        &mut self,
        raw: &RawStep,
        from: &[u8],
        count: &[u8],
        place: &Place,
        out: &mut Vec<u8>,
    ) -> Result<(), Mistake> {
        if place.depth == NESTING {
            return place.mistake(format!("more than {NESTING} loops inside each other"));
        }
        let name = raw.name.clone().unwrap_or_else(|| place.name.clone());
        let inner = Place { depth: place.depth + 1, name, ..place.clone() };
        let mut body = self.steps(&raw.steps, inner)?;
        if let Some(name) = &raw.play {
            let play = RawStep { name: raw.name.clone(), play: Some(name.clone()), ..RawStep::default() };
            self.step(&play, &mut place.clone(), &mut body)?;
        }
        if body.is_empty() {
            return place.mistake("`loop` and `each` need `steps` or `play`");
        }
        let variable = raw.variable.as_ref();
        let variable =
            variable.and_then(|name| self.variables.iter().position(|known| known == name.get_ref())).map(|v| v as u8);
        let until = raw.until.as_ref().map(|until| self.number(until, place)).transpose()?;
        Action::Loop(Loop {
            variable,
            from: Expression::of(from),
            count: Expression::of(count),
            until: until.as_deref().map(Expression::of),
            body: List::of(&body),
        })
        .write(out);
        Ok(())
    }

    fn barrier(&mut self, name: &Spanned<String>, place: &Place) -> Result<u8, Mistake> {
        let index = match self.barriers.iter().position(|known| known == name.get_ref()) {
            Some(index) => index,
            None => {
                self.barriers.push(name.get_ref().clone());
                self.barriers.len() - 1
            }
        };
        if index >= BARRIERS {
            return place.mistake_at(name.span(), format!("more than {BARRIERS} barriers"));
        }
        Ok(index as u8)
    }
}

/// What names mean at a step.
struct Here<'c, 's> {
    compiler: &'c Compiler<'s>,
    place: &'c Place,
}

impl Scope for Here<'_, '_> {
    fn lookup(&self, name: &str) -> Option<Vec<Operation>> {
        if let Some(field) = super::message::field(name)
            && let Some(message) = &self.place.message
        {
            return Some(field.of(message));
        }
        let compiler = self.compiler;
        if let Some(index) = compiler.variables.iter().position(|known| known == name) {
            return Some(vec![Operation::Variable(index as u8)]);
        }
        if let Some(offset) = compiler.buffers.get(name) {
            return Some(vec![Operation::Buffer(*offset)]);
        }
        compiler.constants.get(name).map(|number| vec![Operation::Number(*number)])
    }

    fn names(&self) -> Vec<String> {
        let compiler = self.compiler;
        let mut names: Vec<_> = compiler.variables.clone();
        names.extend(compiler.buffers.keys().map(|name| (*name).to_owned()));
        names.extend(compiler.constants.keys().cloned());
        if self.place.message.is_some() {
            names.extend(super::message::FIELDS.iter().map(|(name, ..)| (*name).to_owned()));
        }
        names.sort();
        names
    }
}

/// A record's bytes.
struct Bytes(Vec<u8>);

impl Bytes {
    fn extend_into(self, out: &mut Vec<u8>) {
        out.extend(self.0);
    }
}

fn write(at: &[u8], times: &[u8], items: &[u8]) -> Bytes {
    let mut out = Vec::new();
    Write { at: Expression::of(at), times: Expression::of(times), items: List::of(items) }.write(&mut out);
    Bytes(out)
}

/// Writes an item of a [`Write`].
pub(super) fn item(width: Width, value: &[u8], out: &mut Vec<u8>) {
    Item { width, value: Expression::of(value) }.write(out);
}

fn width(raw: &RawStep, place: &Place) -> Result<Width, Mistake> {
    match &raw.width {
        None => Ok(Width::Bits64),
        Some(bits) => match bits.get_ref() {
            8 => Ok(Width::Bits8),
            32 => Ok(Width::Bits32),
            64 => Ok(Width::Bits64),
            _ => place.mistake_at(bits.span(), "`width` is 8, 32 or 64"),
        },
    }
}

/// Refuses keys that belong to an action which isn't there.
fn check_keys(raw: &RawStep, place: &Place) -> Result<(), Mistake> {
    let call = raw.smc.is_some() || raw.hvc.is_some() || raw.answer_rpc.is_some();
    let repeat = raw.repeats();
    let counts = raw.repeat.is_some();
    let message = raw.message.is_some();
    let stray = [
        ("client", raw.client.is_some(), call),
        ("preserves", raw.preserves.is_some(), call),
        ("resumes", raw.resumes.is_some(), call),
        ("measure", raw.measure.is_some(), call),
        ("samples", raw.samples.is_some(), raw.measure.is_some()),
        ("warm-up", raw.warm_up.is_some(), raw.measure.is_some()),
        ("cmd", raw.cmd.is_some(), message),
        ("func", raw.func.is_some(), message),
        ("session", raw.session.is_some(), message),
        ("cancel-id", raw.cancel_id.is_some(), message),
        ("num-params", raw.num_params.is_some(), message),
        ("open", raw.open.is_some(), message),
        ("params", !raw.params.is_empty(), message),
        ("values", !raw.values.is_empty(), raw.write.is_some()),
        ("bytes", raw.bytes.is_some(), raw.write.is_some()),
        ("times", raw.times.is_some(), raw.write.is_some()),
        ("width", raw.width.is_some(), raw.write.is_some() || raw.read.is_some()),
        ("of", !raw.of.is_empty(), raw.pages.is_some()),
        ("next", raw.next.is_some(), raw.pages.is_some()),
        ("cpu", raw.cpu.is_some(), raw.start.is_some()),
        ("as", raw.variable.is_some(), repeat),
        ("from", raw.from.is_some(), counts),
        ("until", raw.until.is_some(), counts),
        ("steps", !raw.steps.is_empty(), repeat),
        ("until-failure", raw.until_failure.is_some(), repeat || raw.play.is_some()),
        ("cpus", raw.cpus.is_some(), raw.barrier.is_some()),
        ("value", raw.value.is_some(), raw.figure.is_some()),
        ("x1 to x17", raw.registers().iter().any(|register| register.is_some()), call),
    ];
    let never = raw.returns == Some(false);
    // What is never done, or never looked at.
    let idle = [
        ("each", raw.each.as_ref().is_some_and(Vec::is_empty), "has no value, so nothing is played"),
        ("loop", raw.repeat.as_ref().is_some_and(is_zero), "is 0, so nothing is played"),
        ("times", raw.times.as_ref().is_some_and(is_zero), "is 0, so nothing is written"),
        ("returns", raw.returns.is_some() && !call && raw.execute.is_none(), "is about a call"),
        ("expect", never && !raw.expect.is_empty(), "is of no use where nothing comes back"),
        ("keep", never && !raw.keep.is_empty(), "is of no use where nothing comes back"),
    ];
    if let Some((key, _, why)) = idle.iter().find(|(_, there, _)| *there) {
        return place.mistake(format!("`{key}` {why}"));
    }
    match stray.iter().find(|(_, there, belongs)| *there && !belongs) {
        Some((key, ..)) => place.mistake(format!("`{key}` means nothing in this step")),
        None if raw.client.is_some() && raw.x7.is_some() => place.mistake("`client` and `x7` are the same register"),
        None => Ok(()),
    }
}

fn is_zero(number: &Number) -> bool {
    *number.get_ref() == Value::Number(0)
}
