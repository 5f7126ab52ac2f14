// SPDX-License-Identifier: MIT OR Apache-2.0
//! From TOML to a script that is played on a machine of the test's own.

use crate::scenario::Scenario;
use crate::workspace::Workspace;
use probe::player::{Fault, Machine, Player, REGISTERS};
use probe::script::Script;
use probe::script::expression::Width;
use probe::script::step::Conduit;
use probe::shared::Shared;
use std::cell::RefCell;
use std::fmt;
use std::path::Path;

const HEAD: &str = "\
name = 'hostile'
summary = 'A hostile hypervisor.'

[chain]
normal-world = 'probe'

[buffers]
msg = '4K'
list = '8K'

";

fn parse(steps: &str) -> Result<Scenario, String> {
    let text = HEAD.to_owned() + steps;
    Scenario::parse(&text, Path::new("scenarios/hostile.toml")).map_err(|error| error.to_string())
}

/// Where the arena is: `list` comes first, buffers stand in the order of their names.
const ARENA: u64 = 0x1_0000;
const MSG: u64 = ARENA + 0x2000;

/// Answers every call with x0 = x1, and keeps memory.
#[derive(Default)]
struct World {
    memory: std::collections::BTreeMap<u64, u8>,
    calls: Vec<[u64; REGISTERS]>,
    lines: RefCell<Vec<String>>,
}

impl Machine for &mut World {
    fn call(&mut self, _: Conduit, registers: &mut [u64; REGISTERS]) -> Result<u64, Fault> {
        self.calls.push(*registers);
        registers[0] = registers[1];
        Ok(1)
    }

    fn load(&mut self, width: Width, address: u64) -> Result<u64, Fault> {
        let byte = |offset| u64::from(*self.memory.get(&(address + offset)).unwrap_or(&0));
        Ok((0..width.bytes()).map(|offset| byte(offset) << (8 * offset)).sum())
    }

    fn store(&mut self, width: Width, address: u64, value: u64) -> Result<(), Fault> {
        for offset in 0..width.bytes() {
            self.memory.insert(address + offset, (value >> (8 * offset)) as u8);
        }
        Ok(())
    }

    fn execute(&mut self, address: u64) -> Result<(), Fault> {
        Err(Fault { syndrome: 0x21 << 26, address, pc: address })
    }

    fn time_loop(&mut self, rounds: u64) -> u64 {
        2 * rounds + 1
    }

    fn now(&self) -> u64 {
        0
    }

    fn frequency(&self) -> u64 {
        0
    }

    fn level(&self) -> u64 {
        2
    }

    fn image(&self) -> u64 {
        0
    }

    fn arena(&self) -> u64 {
        ARENA
    }

    fn entry(&self) -> u64 {
        0
    }

    fn resume(&self) -> u64 {
        0
    }

    fn psci(&self) -> Conduit {
        Conduit::Smc
    }

    fn print(&self, line: fmt::Arguments<'_>) {
        self.lines.borrow_mut().push(line.to_string());
    }
}

fn play(steps: &str) -> World {
    let scenario = parse(steps).unwrap_or_else(|error| panic!("{error}"));
    let script = scenario.script.unwrap();
    let mut world = World::default();
    Player::new(Script::parse(&script).unwrap(), &Shared::new(), &mut world, 0).play();
    world
}

/// Reads the numbers of this width from an address.
fn words(world: &mut World, width: Width, at: u64, count: u64) -> Vec<u64> {
    let mut machine = world;
    (0..count).map(|index| (&mut machine).load(width, at + index * width.bytes()).unwrap()).collect()
}

#[test]
fn a_failure_names_the_line_of_its_step() {
    let steps = "[[step]]\nsmc = 'OPTEE_SMC_VM_CREATED'\nexpect = { x0 = 0 }\n\n\
                 [[step]]\nname = 'again'\nsmc = 'OPTEE_SMC_VM_CREATED'\nx1 = 1\nexpect = { x0 = 7 }\n";
    let world = play(steps);
    assert_eq!(world.calls[0][0], 0xB200_000D);
    let lines = world.lines.into_inner();
    assert_eq!(lines[0], "[probe] step 2 (hostile.toml:15 again): x0 = 0x1, expected 0x7");
    assert_eq!(lines[1], "[probe] done: 2 steps, 4 expectations, 1 failed");
}

