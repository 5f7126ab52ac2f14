// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads expressions: numbers, names, operators as in C, and what the probe can work out when it plays.

use super::names::known;
use probe::script::expression::{Binary, DEPTH, Expression, Operation, Unary, Width};
use probe::script::wire::Record;

/// What names mean where an expression stands.
pub(super) trait Scope {
    /// Returns the operations that a name stands for.
    fn lookup(&self, name: &str) -> Option<Vec<Operation>>;

    /// Lists every name there is.
    fn names(&self) -> Vec<String>;
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadExpression {
    /// In words.
    pub message: String,
    /// The name that was meant, perhaps.
    pub nearest: Option<String>,
}

/// Parses an expression into its operations.
pub(super) fn operations(text: &str, scope: &dyn Scope) -> Result<Vec<Operation>, BadExpression> {
    let mut parser = Parser { text, rest: text.trim_start(), scope, out: Vec::new() };
    parser.binary(0)?;
    if !parser.rest.is_empty() {
        return parser.stop("an operator");
    }
    let bytes = bytes(&parser.out);
    match Expression::of(&bytes).check() {
        Ok(()) => Ok(parser.out),
        Err(_) => mistake(format!("`{text}` is too deep: more than {DEPTH} numbers at once")),
    }
}

/// Writes operations as they stand in a script.
pub(super) fn bytes(operations: &[Operation]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for operation in operations {
        operation.write(&mut bytes);
    }
    bytes
}

/// Binary operators with how tightly they bind. Longer ones first, so that `<<` is not taken for `<`.
const OPERATORS: [(Binary, u8); 14] = [
    (Binary::ShiftLeft, 6),
    (Binary::ShiftRight, 6),
    (Binary::Equal, 4),
    (Binary::Unequal, 4),
    (Binary::Less, 5),
    (Binary::Greater, 5),
    (Binary::Or, 1),
    (Binary::Xor, 2),
    (Binary::And, 3),
    (Binary::Add, 7),
    (Binary::Subtract, 7),
    (Binary::Multiply, 8),
    (Binary::Divide, 8),
    (Binary::Remainder, 8),
];

struct Parser<'t> {
    text: &'t str,
    rest: &'t str,
    scope: &'t dyn Scope,
    out: Vec<Operation>,
}

impl<'t> Parser<'t> {
    fn binary(&mut self, loosest: u8) -> Result<(), BadExpression> {
        self.unary()?;
        while let Some((operator, binds)) = self.operator().filter(|(_, binds)| *binds > loosest) {
            self.skip(spelling(operator).len());
            self.binary(binds)?;
            self.out.push(Operation::Binary(operator));
        }
        Ok(())
    }

    fn operator(&self) -> Option<(Binary, u8)> {
        OPERATORS.into_iter().find(|(operator, _)| self.rest.starts_with(spelling(*operator)))
    }

    fn unary(&mut self) -> Result<(), BadExpression> {
        if self.take("-") {
            self.out.push(Operation::Number(0));
            self.unary()?;
            self.out.push(Operation::Binary(Binary::Subtract));
            return Ok(());
        }
        if self.take("~") {
            self.unary()?;
            self.out.push(Operation::Unary(Unary::Not));
            return Ok(());
        }
        if self.take("(") {
            return self.parenthesis();
        }
        let word = self.word();
        match word.chars().next() {
            None => self.stop("a number or a name"),
            Some('0'..='9') => {
                self.out.push(Operation::Number(number(word)?));
                Ok(())
            }
            Some(_) => self.name(word),
        }
    }

    fn parenthesis(&mut self) -> Result<(), BadExpression> {
        self.binary(0)?;
        if self.take(")") { Ok(()) } else { self.stop("`)`") }
    }

    fn name(&mut self, name: &'t str) -> Result<(), BadExpression> {
        let function = match name {
            "u8" => Some(Operation::Load(Width::Bits8)),
            "u32" => Some(Operation::Load(Width::Bits32)),
            "u64" => Some(Operation::Load(Width::Bits64)),
            other => Unary::NAMES.iter().find(|(text, _)| *text == other).map(|(_, unary)| Operation::Unary(*unary)),
        };
        if let Some(function) = function {
            if !self.take("(") {
                return self.stop("`(`");
            }
            self.parenthesis()?;
            self.out.push(function);
        } else if let Some((low, register)) = register(name) {
            self.out.push(Operation::Result(register));
            if low {
                self.out.push(Operation::Unary(Unary::Low));
            }
        } else if let Some(known) = known(name) {
            self.out.push(Operation::Known(known));
        } else if let Some(operations) = self.scope.lookup(name) {
            self.out.extend(operations);
        } else {
            let names = self.scope.names();
            let nearest = names.iter().min_by_key(|known| crate::distance(name, known)).cloned();
            return Err(BadExpression { message: format!("unknown name `{name}`"), nearest });
        }
        Ok(())
    }

