// SPDX-License-Identifier: MIT OR Apache-2.0
//! Steps, as the player plays them. What a scenario calls a message or a page list are writes by now.

use super::expression::{Expression, Width, coded};
use super::wire::{Damage, List, Reader, Record};

coded! {
    /// The instruction of a call.
    Conduit, "conduit" {
        /// `smc`
        Smc = 0, "smc";
        /// `hvc`
        Hvc = 1, "hvc";
    }
}

coded! {
    /// How a step ends.
    Outcome, "outcome" {
        /// The player goes on with the next one.
        Returns = 0, "returns";
        /// With a synchronous exception.
        Faults = 1, "faults";
        /// It doesn't. It is its CPU's last one.
        Never = 2, "never";
    }
}

coded! {
    /// How two numbers must be to each other.
    Relation, "relation" {
        /// They are equal.
        Is = 0, "is";
        /// Different.
        IsNot = 1, "is-not";
        /// The left one is not greater.
        AtMost = 2, "at-most";
        /// The left one is not less.
        AtLeast = 3, "at-least";
    }
}

coded! {
    /// In what time is measured.
    Unit, "unit of time" {
        /// Milliseconds.
        Milliseconds = 0, "wait-ms";
        /// Ticks of the counter.
        Ticks = 1, "wait-ticks";
    }
}

impl Relation {
    /// Says whether the numbers are so.
    pub const fn holds(self, left: u64, right: u64) -> bool {
        match self {
            Self::Is => left == right,
            Self::IsNot => left != right,
            Self::AtMost => left <= right,
            Self::AtLeast => left >= right,
        }
    }
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step<'a> {
    /// Its place among the steps of the script, from 1.
    pub number: u16,
    /// Which of the script's files it stands in.
    pub file: u8,
    /// The line there.
    pub line: u32,
    /// What its author calls it; may be empty.
    pub name: &'a str,
    /// Given to variables before all else.
    pub sets: List<'a, Assignment<'a>>,
    /// Written to memory before it acts.
    pub writes: List<'a, Write<'a>>,
    /// What it does.
    pub action: Action<'a>,
    /// How it ends.
    pub outcome: Outcome,
    /// What must hold after it.
    pub checks: List<'a, Check<'a>>,
    /// Given to variables after it.
    pub keeps: List<'a, Assignment<'a>>,
    /// Of the steps that it plays, none is played after one that fails.
    pub until_failure: bool,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action<'a> {
    /// Nothing beyond its writes and assignments.
    Nothing,
    /// A call.
    Call(Call<'a>),
    /// Reads memory.
    Read(Width, Expression<'a>),
    /// Runs what stands at an address, as a subroutine.
    Execute(Expression<'a>),
    /// Lets time pass.
    Wait(Unit, Expression<'a>),
    /// Starts a CPU, which plays a list.
    Start {
        /// Its number.
        cpu: Expression<'a>,
        /// The list's number.
        list: u8,
    },
    /// Waits until a CPU has played its list.
    Join(Expression<'a>),
    /// Plays steps again and again.
    Loop(Loop<'a>),
    /// Plays a list.
    Play(u8),
    /// Waits until as many CPUs are here.
    Barrier {
        /// Which barrier.
        barrier: u8,
        /// How many CPUs.
        cpus: u8,
    },
    /// Prints a number under a name.
    Figure(&'a str, Expression<'a>),
    /// Times a call and prints what it takes.
    Measure {
        /// The figure's name.
        name: &'a str,
        /// How often it is timed.
        samples: u16,
        /// How often it is made before that.
        warm_up: u16,
        /// The call.
        call: Call<'a>,
    },
    /// Times a loop of so many rounds of two instructions each.
    TimeLoop(Expression<'a>),
}

/// A call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call<'a> {
    /// By which instruction.
    pub conduit: Conduit,
    /// What is in the registers, x0 with the function included. x1 to x7 are 0 and the others filled with a pattern
    /// unless said otherwise.
    pub arguments: List<'a, Argument<'a>>,
    /// Whether what the call may not change must be unchanged (x4 to x28).
    pub preserves: bool,
    /// Whether a yielding call that was interrupted is gone on with, as every client of a TEE does.
    pub resumes: bool,
}

/// What is in a register.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Argument<'a> {
    /// 0 to 28.
    pub register: u8,
    /// The number.
    pub value: Expression<'a>,
}

/// Numbers written one after another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Write<'a> {
    /// The first one's address.
    pub at: Expression<'a>,
    /// How often all of them are written.
    pub times: Expression<'a>,
    /// The numbers.
    pub items: List<'a, Item<'a>>,
}

/// A number in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item<'a> {
    /// Its width.
    pub width: Width,
    /// The number, cut to fit.
    pub value: Expression<'a>,
}

/// Something that must hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Check<'a> {
    /// How the scenario calls the left side.
    pub label: &'a str,
    /// The left side.
    pub left: Expression<'a>,
    /// The bits of the left side that count.
    pub mask: Option<Expression<'a>>,
    /// How they must be to each other.
    pub relation: Relation,
    /// The right side.
    pub right: Expression<'a>,
}

/// A variable's new value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assignment<'a> {
    /// Which variable.
    pub variable: u8,
    /// The value.
    pub value: Expression<'a>,
}

/// Steps that are played again and again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loop<'a> {
    /// Counts the rounds.
    pub variable: Option<u8>,
    /// The first round's number.
    pub from: Expression<'a>,
    /// How many rounds at most.
    pub count: Expression<'a>,
    /// No further round once this is not 0.
    pub until: Option<Expression<'a>>,
    /// The steps.
    pub body: List<'a, Step<'a>>,
}

