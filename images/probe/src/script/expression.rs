// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers that are only known when a step is played: in postfix order, one byte for an operation.
//!
//! Arithmetic wraps around at 64 bits: an address that wraps is something to try, not a mistake.

use super::wire::{Damage, Reader, Record};
use super::{ARENA, VARIABLES};

/// Deepest stack that an expression may need.
pub const DEPTH: usize = 16;

/// One operation: pushes a number, or replaces the topmost ones by what it makes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A number.
    Number(u64),
    /// A variable's value.
    Variable(u8),
    /// The address of this byte of the arena.
    Buffer(u32),
    /// x0 to x30 after the last call.
    Result(u8),
    /// What the machine knows.
    Known(Known),
    /// What stands at the address on top, of this width.
    Load(Width),
    /// Of one number.
    Unary(Unary),
    /// Of two numbers, the one pushed first on the left.
    Binary(Binary),
}

/// How many bits an access has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Width {
    /// A byte.
    Bits8 = 0,
    /// A word.
    Bits32 = 1,
    /// A doubleword.
    Bits64 = 2,
}

impl Width {
    /// Bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Bits8 => 1,
            Self::Bits32 => 4,
            Self::Bits64 => 8,
        }
    }
}

/// Declares operations that a byte names.
macro_rules! coded {
    (
        $(#[$doc:meta])* $type:ident, $what:literal
        { $($(#[$item_doc:meta])* $name:ident = $code:literal, $text:literal;)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $type {
            $($(#[$item_doc])* $name = $code,)*
        }

        impl $type {
            /// All of them, as scripts spell them.
            pub const NAMES: &[(&str, Self)] = &[$(($text, Self::$name),)*];
        }

        impl<'a> Record<'a> for $type {
            fn read(reader: &mut Reader<'a>) -> Result<Self, Damage> {
                match reader.get::<u8>()? {
                    $($code => Ok(Self::$name),)*
                    other => Err(Damage::Unknown($what, other.into())),
                }
            }

            fn write(&self, out: &mut impl Extend<u8>) {
                (*self as u8).write(out);
            }
        }
    };
}
pub(super) use coded;

coded! {
    /// What the machine knows.
    Known, "known number" {
        /// What the last read step read.
        Value = 0, "value";
        /// Ticks of the counter from before the last call to after it.
        Ticks = 1, "ticks";
        /// The counter.
        Now = 2, "now";
        /// Ticks of the counter in a second.
        Frequency = 3, "frequency";
        /// The number of the CPU that plays.
        Cpu = 4, "cpu";
        /// The exception level.
        Level = 5, "level";
        /// Syndrome of the last fault.
        Syndrome = 6, "esr";
        /// Address that the last fault is about.
        FaultAddress = 7, "far";
        /// Address of the instruction that faulted.
        FaultPc = 8, "elr";
        /// Where the probe's image begins.
        Image = 9, "image";
        /// Where a CPU enters that a call of the last step suspended, its registers lost.
        Resume = 10, "resume";
    }
}

coded! {
    /// Of one number.
    Unary, "operation" {
        /// Bits 63:32.
        High = 0, "hi";
        /// Bits 31:0.
        Low = 1, "lo";
        /// Every bit turned.
        Not = 2, "not";
    }
}

coded! {
    /// Of two numbers.
    Binary, "operation" {
        /// Sum.
        Add = 0, "+";
        /// Difference.
        Subtract = 1, "-";
        /// Product.
        Multiply = 2, "*";
        /// Quotient; 0 if there is none.
        Divide = 3, "/";
        /// Remainder; 0 if there is none.
        Remainder = 4, "%";
        /// Bits in both.
        And = 5, "&";
        /// Bits in either.
        Or = 6, "|";
        /// Bits in one of them.
        Xor = 7, "^";
        /// Shifted to the left.
        ShiftLeft = 8, "<<";
        /// Shifted to the right.
        ShiftRight = 9, ">>";
        /// 1 if they are equal, else 0.
        Equal = 10, "==";
        /// 0 if they are equal, else 1.
        Unequal = 11, "!=";
        /// 1 if the left one is less, else 0.
        Less = 12, "<";
        /// 1 if the left one is greater, else 0.
        Greater = 13, ">";
    }
}

coded! {
    /// The kinds of [`Operation`].
    Kind, "operation" {
        /// [`Operation::Number`]
        Number = 0, "";
        /// [`Operation::Variable`]
        Variable = 1, "";
        /// [`Operation::Buffer`]
        Buffer = 2, "";
        /// [`Operation::Result`]
        Result = 3, "";
        /// [`Operation::Known`]
        Known = 4, "";
        /// [`Operation::Load`]
        Load = 5, "";
        /// [`Operation::Unary`]
        Unary = 6, "";
        /// [`Operation::Binary`]
        Binary = 7, "";
    }
}

impl<'a> Record<'a> for Width {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Damage> {
        match reader.get::<u8>()? {
            0 => Ok(Self::Bits8),
            1 => Ok(Self::Bits32),
            2 => Ok(Self::Bits64),
            other => Err(Damage::Unknown("width", other.into())),
        }
    }

    fn write(&self, out: &mut impl Extend<u8>) {
        (*self as u8).write(out);
    }
}

impl<'a> Record<'a> for Operation {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Damage> {
        Ok(match reader.get::<Kind>()? {
            Kind::Number => Self::Number(reader.get()?),
            Kind::Variable => match reader.get::<u8>()? {
                index if usize::from(index) < VARIABLES => Self::Variable(index),
                index => return Err(Damage::Unknown("variable", index.into())),
            },
            Kind::Buffer => match reader.get::<u32>()? {
                offset if offset <= ARENA => Self::Buffer(offset),
                offset => return Err(Damage::Unknown("place in the arena", offset)),
            },
            Kind::Result => match reader.get::<u8>()? {
                register @ 0..=30 => Self::Result(register),
                other => return Err(Damage::Unknown("register", other.into())),
            },
            Kind::Known => Self::Known(reader.get()?),
            Kind::Load => Self::Load(reader.get()?),
            Kind::Unary => Self::Unary(reader.get()?),
            Kind::Binary => Self::Binary(reader.get()?),
        })
    }

    fn write(&self, out: &mut impl Extend<u8>) {
        match *self {
            Self::Number(number) => {
                Kind::Number.write(out);
                number.write(out);
            }
            Self::Variable(index) => {
                Kind::Variable.write(out);
                index.write(out);
            }
            Self::Buffer(offset) => {
                Kind::Buffer.write(out);
                offset.write(out);
            }
            Self::Result(register) => {
                Kind::Result.write(out);
                register.write(out);
            }
            Self::Known(known) => {
                Kind::Known.write(out);
                known.write(out);
            }
            Self::Load(width) => {
                Kind::Load.write(out);
                width.write(out);
            }
            Self::Unary(operation) => {
                Kind::Unary.write(out);
                operation.write(out);
            }
            Self::Binary(operation) => {
                Kind::Binary.write(out);
                operation.write(out);
            }
        }
    }
}

impl Unary {
    /// Says what it makes of a number.
    pub const fn of(self, number: u64) -> u64 {
        match self {
            Self::High => number >> 32,
            Self::Low => number & 0xFFFF_FFFF,
            Self::Not => !number,
        }
    }
}

impl Binary {
    /// Says what it makes of two numbers.
    pub const fn of(self, left: u64, right: u64) -> u64 {
        match self {
            Self::Add => left.wrapping_add(right),
            Self::Subtract => left.wrapping_sub(right),
            Self::Multiply => left.wrapping_mul(right),
            Self::Divide => match left.checked_div(right) {
                Some(quotient) => quotient,
                None => 0,
            },
            Self::Remainder => match left.checked_rem(right) {
                Some(remainder) => remainder,
                None => 0,
            },
            Self::And => left & right,
            Self::Or => left | right,
            Self::Xor => left ^ right,
            Self::ShiftLeft => {
                if right < 64 {
                    left << right
                } else {
                    0
                }
            }
            Self::ShiftRight => {
                if right < 64 {
                    left >> right
                } else {
                    0
                }
            }
            Self::Equal => (left == right) as u64,
            Self::Unequal => (left != right) as u64,
            Self::Less => (left < right) as u64,
            Self::Greater => (left > right) as u64,
        }
    }
}

/// A number in postfix order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expression<'a>(super::wire::List<'a, Operation>);

/// Where operations find their numbers.
pub trait Environment {
    /// What goes wrong when a load faults.
    type Fault;

    /// Says what an operation that takes nothing pushes.
    fn number(&self, operation: Operation) -> u64;

    /// Says what stands at an address.
    fn load(&mut self, width: Width, address: u64) -> Result<u64, Self::Fault>;
}

impl<'a> Expression<'a> {
    /// Returns the expression whose operations were written into `bytes`.
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self(super::wire::List::of(bytes))
    }

    /// Returns its value. An expression that [`Expression::check`] refuses has the value 0.
    pub fn value<E: Environment>(self, environment: &mut E) -> Result<u64, E::Fault> {
        let mut stack = [0; DEPTH];
        let mut height = 0;
        let pop = |height: &mut usize, stack: &[u64; DEPTH]| {
            *height = height.saturating_sub(1);
            stack[*height % DEPTH]
        };
        for operation in self.0.iter() {
            let number = match operation {
                Operation::Load(width) => environment.load(width, pop(&mut height, &stack))?,
                Operation::Unary(unary) => unary.of(pop(&mut height, &stack)),
                Operation::Binary(binary) => {
                    let right = pop(&mut height, &stack);
                    binary.of(pop(&mut height, &stack), right)
                }
                other => environment.number(other),
            };
            stack[height % DEPTH] = number;
            height += 1;
        }
        Ok(pop(&mut height, &stack))
    }

    /// Says whether it can be evaluated: one number comes of it, and the stack is high enough.
    pub fn check(self) -> Result<(), Damage> {
        let mut height = 0_usize;
        for operation in self.0.records() {
            let takes = match operation? {
                Operation::Load(_) | Operation::Unary(_) => 1,
                Operation::Binary(_) => 2,
                _ => 0,
            };
            height = height.checked_sub(takes).ok_or(Damage::Truncated)? + 1;
            if height > DEPTH {
                return Err(Damage::TooMany("numbers in an expression"));
            }
        }
        if height == 1 { Ok(()) } else { Err(Damage::Truncated) }
    }
}

impl<'a> Record<'a> for Expression<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Damage> {
        let expression = Self(reader.get()?);
        expression.check()?;
        Ok(expression)
    }

    fn write(&self, out: &mut impl Extend<u8>) {
        self.0.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Environment for Nothing {
        type Fault = u64;

        fn number(&self, operation: Operation) -> u64 {
            match operation {
                Operation::Number(number) => number,
                Operation::Variable(index) => 100 + u64::from(index),
                _ => 0,
            }
        }

        fn load(&mut self, _: Width, address: u64) -> Result<u64, u64> {
            if address == 8 { Ok(9) } else { Err(address) }
        }
    }

    fn bytes(operations: &[Operation]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for operation in operations {
            operation.write(&mut bytes);
        }
        bytes
    }

    #[test]
    fn operations_take_what_was_pushed_before() {
        use Operation::{Binary as Two, Load, Number, Unary as One, Variable};
        let value = |operations: &[Operation]| {
            let bytes = bytes(operations);
            Expression::of(&bytes).check().unwrap();
            Expression::of(&bytes).value(&mut Nothing)
        };
        assert_eq!(value(&[Number(7), Variable(2), Two(Binary::Subtract)]), Ok(7_u64.wrapping_sub(102)));
        assert_eq!(value(&[Number(1 << 33), One(Unary::High), Number(3), Two(Binary::ShiftLeft)]), Ok(16));
        assert_eq!(value(&[Number(8), Load(Width::Bits32)]), Ok(9));
        assert_eq!(value(&[Number(0xbad), Load(Width::Bits64)]), Err(0xbad));
        assert_eq!(value(&[Number(1), Number(64), Two(Binary::ShiftLeft)]), Ok(0));
        assert_eq!(value(&[Number(1), Number(0), Two(Binary::Divide)]), Ok(0));
    }

    #[test]
    fn what_has_no_value_is_refused_when_it_is_read() {
        let read = |operations: &[Operation]| {
            let inner = bytes(operations);
            let mut whole = Vec::new();
            Expression::of(&inner).write(&mut whole);
            Reader::new(&whole).get::<Expression<'_>>().map(|_| ())
        };
        assert_eq!(read(&[]), Err(Damage::Truncated));
        assert_eq!(read(&[Operation::Number(1); 2]), Err(Damage::Truncated));
        assert_eq!(read(&[Operation::Binary(Binary::Add)]), Err(Damage::Truncated));
        assert_eq!(read(&[Operation::Number(1); DEPTH + 1]), Err(Damage::TooMany("numbers in an expression")));
        assert_eq!(read(&[Operation::Variable(VARIABLES as u8)]), Err(Damage::Unknown("variable", VARIABLES as u32)));
        assert_eq!(read(&[Operation::Buffer(ARENA + 1)]), Err(Damage::Unknown("place in the arena", ARENA + 1)));
    }

    #[test]
    fn even_an_unchecked_expression_has_a_value() {
        let bytes = bytes(&[Operation::Binary(Binary::Add)]);
        assert_eq!(Expression::of(&bytes).value(&mut Nothing), Ok(0));
        let bytes = self::bytes(&[Operation::Number(5); 2 * DEPTH + 1]);
        assert_eq!(Expression::of(&bytes).value(&mut Nothing), Ok(5));
    }
}
