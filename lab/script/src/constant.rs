// SPDX-License-Identifier: MIT OR Apache-2.0
//! Expressions that mean the same whatever a machine answers: numbers, the names of specifications, what is made of
//! both.

use super::expression::{BadExpression, Scope, bytes, operations};
use super::message::field;
use super::names::{self, Ram};
use probe::script::expression::{Environment, Expression, Known, Operation, Width};

/// Returns the value of an expression that asks no machine, or says what is wrong with any other.
pub fn constant(text: &str) -> Result<u64, String> {
    let operations = fixed(text, Names { buffers: &[], ram: false })?;
    let value = Expression::of(&bytes(&operations)).value(&mut Nothing);
    value.map_err(|Asked| format!("`{text}` is no constant"))
}

/// Checks that an expression is made of constants and of the addresses of these buffers.
pub fn place(text: &str, buffers: &[&str]) -> Result<(), String> {
    fixed(text, Names { buffers, ram: true }).map(|_| ())
}

fn fixed(text: &str, names: Names<'_>) -> Result<Vec<Operation>, String> {
    // That it asks the machine is told first, whatever it asks about.
    let loose = operations(text, &Anything).unwrap_or_default();
    if let Some(asked) = loose.into_iter().find_map(asks) {
        return Err(format!("`{text}` is no constant: {asked}, which the machine fills in"));
    }
    operations(text, &names).map_err(|BadExpression { message, nearest }| match nearest {
        Some(nearest) => format!("{message}; did you mean `{nearest}`?"),
        None => message,
    })
}

/// Says what of the machine an operation asks, if it does.
fn asks(operation: Operation) -> Option<String> {
    match operation {
        Operation::Number(_)
        | Operation::Buffer(_)
        | Operation::Variable(_)
        | Operation::Unary(_)
        | Operation::Binary(_) => None,
        Operation::Result(register) => Some(format!("it names the register x{register} or w{register}")),
        Operation::Known(known) => {
            let name = Known::NAMES.iter().find(|(_, each)| *each == known).map_or("?", |(name, _)| name);
            Some(format!("it names `{name}`"))
        }
        Operation::Load(_) => Some("it reads memory".to_owned()),
    }
}

/// The names that a constant may use. A VM's RAM is not the same for every VM.
struct Names<'n> {
    buffers: &'n [&'n str],
    ram: bool,
}

impl Names<'_> {
    fn all(&self) -> impl Iterator<Item = (String, u64)> {
        let ram = self.ram;
        names::all(Ram { base: 0, end: 0 }).filter(move |(name, _)| ram || !["RAM", "RAM_END"].contains(&name.as_str()))
    }
}

impl Scope for Names<'_> {
    fn lookup(&self, name: &str) -> Option<Vec<Operation>> {
        if self.buffers.contains(&name) {
            return Some(vec![Operation::Buffer(0)]);
        }
        // Whoever writes small letters means the same, unless they mean a field of a message: `ret` is not RET.
        let same = |known: &str| known == name || (field(name).is_none() && known.eq_ignore_ascii_case(name));
        self.all().find(|(known, _)| same(known)).map(|(_, number)| vec![Operation::Number(number)])
    }

    fn names(&self) -> Vec<String> {
        self.buffers.iter().map(|name| (*name).to_owned()).chain(self.all().map(|(name, _)| name)).collect()
    }
}

/// Every name means something.
struct Anything;

impl Scope for Anything {
    fn lookup(&self, _: &str) -> Option<Vec<Operation>> {
        Some(vec![Operation::Buffer(0)])
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// There is no machine.
struct Nothing;
/// It was asked all the same.
struct Asked;

impl Environment for Nothing {
    type Fault = Asked;

    fn number(&self, operation: Operation) -> u64 {
        match operation {
            Operation::Number(number) => number,
            _ => 0,
        }
    }

    fn load(&mut self, _: Width, _: u64) -> Result<u64, Asked> {
        Err(Asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_is_the_same_number_however_it_is_written() {
        for text in ["65540", "0x1_0004", " 0x10004 ", "0X10004", "1 << 16 | 4", "0b1_0000_0000_0000_0100", "0o200004"]
        {
            assert_eq!(constant(text), Ok(0x1_0004), "{text}");
        }
        assert_eq!(constant("-1"), constant("not_supported"));
        assert_eq!(constant("PSCI_VERSION"), Ok(0x8400_0000));
        assert_eq!(constant("TEE + 8"), Ok(0x0E10_0008));
    }

    #[test]
    fn what_asks_the_machine_is_none() {
        for text in
            ["level", "esr >> 26", "x0", "w0 + 0", "u64(TEE)", "now", "opened", "ret", "msg", "RAM_END", "", "1 +"]
        {
            assert!(constant(text).is_err(), "{text}");
        }
        assert!(constant("x9").unwrap_err().contains("the register x9"));
        assert!(constant("u64(calls + 40)").unwrap_err().contains("it reads memory"));
        assert!(constant("psci_versoin").unwrap_err().contains("did you mean"));
    }

    #[test]
    fn a_place_may_name_buffers() {
        assert_eq!(place("hi(msg)", &["msg"]), Ok(()));
        assert_eq!(place("-msg + RAM_END", &["msg"]), Ok(()));
        assert!(place("u64(msg)", &["msg"]).is_err() && place("data", &["msg"]).is_err());
    }
}