    fn word(&mut self) -> &'t str {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        self.skip(end);
        word
    }

    fn take(&mut self, token: &str) -> bool {
        let there = self.rest.starts_with(token);
        if there {
            self.skip(token.len());
        }
        there
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest[bytes..].trim_start();
    }

    fn stop<T>(&self, wanted: &str) -> Result<T, BadExpression> {
        let found = if self.rest.is_empty() { "its end".to_owned() } else { format!("`{}`", self.rest) };
        mistake(format!("`{}`: expected {wanted}, found {found}", self.text))
    }
}

fn spelling(operator: Binary) -> &'static str {
    Binary::NAMES.iter().find(|(_, binary)| *binary == operator).map_or("", |(text, _)| text)
}

/// Reads `x3`, or `w3` for its lower half.
fn register(name: &str) -> Option<(bool, u8)> {
    let low = name.starts_with('w');
    let digits = name.strip_prefix(['x', 'w'])?;
    let register: u8 = digits.parse().ok().filter(|register| *register <= 28)?;
    // `x03` is no register.
    (digits == register.to_string()).then_some((low, register))
}

fn number(word: &str) -> Result<u64, BadExpression> {
    let digits = word.replace('_', "").to_ascii_lowercase();
    let radix = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find(|(prefix, _)| digits.starts_with(prefix));
    let number = match radix {
        Some((prefix, radix)) => u64::from_str_radix(&digits[prefix.len()..], radix),
        None => digits.parse(),
    };
    number.or_else(|_| mistake(format!("`{word}` is no number of 64 bits")))
}

fn mistake<T>(message: String) -> Result<T, BadExpression> {
    Err(BadExpression { message, nearest: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use probe::script::expression::Environment;

    struct World;

    impl Scope for World {
        fn lookup(&self, name: &str) -> Option<Vec<Operation>> {
            (name == "page").then(|| vec![Operation::Number(0x1000)])
        }

        fn names(&self) -> Vec<String> {
            vec!["page".into(), "buffer".into()]
        }
    }

    impl Environment for World {
        type Fault = ();

        fn number(&self, operation: Operation) -> u64 {
            match operation {
                Operation::Number(number) => number,
                Operation::Result(register) => (0x55 << 32) | u64::from(register),
                _ => 0,
            }
        }

        fn load(&mut self, width: Width, address: u64) -> Result<u64, ()> {
            Ok(address + width.bytes())
        }
    }

    fn value(text: &str) -> u64 {
        let bytes = bytes(&operations(text, &World).unwrap_or_else(|mistake| panic!("{mistake:?}")));
        Expression::of(&bytes).value(&mut World).unwrap()
    }

    #[test]
    fn operators_bind_as_everywhere() {
        assert_eq!(value("1 + 2 * 3"), 7);
        assert_eq!(value("(1 + 2) * 3"), 9);
        assert_eq!(value("10 - 3 - 2"), 5);
        assert_eq!(value("1 << 4 | 0x0F & 3"), 0x13);
        assert_eq!(value("-1"), u64::MAX);
        assert_eq!(value("~0 == 0xffff_ffff_ffff_ffff"), 1);
        assert_eq!(value("3 > 2"), 1);
        assert_eq!(value("100 / 7 % 4"), 2);
        assert_eq!(value("0b10_110 + 0o17 + 0XfF"), 0x16 + 0o17 + 0xFF);
    }

    #[test]
    fn names_registers_and_memory_are_worked_out_later() {
        assert_eq!(value("page + 1"), 0x1001);
        assert_eq!(value("x3"), (0x55 << 32) | 3);
        assert_eq!(value("w3"), 3);
        assert_eq!(value("hi(x3)"), 0x55);
        assert_eq!(value("u32(page + 4) + u8(0)"), 0x1009);
    }

    #[test]
    fn mistakes_are_told_with_what_was_meant() {
        let told = |text| operations(text, &World).unwrap_err();
        assert_eq!(told("pagee").nearest.as_deref(), Some("page"));
        assert!(told("1 +").message.contains("a number or a name, found its end"));
        assert!(told("1 2").message.contains("an operator, found `2`"));
        assert!(told("(1").message.contains("`)`"));
        assert!(told("u32 4").message.contains("`(`"));
        assert!(told("0x1_0000_0000_0000_0000").message.contains("64 bits"));
        assert!(told("x29").message.contains("unknown name"));
        assert!(told(&("1+(".repeat(20) + "1" + &")".repeat(20))).message.contains("too deep"));
    }
}
