// SPDX-License-Identifier: MIT OR Apache-2.0
//! A sequence of steps from any bytes, for fuzzers: every byte string is one, and small changes make small changes.

use super::play::Sequence;
use super::step::{Address, How, In, List, Meanwhile, Msg, P, Reply, Shape, Step, Token, VMS, X};

/// Most steps of a sequence.
const LONGEST: usize = 80;

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    /// The next byte; 0 when there are no more.
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, n: u8) -> u8 {
        self.byte() % n
    }

    fn two(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// A small number in a byte, a large one in nine.
    fn number(&mut self) -> u64 {
        match self.byte() {
            0xFF => u64::MAX,
            0xFE => u64::from_le_bytes(std::array::from_fn(|_| self.byte())),
            0xFD => u64::from(u32::from_le_bytes(std::array::from_fn(|_| self.byte()))),
            0xFC => u64::from(self.two()),
            0xFB => u64::from(self.byte()) << 16,
            0xFA => u64::from(self.byte()) << 12,
            small => small.into(),
        }
    }

    fn word(&mut self) -> u32 {
        self.number() as u32
    }

    fn id(&mut self) -> u32 {
        match self.below(8) {
            7 => self.word(),
            n => VMS[usize::from(n) % VMS.len()].into(),
        }
    }

    fn address(&mut self) -> Address {
        match self.below(12) {
            0..6 => Address::Of(self.below(3), self.below(11), self.two()),
            6 | 7 => Address::Of(self.below(3), self.below(11), 0),
            8 => Address::End(self.two()),
            9 => Address::Hole(self.two()),
            10 => Address::Secure(self.byte()),
            _ => Address::Raw(self.number()),
        }
    }

    fn shape(&mut self) -> Shape {
        match self.below(8) {
            6 => Shape::Bad(self.byte(), self.address()),
            7 => Shape::Next(self.address()),
            _ => Shape::Good,
        }
    }

    fn parameter(&mut self) -> P {
        match self.below(11) {
            0 => P::Nothing,
            1 => P::Attr(self.number(), self.number(), self.number(), self.number()),
            2 => P::Target(self.below(6)),
            3 => P::Client(self.word()),
            4 => P::Value(self.byte(), self.word(), self.word()),
            5 | 6 => P::Memory(self.byte(), self.address(), self.number()),
            7 => P::Pages(self.byte(), self.shape(), self.two(), self.number(), self.byte()),
            8 => P::Shared(self.byte(), self.byte(), self.number(), self.number()),
            9 => P::Name(self.below(3), self.byte()),
            _ => P::Secret(self.byte(), self.two()),
        }
    }

    /// Where a function's output goes.
    fn output(&mut self) -> P {
        match self.below(8) {
            0..4 => P::Memory(1, Address::Of(0, 9, self.byte().into()), self.number()),
            4 => P::Pages(1, Shape::Good, self.byte().into(), self.number(), 0),
            5 | 6 => P::Shared(1, self.below(5), self.number(), self.number()),
            _ => self.parameter(),
        }
    }

    fn name(&mut self) -> P {
        P::Name(self.below(3), 1 + self.byte() % 2)
    }

    /// A function of a pseudo-TA as it should be called: which pseudo-TA, which function, with what.
    fn function(&mut self) -> (u8, u32, Vec<P>) {
        match self.below(11) {
            0 | 1 => (0, 0, vec![self.name(), P::Secret(self.byte(), self.byte().into())]),
            2 | 3 => (0, 1, vec![self.name(), self.output()]),
            4 => (0, 2, vec![self.name()]),
            5 => (1, self.below(3).into(), vec![self.output()]),
            6 => (2, self.below(2).into(), vec![self.output()]),
            7 => (3, 1, vec![P::Value(0, self.below(3).into(), self.below(2).into()), self.output()]),
            8 => (3, 4, vec![P::Value(1, 0, 0), P::Value(1, 0, 0)]),
            9 => (4, 2, vec![]),
            _ => (4, 10, vec![P::Memory(2, Address::Raw(0), 0)]),
        }
    }

    fn message(&mut self) -> Msg {
        let kind = self.byte();
        let msg = |cmd, func, session, params| Msg { cmd, func, session, params: List(params), count: None };
        match kind {
            0..0x80 => {
                let (service, func, params) = self.function();
                msg(1, func, In::Its(service, self.byte()), params)
            }
            0x80..0x90 => msg(2, 0, In::Its(self.below(5), self.byte()), vec![]),
            0x90..0xA0 => msg(3, 0, In::Its(self.below(5), self.byte()), vec![]),
            0xA0..0xB8 => {
                let pages = P::Pages(1, self.shape(), self.byte().into(), self.number(), self.below(6));
                msg(4, 0, In::Id(0), vec![pages])
            }
            0xB8..0xC8 => msg(5, 0, In::Id(0), vec![P::Shared(0, self.below(6), 0, 0)]),
            0xC8..0xD0 => {
                msg(0, 0, In::Id(0), vec![P::Target(self.below(6)), P::Client(self.word()), self.parameter()])
            }
            _ => {
                let session = if kind & 1 == 0 { In::Any(self.byte()) } else { In::Id(self.word()) };
                let (cmd, func, shape) = (self.word(), self.word(), self.byte());
                let params = (0..shape % 8).map(|_| self.parameter()).collect();
                let count = (shape >= 0xF0).then(|| self.word());
                Msg { count, ..msg(cmd, func, session, params) }
            }
        }
    }

    fn how(&mut self) -> How {
        match self.below(8) {
            0..3 => How::Arg,
            3..6 => How::RpcArg,
            _ => How::Registered(self.byte(), self.word()),
        }
    }

    fn reply(&mut self) -> Reply {
        match self.below(8) {
            0 => Reply::Words(self.word(), self.word(), self.word(), self.word()),
            1 => Reply::Gives(self.address(), self.byte()),
            2 => Reply::Fails(self.word()),
            3 => Reply::Says(self.parameter()),
            _ => Reply::Obeys,
        }
    }

    fn token(&mut self) -> Token {
        match self.below(16) {
            14 => Token::Last,
            15 => Token::Number(self.word()),
            _ => Token::Right,
        }
    }

    fn step(&mut self) -> Step {
        match self.below(32) {
            0 | 1 => Step::Create(self.id()),
            2 => Step::Destroy(self.id()),
            3 => Step::Smc(X(std::array::from_fn(|_| self.word()))),
            4 => Step::Smc(X([0xB200_0000 | self.word(), self.id(), 0, 0, 0, 0, 0, self.id()])),
            5 => Step::Smc(X([0xB200_0000 | self.word(), self.word(), 0, 0, 0, 0, 0, 0])),
            6 => {
                let function = 0x3200_0000 | u32::from(self.byte());
                Step::Smc(X([function, self.word(), self.word(), self.word(), 0, 0, 0, self.id()]))
            }
            7..17 => Step::Call(self.below(3), self.below(4), self.how(), self.message()),
            17..21 => {
                let which = self.byte();
                let by = (which >= 0xE0).then(|| self.below(3));
                Step::Resume(which, by, self.token(), self.reply())
            }
            21 | 22 => Step::Finish(self.byte()),
            23 => Step::Register(self.below(3), self.byte(), self.byte(), self.word()),
            24 => Step::Open(self.below(3), self.below(5), self.below(36)),
            25..28 => Step::Interrupt(self.byte().into()),
            28 => Step::After(self.byte().into(), Meanwhile::Write(self.address(), self.number())),
            29 => Step::After(self.byte().into(), Meanwhile::Calls(self.byte(), self.id(), self.id())),
            30 => Step::Poke(self.address(), std::array::from_fn(|_| self.number())),
            _ => Step::Random(self.byte() & 1 != 0),
        }
    }
}

impl Sequence {
    /// The sequence that these bytes mean.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes);
        let pages = 40 + usize::from(bytes.byte() % 200);
        let mut steps = vec![Step::Create(VMS[0].into())];
        // What most calls need, so that it need not be found.
        let needs = bytes.byte();
        steps.extend((0..5).filter(|bit| needs & (1 << bit) == 0).map(|service| Step::Open(0, service, 1)));
        if needs & 0x20 == 0 {
            steps.insert(1, Step::Random(true));
        }
        if needs & 0x40 == 0 {
            steps.push(Step::Register(0, 1, 3, 0x2000));
        }
        if needs & 0x80 != 0 {
            steps.push(Step::Smc(X([0xB200_000B, 0, 0, 0, 0, 0, 0, VMS[0].into()])));
        }
        while !bytes.0.is_empty() && steps.len() < LONGEST {
            steps.push(bytes.step());
        }
        Self { pages, steps }
    }
}