#[test]
fn a_message_stands_in_memory_and_its_call_finds_it() {
    let mut world = play(
        "[[step]]\nmessage = 'msg'\nopen = 'device'\n\
         params = [{ type = 'tmem-out', at = 'list', size = 64, ref = 3 }]\n\
         smc = 'OPTEE_SMC_CALL_WITH_ARG'\nclient = 5\nexpect = { ret = 0x5a5a5a5a, param2_b = 64 }\n",
    );
    assert_eq!(world.calls[0][..8], [0x3200_0004, 0, MSG, 0, 0, 0, 0, 5]);
    assert_eq!(words(&mut world, Width::Bits32, MSG, 8), [0, 0, 0, 0, 0, 0x5A5A_5A5A, 0x5A5A_5A5A, 3]);
    let params = words(&mut world, Width::Bits64, MSG + 32, 12);
    assert_eq!((params[0], params[1] & 0xFF, params[4], params[7]), (0x101, 0x70, 0x101, 0));
    assert_eq!(params[8..], [0xA, ARENA, 64, 3]);
    assert!(world.lines.borrow()[0].ends_with("0 failed"), "{:?}", world.lines);
}

#[test]
fn a_page_list_ends_with_the_next_one() {
    let mut world = play("[[step]]\npages = 'list'\nof = ['msg', 'TEE', 0x1234]\nnext = 'list'\n");
    assert_eq!(words(&mut world, Width::Bits64, ARENA, 4), [MSG, 0x0E10_0000, 0x1234, 0]);
    assert_eq!(words(&mut world, Width::Bits64, ARENA + 0xFF8, 1), [ARENA]);
}

#[test]
fn loops_lists_and_kept_values_work_together() {
    let world = play(
        "[[step]]\nset = { base = 10 }\nloop = 3\nas = 'vm'\nfrom = 1\nsteps = [\n\
           { smc = 'OPTEE_SMC_VM_CREATED', x1 = 'base + vm', keep = { last = 'x0' } },\n]\n\
         [[step]]\nplay = 'other'\n\
         [[steps.other]]\nhvc = 0x8400_0000\nx2 = 'last * 2'\nx17 = 'RAM_END'\n",
    );
    let x1: Vec<_> = world.calls.iter().map(|registers| registers[1]).collect();
    assert_eq!(x1, [11, 12, 13, 0]);
    assert_eq!(world.calls[3][2], 26);
    assert_eq!(world.calls[3][17], 0xC000_0000);
}

#[test]
fn each_value_has_its_turn() {
    let world = play(
        "[[step]]\neach = ['TEE', 7]\nas = 'place'\nsteps = [{ smc = 1, x1 = 'place', expect = { x0 = 7 } }]\n\
         [[step]]\nsmc = 2\nexpect = { x0 = 1 }\n",
    );
    let lines = world.lines.into_inner();
    assert_eq!(lines[0], "[probe] step 2 (hostile.toml:14; place = 0xe100000): x0 = 0xe100000, expected 0x7");
    assert!(lines[1].starts_with("[probe] step 3 (hostile.toml:15): "), "{lines:?}");
    assert_eq!(lines[2], "[probe] done: 5 steps, 6 expectations, 2 failed");
}

#[test]
fn an_rpc_is_answered_with_what_it_said() {
    let world = play(
        "[[step]]\nsmc = 1\nx1 = 0xffff0000\nx3 = 9\nclient = 2\n\
         [[step]]\nanswer-rpc = true\nx1 = 0\nx2 = 0x1000\n",
    );
    assert_eq!(world.calls[1][..8], [0x3200_0003, 0, 0x1000, 9, 0, 0, 0, 2]);
}

#[test]
fn a_fault_and_masks_are_expectations() {
    let world = play(
        "[[step]]\nexecute = 'MONITOR'\nfaults = { class = 'INSTRUCTION_ABORT', address = 'MONITOR' }\n\
         [[step]]\nsmc = 1\nx1 = 0x1234\nexpect = { x0 = { mask = 0xff, is = 0x34 }, \
         w1 = { at-most = 0x1234, is-not = 0 } }\n",
    );
    assert_eq!(world.lines.into_inner(), ["[probe] done: 2 steps, 7 expectations, 0 failed"]);
}