/// Reads and writes the fields of a record in their order.
macro_rules! fields {
    ($type:ident { $($field:ident),* }) => {
        impl<'a> Record<'a> for $type<'a> {
            fn read(reader: &mut Reader<'a>) -> Result<Self, Damage> {
                $(let $field = reader.get()?;)*
                Ok(Self { $($field),* })
            }

            fn write(&self, out: &mut impl Extend<u8>) {
                $(self.$field.write(out);)*
            }
        }
    };
}
fields!(Call { conduit, arguments, preserves, resumes });
fields!(Argument { register, value });
fields!(Write { at, times, items });
fields!(Item { width, value });
fields!(Check { label, left, mask, relation, right });
fields!(Assignment { variable, value });
fields!(Loop { variable, from, count, until, body });
fields!(Step { number, file, line, name, sets, writes, action, outcome, checks, keeps, until_failure });

coded! {
    /// The kinds of [`Action`].
    Kind, "step" {
        /// [`Action::Nothing`]
        Nothing = 0, "";
        /// [`Action::Call`]
        Call = 1, "";
        /// [`Action::Read`]
        Read = 2, "";
        /// [`Action::Execute`]
        Execute = 3, "";
        /// [`Action::Wait`]
        Wait = 4, "";
        /// [`Action::Start`]
        Start = 5, "";
        /// [`Action::Join`]
        Join = 6, "";
        /// [`Action::Loop`]
        Loop = 7, "";
        /// [`Action::Play`]
        Play = 8, "";
        /// [`Action::Barrier`]
        Barrier = 9, "";
        /// [`Action::Figure`]
        Figure = 10, "";
        /// [`Action::Measure`]
        Measure = 11, "";
        /// [`Action::TimeLoop`]
        TimeLoop = 12, "";
    }
}

impl<'a> Record<'a> for Action<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Damage> {
        Ok(match reader.get::<Kind>()? {
            Kind::Nothing => Self::Nothing,
            Kind::Call => Self::Call(reader.get()?),
            Kind::Read => Self::Read(reader.get()?, reader.get()?),
            Kind::Execute => Self::Execute(reader.get()?),
            Kind::Wait => Self::Wait(reader.get()?, reader.get()?),
            Kind::Start => Self::Start { cpu: reader.get()?, list: reader.get()? },
            Kind::Join => Self::Join(reader.get()?),
            Kind::Loop => Self::Loop(reader.get()?),
            Kind::Play => Self::Play(reader.get()?),
            Kind::Barrier => Self::Barrier { barrier: reader.get()?, cpus: reader.get()? },
            Kind::Figure => Self::Figure(reader.get()?, reader.get()?),
            Kind::Measure => Self::Measure {
                name: reader.get()?,
                samples: reader.get()?,
                warm_up: reader.get()?,
                call: reader.get()?,
            },
            Kind::TimeLoop => Self::TimeLoop(reader.get()?),
        })
    }

    fn write(&self, out: &mut impl Extend<u8>) {
        match self {
            Self::Nothing => Kind::Nothing.write(out),
            Self::Call(call) => {
                Kind::Call.write(out);
                call.write(out);
            }
            Self::Read(width, at) => {
                Kind::Read.write(out);
                width.write(out);
                at.write(out);
            }
            Self::Execute(at) => {
                Kind::Execute.write(out);
                at.write(out);
            }
            Self::Wait(unit, time) => {
                Kind::Wait.write(out);
                unit.write(out);
                time.write(out);
            }
            Self::Start { cpu, list } => {
                Kind::Start.write(out);
                cpu.write(out);
                list.write(out);
            }
            Self::Join(cpu) => {
                Kind::Join.write(out);
                cpu.write(out);
            }
            Self::Loop(body) => {
                Kind::Loop.write(out);
                body.write(out);
            }
            Self::Play(list) => {
                Kind::Play.write(out);
                list.write(out);
            }
            Self::Barrier { barrier, cpus } => {
                Kind::Barrier.write(out);
                barrier.write(out);
                cpus.write(out);
            }
            Self::Figure(name, value) => {
                Kind::Figure.write(out);
                name.write(out);
                value.write(out);
            }
            Self::Measure { name, samples, warm_up, call } => {
                Kind::Measure.write(out);
                name.write(out);
                samples.write(out);
                warm_up.write(out);
                call.write(out);
            }
            Self::TimeLoop(rounds) => {
                Kind::TimeLoop.write(out);
                rounds.write(out);
            }
        }
    }
}
