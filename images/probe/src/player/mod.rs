// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plays a script on one CPU.

mod act;
mod machine;
mod measure;
#[cfg(test)]
mod tests;

pub use machine::{Fault, Machine, REGISTERS};

use crate::script::expression::{Environment, Known, Operation, Width};
use crate::script::step::{Assignment, Check, Outcome, Relation, Step};
use crate::script::wire::List;
use crate::script::{NESTING, Script, Steps};
use crate::shared::{Shared, State, Tally};
use core::fmt;

/// So many lines about failures a CPU prints; the rest are only counted.
const LINES: u32 = 40;

/// One CPU's player.
pub struct Player<'a, 's, M> {
    script: Script<'a>,
    shared: &'s Shared,
    machine: M,
    cpu: usize,
    /// Registers after the last call.
    results: [u64; REGISTERS],
    ticks: u64,
    value: u64,
    fault: Fault,
    /// The loops that are being played, outermost first: their variables, if they have one.
    loops: [Option<u8>; NESTING],
    depth: usize,
    failures: u32,
    /// With more failures than this, nothing is played of the innermost steps that go on only without one.
    tolerated: Option<u32>,
}

impl<'a, 's, M: Machine> Player<'a, 's, M> {
    /// Makes a player that has played nothing yet.
    pub fn new(script: Script<'a>, shared: &'s Shared, machine: M, cpu: usize) -> Self {
        Self {
            script,
            shared,
            machine,
            cpu,
            results: [0; REGISTERS],
            ticks: 0,
            value: 0,
            fault: Fault::default(),
            loops: [None; NESTING],
            depth: 0,
            failures: 0,
            tolerated: None,
        }
    }

    /// Plays the boot CPU's list, waits for the other CPUs, and prints the last line. Whether every expectation held.
    pub fn play(&mut self) -> bool {
        self.shared.enter(self.cpu, State::Playing);
        self.list(0);
        self.wait_until(|shared, cpu| shared.is_alone(cpu));
        let Tally { steps, expectations, failed } = self.shared.tally();
        self.machine.print(format_args!("[probe] done: {steps} steps, {expectations} expectations, {failed} failed"));
        failed == 0
    }

    /// Plays the list that this CPU was started for.
    pub fn play_secondary(&mut self) {
        self.list(self.shared.list(self.cpu));
        self.shared.enter(self.cpu, State::Done);
    }

    /// Returns the machine, for what comes after the last step.
    pub fn machine(&mut self) -> &mut M {
        &mut self.machine
    }

    fn list(&mut self, index: usize) {
        if let Some(steps) = self.script.lists.iter().nth(index) {
            self.steps(steps);
        }
    }

    fn steps(&mut self, steps: Steps<'a>) {
        for step in steps.iter() {
            if self.has_given_up() {
                break;
            }
            self.step(&step);
        }
    }

    /// Says whether what is being played ends here because of a failure.
    fn has_given_up(&self) -> bool {
        self.tolerated.is_some_and(|tolerated| self.failures > tolerated)
    }

    /// Plays one step and holds what came of it against what was expected.
    fn step(&mut self, step: &Step<'a>) {
        self.shared.count(self.cpu, Tally { steps: 1, ..Tally::default() });
        if step.outcome == Outcome::Never {
            self.announce(step);
        }
        let around = self.tolerated;
        if step.until_failure {
            self.tolerated = Some(self.failures);
        }
        let played = self.act(step);
        if step.until_failure {
            // Its failures end it and nothing around it.
            self.tolerated = around.map(|_| self.failures);
        }
        match (played, step.outcome) {
            (Ok(()), Outcome::Returns) => {}
            (Ok(()), Outcome::Faults) => self.fail(step, format_args!("no exception, expected one")),
            (Ok(()), Outcome::Never) => {
                let x0 = self.results[0];
                self.fail(step, format_args!("it came back with x0 = {x0:#x}, expected that it doesn't"));
            }
            (Err(fault), Outcome::Faults) => self.fault = fault,
            (Err(fault), Outcome::Returns | Outcome::Never) => {
                self.fault = fault;
                self.fail(step, format_args!("exception, expected none: {fault}"));
                return;
            }
        }
        if step.outcome == Outcome::Faults {
            self.shared.count(self.cpu, Tally { expectations: 1, ..Tally::default() });
        }
        for check in step.checks.iter() {
            self.check(step, &check);
        }
        if let Err(fault) = self.assign(step.keeps) {
            self.fail(step, format_args!("exception while keeping a value: {fault}"));
        }
    }

    /// Says that what comes now has no end. On the boot CPU that is the last line.
    fn announce(&mut self, step: &Step<'a>) {
        self.shared.count(self.cpu, Tally { expectations: 1, ..Tally::default() });
        if self.cpu == 0 {
            self.wait_until(|shared, cpu| shared.is_alone(cpu));
            let Tally { steps, expectations, failed } = self.shared.tally();
            let place = Place { player: self, step };
            self.machine.print(format_args!(
                "[probe] done but for {place}, which must not return: \
                 {steps} steps, {expectations} expectations, {failed} failed"
            ));
        } else {
            self.shared.enter(self.cpu, State::Gone);
        }
    }