#[test]
fn mistakes_are_told_with_file_line_and_what_was_meant() {
    for (steps, line, part) in [
        ("[[step]]\nsmcc = 1\n", 12, "did you mean `smc`?"),
        ("[[step]]\nsmc = 'OPTEE_SMC_VM_CREATE'\n", 12, "did you mean `OPTEE_SMC_VM_CREATED`?"),
        ("[[step]]\nname = 'a'\nsmc = 1\nx2 = 'mgs'\n", 14, "did you mean `msg`?"),
        ("[[step]]\nsmc = 1\nexpect = { x0 = { si = 1 } }\n", 13, "did you mean `is`?"),
        ("[[step]]\nsmc = 1\n\n[[step]]\nexpect = { 'u32(msg' = 1 }\n", 15, "expected `)`"),
        ("[[step]]\nplay = 'othr'\n[[steps.other]]\nwait-ms = 1\n", 12, "did you mean `other`?"),
        ("[[step]]\nsmc = 1\nread = 'msg'\n", 11, "`smc` and `read` are two steps"),
        ("[[step]]\nwait-ms = 1\nclient = 1\n", 11, "`client` means nothing"),
        ("[[step]]\nmessage = 'msg'\nopen = 'divice'\n", 13, "neither device"),
        ("[[step]]\nmessage = 'msg'\ncmd = 1\nparams = [{ type = 'tmem-up' }]\n", 14, "no parameter"),
        ("[[step]]\nsmc = 1\nreturns = false\n[[step]]\nwait-ms = 1\n", 11, "the last step"),
        ("[[step]]\nset = { msg = 1 }\n", 12, "can't be a variable"),
        ("[[step]]\nplay = 'a'\n[[steps.a]]\nplay = 'a'\n", 13, "inside each other"),
        ("[[step]]\nloop = 2\n", 11, "`loop` and `each` need"),
        ("[[step]]\nloop = 2\nsteps = [\n  { wait-ms = 1 },\n  { smc = 'x' },\n]\n", 15, "unknown name"),
        ("[[step]]\nread = 'msg'\nwidth = 16\n", 13, "8, 32 or 64"),
        ("[[vm]]\nname = 'a'\nmemory = '2M'\n", 11, "no VMs"),
        ("[[step]]\nsmc = 1\n[[steps.idle]]\nsmc = 1\n", 13, "nobody plays the list `idle`"),
        ("[[step]]\nsmc = 1\n[[steps.a]]\nplay = 'b'\n[[steps.b]]\nsmc = 1\n", 13, "nobody plays the list `a`"),
        ("[[steps.only]]\nsmc = 1\n", 1, "the probe has nothing to play: there is no [[step]]"),
        ("[[step]]\nplay = 'none'\n[steps]\nnone = []\n", 1, "the list `none` has no step"),
        ("[[step]]\neach = []\nas = 'n'\nsteps = [{ smc = 1 }]\n", 11, "`each` has no value, so nothing is played"),
        ("[[step]]\nloop = 0\nsteps = [{ smc = 1 }]\n", 11, "`loop` is 0, so nothing is played"),
        ("[[step]]\nwrite = 'msg'\nvalues = [1]\ntimes = 0\n", 11, "`times` is 0, so nothing is written"),
        ("[[step]]\nwait-ms = 1\nreturns = false\n", 11, "`returns` is about a call"),
        ("[[step]]\nsmc = 1\nreturns = false\nexpect = { x0 = 0 }\n", 11, "`expect` is of no use where nothing"),
        ("[[step]]\nsmc = 1\nreturns = false\nkeep = { a = 'x0' }\n", 11, "`keep` is of no use where nothing"),
    ] {
        let said = parse(steps).expect_err(steps);
        assert!(said.starts_with(&format!("scenarios/hostile.toml:{line}: ")), "{said} for {steps}");
        assert!(said.contains(part), "{said} for {steps}");
    }
}

