// SPDX-License-Identifier: MIT OR Apache-2.0
//! The player on a machine that is a table of memory words and answers every call with its own arguments.

use super::*;
use crate::script::expression::{Binary, Expression};
use crate::script::step::{Action, Argument, Call, Conduit, Loop, Write};
use crate::script::step::{Item, Unit};
use crate::script::wire::Record;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// What lies above this is not there.
const END: u64 = 0x10_0000;

#[derive(Default)]
struct Fake {
    memory: BTreeMap<u64, u8>,
    lines: RefCell<Vec<String>>,
    clock: Cell<u64>,
    calls: Vec<[u64; REGISTERS]>,
}

impl Fake {
    fn fault(address: u64) -> Fault {
        Fault { syndrome: 0x25 << 26, address, pc: 0 }
    }
}

impl Machine for &mut Fake {
    fn call(&mut self, _: Conduit, registers: &mut [u64; REGISTERS]) -> Result<u64, Fault> {
        self.calls.push(*registers);
        match registers[0] {
            // Is interrupted, and then goes on under another id.
            0x3200_0004 => (registers[0], registers[3]) = (0xFFFF_0004, 9),
            // Loses a register that it must preserve.
            0xBAD => registers[9] = 0,
            0xFA17 => return Err(Fault { syndrome: 0, ..Fault::default() }),
            _ => registers[0] = registers[1],
        }
        Ok(100 + self.calls.len() as u64)
    }

    fn load(&mut self, width: Width, address: u64) -> Result<u64, Fault> {
        if address >= END {
            return Err(Fake::fault(address));
        }
        let byte = |offset| u64::from(*self.memory.get(&(address + offset)).unwrap_or(&0));
        Ok((0..width.bytes()).map(|offset| byte(offset) << (8 * offset)).sum())
    }

    fn store(&mut self, width: Width, address: u64, value: u64) -> Result<(), Fault> {
        if address >= END {
            return Err(Fake::fault(address));
        }
        for offset in 0..width.bytes() {
            self.memory.insert(address + offset, (value >> (8 * offset)) as u8);
        }
        Ok(())
    }

    fn execute(&mut self, address: u64) -> Result<(), Fault> {
        Err(Fake::fault(address))
    }

    fn time_loop(&mut self, rounds: u64) -> u64 {
        2 * rounds + 1
    }

    fn now(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    fn frequency(&self) -> u64 {
        1_000_000
    }

    fn level(&self) -> u64 {
        2
    }

    fn image(&self) -> u64 {
        0
    }

    fn arena(&self) -> u64 {
        0x1000
    }

    fn entry(&self) -> u64 {
        0x40
    }

    fn resume(&self) -> u64 {
        0x80
    }

    fn psci(&self) -> Conduit {
        Conduit::Smc
    }

    fn print(&self, line: fmt::Arguments<'_>) {
        self.lines.borrow_mut().push(line.to_string());
    }
}

fn number(number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    Operation::Number(number).write(&mut bytes);
    bytes
}

fn operations(operations: &[Operation]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for operation in operations {
        operation.write(&mut bytes);
    }
    bytes
}

fn arguments(numbers: &[(u8, u64)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (register, value) in numbers {
        Argument { register: *register, value: Expression::of(&number(*value)) }.write(&mut bytes);
    }
    bytes
}

fn step<'a>(action: Action<'a>) -> Step<'a> {
    Step {
        number: 7,
        file: 0,
        line: 31,
        name: "name",
        sets: List::EMPTY,
        writes: List::EMPTY,
        action,
        outcome: Outcome::Returns,
        checks: List::EMPTY,
        keeps: List::EMPTY,
        until_failure: false,
    }
}

fn call(arguments: &[u8]) -> Action<'_> {
    Action::Call(Call { conduit: Conduit::Smc, arguments: List::of(arguments), preserves: true, resumes: true })
}