    fn check(&mut self, step: &Step<'a>, check: &Check<'a>) {
        self.shared.count(self.cpu, Tally { expectations: 1, ..Tally::default() });
        let (left, right) = match self.sides(check) {
            Ok(sides) => sides,
            Err(fault) => return self.fail(step, format_args!("{}: exception: {fault}", check.label)),
        };
        if !check.relation.holds(left, right) {
            let words = match check.relation {
                Relation::Is => "",
                Relation::IsNot => "anything but ",
                Relation::AtMost => "at most ",
                Relation::AtLeast => "at least ",
            };
            self.fail(step, format_args!("{} = {left:#x}, expected {words}{right:#x}", check.label));
        }
    }

    /// Says what an expectation compares.
    fn sides(&mut self, check: &Check<'a>) -> Result<(u64, u64), Fault> {
        let mask = check.mask.map_or(Ok(u64::MAX), |mask| mask.value(self))?;
        Ok((check.left.value(self)? & mask, check.right.value(self)?))
    }

    /// Says whether all that is expected of a step holds now.
    fn holds(&mut self, step: &Step<'a>) -> bool {
        step.checks.iter().all(|check| self.sides(&check).is_ok_and(|(left, right)| check.relation.holds(left, right)))
    }

    fn assign(&mut self, list: List<'a, Assignment<'a>>) -> Result<(), Fault> {
        for assignment in list.iter() {
            let value = assignment.value.value(self)?;
            self.shared.set(assignment.variable, value);
        }
        Ok(())
    }

    fn fail(&mut self, step: &Step<'a>, what: fmt::Arguments<'_>) {
        self.shared.count(self.cpu, Tally { failed: 1, ..Tally::default() });
        self.failures = self.failures.saturating_add(1);
        if self.failures <= LINES {
            self.machine.print(format_args!("[probe] {}: {what}", Place { player: self, step }));
        }
        if self.failures == LINES {
            let cpu = self.cpu;
            self.machine.print(format_args!("[probe] CPU {cpu}: further failures are only counted"));
        }
    }

    fn wait_until(&self, reached: impl Fn(&Shared, usize) -> bool) {
        while !reached(self.shared, self.cpu) {
            self.machine.relax();
        }
    }
}

impl<M: Machine> Environment for Player<'_, '_, M> {
    type Fault = Fault;

    fn number(&self, operation: Operation) -> u64 {
        match operation {
            Operation::Number(number) => number,
            Operation::Variable(index) => self.shared.variable(index),
            Operation::Buffer(offset) => self.machine.arena().wrapping_add(offset.into()),
            Operation::Result(register) => self.results.get(usize::from(register)).copied().unwrap_or(0),
            Operation::Known(known) => match known {
                Known::Value => self.value,
                Known::Ticks => self.ticks,
                Known::Now => self.machine.now(),
                Known::Frequency => self.machine.frequency(),
                Known::Cpu => self.cpu as u64,
                Known::Level => self.machine.level(),
                Known::Syndrome => self.fault.syndrome,
                Known::FaultAddress => self.fault.address,
                Known::FaultPc => self.fault.pc,
                Known::Image => self.machine.image(),
                Known::Resume => self.machine.resume(),
            },
            // These take numbers, and are no matter of the environment.
            Operation::Load(_) | Operation::Unary(_) | Operation::Binary(_) => 0,
        }
    }

    fn load(&mut self, width: Width, address: u64) -> Result<u64, Fault> {
        self.machine.load(width, address)
    }
}

/// Where a step stands, as lines name it: `step 7 (hostile.toml:31 vm_created twice; i = 3)`.
struct Place<'p, 'a, 's, M> {
    player: &'p Player<'a, 's, M>,
    step: &'p Step<'a>,
}

impl<M> fmt::Display for Place<'_, '_, '_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { player, step } = self;
        let file = player.script.files.iter().nth(step.file.into()).unwrap_or("?");
        write!(f, "step {} ({file}:{}", step.number, step.line)?;
        if !step.name.is_empty() {
            write!(f, " {}", step.name)?;
        }
        for variable in player.loops.iter().take(player.depth).flatten() {
            let name = player.script.variables.iter().nth((*variable).into()).unwrap_or("?");
            match player.shared.variable(*variable) {
                small @ 0..0x1_0000 => write!(f, "; {name} = {small}")?,
                large => write!(f, "; {name} = {large:#x}")?,
            }
        }
        if player.cpu != 0 {
            write!(f, "; CPU {}", player.cpu)?;
        }
        f.write_str(")")
    }
}