#[test]
fn steps_that_nobody_plays_are_a_mistake() {
    let text = "name = 'a'\nsummary = 'b'\n[[step]]\nwait-ms = 1\n[[expect]]\nfrom = 'HYP'\n";
    let said = |text: &str| Scenario::parse(text, Path::new("a.toml")).unwrap_err().to_string();
    let nobody = "nobody plays steps: no VM has the kernel `probe`, and it is not the normal world";
    assert_eq!(said(text), format!("a.toml:3: {nobody}"));
    for idle in ["[[steps.list]]\nwait-ms = 1\n", "[buffers]\nmsg = '4K'\n"] {
        let text = text.replace("[[step]]\nwait-ms = 1\n", idle);
        assert_eq!(said(&text), format!("a.toml:3: {nobody}"));
    }
    let include = text.replace("[[step]]\nwait-ms = 1\n", "include = ['steps/x.toml']\n");
    assert_eq!(said(&include), format!("a.toml:3: {nobody}"));

    let vm = "name = 'a'\nsummary = 'b'\n[[vm]]\nname = 'one'\nkernel = 'probe'\nmemory = '16M'\n";
    assert_eq!(said(vm), "a.toml:5: its probe has nothing to play: there is no [[step]], and no `play`");
    let list = "play = 'other'\n[[steps.other]]\nwait-ms = 1\n";
    assert_eq!(
        said(&format!("{vm}{list}[[step]]\nwait-ms = 1\n")),
        "a.toml:10: nobody plays [[step]]: each probe plays a list of its own"
    );
    assert_eq!(
        said(&format!("{vm}{}", list.replace("= 'other'", "= 'othr'"))),
        "a.toml:7: there is no list `othr` to play"
    );
}

#[test]
fn each_vm_plays_its_own_list() {
    let text = "name = 'a'\nsummary = 'b'\n\
                [[vm]]\nname = 'one'\nkernel = 'probe'\nmemory = '16M'\n\
                [[vm]]\nname = 'two'\nkernel = 'probe'\nmemory = '32M'\nid = 9\nplay = 'other'\n\
                [[step]]\nwait-ms = 1\n[[steps.other]]\nread = 'RAM_END - 8'\n";
    let scenario = Scenario::parse(text, Path::new("a.toml")).unwrap();
    assert!(scenario.script.is_none());
    let scripts: Vec<_> = scenario.vms.iter().map(|vm| vm.script.clone().unwrap()).collect();
    assert_ne!(scripts[0], scripts[1]);
    let from: Vec<_> = scenario.expects.iter().map(|expect| expect.from.as_str()).collect();
    assert_eq!(from, ["vm1", "vm1", "vm9", "vm9"]);
}

#[test]
fn steps_for_other_layers_are_left_out_and_named() {
    let text = "name = 'a'\nsummary = 'b'\n[chain]\nnormal-world = 'probe'\n\
                [[step]]\nwait-ms = 1\n[[step]]\nname = 'theirs'\nonly-with = { tee = 'their-s' }\nplay = 'list'\n\
                [[steps.list]]\nwait-ms = 2\n";
    let scenario = Scenario::parse(text, Path::new("a.toml")).unwrap();
    let all = scenario.with_steps(&|_| true).unwrap();
    assert_eq!((all.script.as_ref(), all.left_out.len()), (scenario.script.as_ref(), 0));
    let few = scenario.with_steps(&|only| only.tee.all().is_empty()).unwrap();
    assert_eq!(few.left_out, ["a.toml:7 theirs"]);
    let said =
        Scenario::parse(&text.replace("= 'their-s' }", "= 'our' }"), Path::new("a.toml")).unwrap_err().to_string();
    assert!(said.ends_with("`only-with` names `our`, which is no layer's"), "{said}");
    // Neither it nor what it alone plays is in the script.
    assert!(few.script.unwrap().len() < scenario.script.unwrap().len());
}

#[test]
fn the_examples_of_the_reference_are_steps() {
    let reference = include_str!("../../../../../scenarios/STEPS.md");
    let blocks: Vec<_> = reference.split("```toml\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    assert_eq!(blocks.len(), 2);
    let text = format!("name = 'a'\nsummary = 'b'\n{}\n{}", blocks[1], blocks[0]);
    let file = Workspace::locate().unwrap().scenarios().join("a.toml");
    let scenario = Scenario::parse(&text, &file).unwrap_or_else(|error| panic!("{error}"));
    assert!(scenario.script.is_some());
}