/// Plays one list; every line that was printed.
fn play(fake: &mut Fake, steps: &[Step<'_>]) -> Vec<String> {
    let [mut list, mut lists, mut files, mut variables, mut bytes] = [const { Vec::new() }; 5];
    for step in steps {
        step.write(&mut list);
    }
    Steps::of(&list).write(&mut lists);
    "a.toml".write(&mut files);
    "i".write(&mut variables);
    let script = Script {
        files: List::of(&files),
        variables: List::of(&variables),
        arena: 0x1000,
        power_off: true,
        lists: List::of(&lists),
    };
    script.write(&mut bytes);
    let parsed = Script::parse(&bytes).unwrap();
    assert_eq!(parsed, script);
    let shared = Shared::new();
    Player::new(parsed, &shared, &mut *fake, 0).play();
    fake.lines.take()
}

fn check<'a>(label: &'a str, left: &'a [u8], relation: Relation, right: &'a [u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (left, right) = (Expression::of(left), Expression::of(right));
    Check { label, left, mask: None, relation, right }.write(&mut bytes);
    bytes
}

#[test]
fn a_call_has_what_the_step_says_and_patterns_elsewhere() {
    let mut fake = Fake::default();
    let arguments = arguments(&[(0, 0xB200_000D), (1, 5)]);
    let x0 = operations(&[Operation::Result(0)]);
    let checks = check("x0", &x0, Relation::Is, &number(5)).to_vec();
    let lines = play(&mut fake, &[Step { checks: List::of(&checks), ..step(call(&arguments)) }]);
    assert_eq!(lines, ["[probe] done: 1 steps, 2 expectations, 0 failed"]);
    let sent = fake.calls[0];
    assert_eq!(sent[..8], [0xB200_000D, 5, 0, 0, 0, 0, 0, 0]);
    assert!((8..REGISTERS).all(|register| sent[register] != 0 && sent[register] != sent[register - 1]));
}

#[test]
fn what_does_not_hold_is_told_with_file_line_and_both_values() {
    let arguments = arguments(&[(0, 1)]);
    let x0 = operations(&[Operation::Result(0)]);
    for (relation, words) in [(Relation::Is, ""), (Relation::AtLeast, "at least ")] {
        let checks = check("x0", &x0, relation, &number(7));
        let lines = play(&mut Fake::default(), &[Step { checks: List::of(&checks), ..step(call(&arguments)) }]);
        assert_eq!(lines[0], format!("[probe] step 7 (a.toml:31 name): x0 = 0x0, expected {words}0x7"));
        assert_eq!(lines[1], "[probe] done: 1 steps, 2 expectations, 1 failed");
    }
}

#[test]
fn a_register_that_a_call_may_not_change_is_missed() {
    let arguments = arguments(&[(0, 0xBAD)]);
    let lines = play(&mut Fake::default(), &[step(call(&arguments))]);
    assert!(lines[0].contains("x9 = 0x0, expected its old value 0x5a5a"), "{lines:?}");
}

#[test]
fn an_interrupted_call_goes_on_unless_the_step_wants_to_see_it() {
    let arguments = arguments(&[(0, 0x3200_0004), (7, 2)]);
    let mut fake = Fake::default();
    let lines = play(&mut fake, &[step(call(&arguments))]);
    assert_eq!(lines, ["[probe] done: 1 steps, 1 expectations, 0 failed"]);
    assert_eq!((fake.calls[1][0], fake.calls[1][3], fake.calls[1][7]), (0x3200_0003, 9, 2));
    let once = Call { conduit: Conduit::Smc, arguments: List::of(&arguments), preserves: true, resumes: false };
    let mut fake = Fake::default();
    play(&mut fake, &[step(Action::Call(once))]);
    assert_eq!(fake.calls.len(), 1);
}

#[test]
fn faults_are_expected_or_failures() {
    let far = number(END);
    let read = Action::Read(Width::Bits64, Expression::of(&far));
    let lines = play(&mut Fake::default(), &[step(read)]);
    assert!(lines[0].contains("exception, expected none: ESR 0x94000000 (class 0x25) FAR 0x100000"), "{lines:?}");
    let esr = operations(&[Operation::Known(Known::FaultAddress)]);
    let checks = check("FAR", &esr, Relation::Is, &far);
    let faulting = Step { outcome: Outcome::Faults, checks: List::of(&checks), ..step(read) };
    let lines = play(&mut Fake::default(), &[faulting]);
    assert_eq!(lines, ["[probe] done: 1 steps, 2 expectations, 0 failed"]);
    let near = number(0x2000);
    let here = Action::Read(Width::Bits64, Expression::of(&near));
    let lines = play(&mut Fake::default(), &[Step { outcome: Outcome::Faults, ..step(here) }]);
    assert!(lines[0].contains("no exception, expected one"), "{lines:?}");
}

#[test]
fn a_call_can_fault_too() {
    let arguments = arguments(&[(0, 0xFA17)]);
    let lines = play(&mut Fake::default(), &[Step { outcome: Outcome::Faults, ..step(call(&arguments)) }]);
    assert_eq!(lines, ["[probe] done: 1 steps, 1 expectations, 0 failed"]);
}

#[test]
fn what_never_returns_is_announced_and_its_return_a_failure() {
    let arguments = arguments(&[(0, 2)]);
    let lines = play(&mut Fake::default(), &[Step { outcome: Outcome::Never, ..step(call(&arguments)) }]);
    assert_eq!(
        lines[0],
        "[probe] done but for step 7 (a.toml:31 name), which must not return: 1 steps, 1 expectations, 0 failed"
    );
    assert!(lines[1].contains("it came back with x0 = 0x0"), "{lines:?}");
    assert!(lines[2].ends_with("1 failed"), "{lines:?}");
}

#[test]
fn a_loop_counts_in_its_variable_and_ends_early() {
    let mut items = Vec::new();
    let i = operations(&[Operation::Variable(0)]);
    Item { width: Width::Bits8, value: Expression::of(&i) }.write(&mut items);
    let at = operations(&[Operation::Buffer(0x10), Operation::Variable(0), Operation::Binary(Binary::Add)]);
    let (one, from, count) = (number(1), number(3), number(1000));
    let mut writes = Vec::new();
    Write { at: Expression::of(&at), times: Expression::of(&one), items: List::of(&items) }.write(&mut writes);
    let mut body = Vec::new();
    Step { writes: List::of(&writes), ..step(Action::Nothing) }.write(&mut body);
    let until = operations(&[Operation::Variable(0), Operation::Number(5), Operation::Binary(Binary::Equal)]);
    let repeat = Loop {
        variable: Some(0),
        from: Expression::of(&from),
        count: Expression::of(&count),
        until: Some(Expression::of(&until)),
        body: List::of(&body),
    };
    let mut fake = Fake::default();
    let lines = play(&mut fake, &[step(Action::Loop(repeat))]);
    assert_eq!(lines, ["[probe] done: 4 steps, 0 expectations, 0 failed"]);
    assert_eq!(fake.memory.into_iter().collect::<Vec<_>>(), [(0x1013, 3), (0x1014, 4), (0x1015, 5)]);
}

#[test]
fn many_failures_are_counted_but_not_all_told() {
    let (zero, count) = (number(0), number(100));
    let checks = check("1", &count, Relation::Is, &zero);
    let mut body = Vec::new();
    Step { checks: List::of(&checks), ..step(Action::Nothing) }.write(&mut body);
    let repeat = Loop {
        variable: None,
        from: Expression::of(&zero),
        count: Expression::of(&count),
        until: None,
        body: List::of(&body),
    };
    let lines = play(&mut Fake::default(), &[step(Action::Loop(repeat))]);
    assert_eq!(lines.len() as u32, LINES + 2);
    assert_eq!(lines.last().unwrap(), "[probe] done: 101 steps, 100 expectations, 100 failed");
}

#[test]
fn a_failure_ends_the_loop_that_goes_on_without_one_and_nothing_around_it() {
    let (zero, count, two) = (number(0), number(100), number(2));
    let third = operations(&[Operation::Variable(0)]);
    let checks = check("i", &third, Relation::IsNot, &two);
    let mut body = Vec::new();
    Step { checks: List::of(&checks), ..step(Action::Nothing) }.write(&mut body);
    step(Action::Nothing).write(&mut body);
    let from = Expression::of(&zero);
    let repeat = Loop { variable: Some(0), from, count: Expression::of(&count), until: None, body: List::of(&body) };
    let inner = Step { until_failure: true, ..step(Action::Loop(repeat)) };
    let mut outer = Vec::new();
    inner.write(&mut outer);
    step(Action::Nothing).write(&mut outer);
    let once = number(1);
    let around = Loop { variable: None, from, count: Expression::of(&once), until: None, body: List::of(&outer) };
    let around = Step { until_failure: true, ..step(Action::Loop(around)) };
    let lines = play(&mut Fake::default(), &[around, step(Action::Nothing)]);
    // Around it and in it 2, in it 5 of its body, after it 1 inside and 1 outside.
    assert_eq!(lines[0], "[probe] step 7 (a.toml:31 name; i = 2): i = 0x2, expected anything but 0x2");
    assert_eq!(lines[1], "[probe] done: 9 steps, 3 expectations, 1 failed");
}

#[test]
fn a_list_that_plays_itself_ends() {
    let lines = play(&mut Fake::default(), &[step(Action::Play(0))]);
    assert!(lines[0].contains("more than 6 loops and lists inside each other"), "{lines:?}");
    assert!(lines.last().unwrap().ends_with("1 failed"));
}

#[test]
fn a_measurement_says_least_middle_and_most() {
    let arguments = arguments(&[(0, 1)]);
    let call = Call { conduit: Conduit::Hvc, arguments: List::of(&arguments), preserves: true, resumes: true };
    let measure = Action::Measure { name: "call", samples: 5, warm_up: 2, call };
    let lines = play(&mut Fake::default(), &[step(measure)]);
    assert_eq!(lines[0], "[probe] figure call min=103 median=105 max=107 samples=5");
}

#[test]
fn a_call_that_is_answered_otherwise_gives_no_figure() {
    let (arguments, answer, other) = (arguments(&[(0, 1)]), operations(&[Operation::Result(0)]), number(1));
    let call = Call { conduit: Conduit::Hvc, arguments: List::of(&arguments), preserves: true, resumes: true };
    let measure = Action::Measure { name: "call", samples: 5, warm_up: 2, call };
    let checks = check("x0", &answer, Relation::Is, &other);
    let lines = play(&mut Fake::default(), &[Step { checks: List::of(&checks), ..step(measure) }]);
    assert_eq!(lines[0], "[probe] step 7 (a.toml:31 name): x0 = 0x0, expected 0x1");
    assert!(lines[1].starts_with("[probe] done"), "{lines:?}");
}

#[test]
fn time_passes_while_waiting() {
    let ms = number(2);
    let mut fake = Fake::default();
    play(&mut fake, &[step(Action::Wait(Unit::Milliseconds, Expression::of(&ms)))]);
    assert!(fake.clock.get() >= 2000);
}

#[test]
fn a_script_that_was_cut_anywhere_is_refused() {
    let arguments = arguments(&[(0, 1)]);
    let [mut list, mut lists, mut files, mut bytes] = [const { Vec::new() }; 4];
    step(call(&arguments)).write(&mut list);
    Steps::of(&list).write(&mut lists);
    "a.toml".write(&mut files);
    let (files, variables, lists) = (List::of(&files), List::EMPTY, List::of(&lists));
    Script { files, variables, arena: 0, power_off: true, lists }.write(&mut bytes);
    for end in 0..bytes.len() {
        assert!(Script::parse(&bytes[..end]).is_err(), "{end}");
        // Nor does a header help that says that this is all.
        let mut short = bytes[..end].to_vec();
        if let Some(size) = short.get_mut(12..16) {
            size.copy_from_slice(&(end as u32).to_le_bytes());
            assert!(Script::parse(&short).is_err(), "{end}");
        }
    }
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 0x81;
        let _ = Script::parse(&changed);
    }
}
