// SPDX-License-Identifier: MIT OR Apache-2.0
//! What QEMU's machine has no case of, made up by the debugger.
//!
//! It has no memory or bus that fails, no core of several threads, and nothing behind the registers that only silicon
//! has. So the debugger stops a CPU where it has just read a register, and changes what it read. All that the firmware
//! does then is real.

use anyhow::{Context, Result, ensure};
use lab_run::console::Listeners;
use lab_run::firmware::Program;
use lab_run::gdb::Gdb;
use lab_run::machine::{Event, Machine};
use lab_run::plan::Plan;
use lab_run::prepare::{Kit, prepare};
use lab_run::progress::Progress;
use lab_run::qmp::Ending;
use lab_run::scenario::Scenario;
use lab_run::workspace::Workspace;
use object::{Object, ObjectSection, ObjectSymbol};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A probe that calls the TEE: a fast call, and a yielding one.
const SCENARIO: &str = "
name = 'NAME'
summary = 'A probe calls the TEE.'
[machine]
cpu = 'CPU'
cpus = 1
[chain]
normal-world = 'probe'
[buffers]
msg = '4K'
[[step]]
smc = 'OPTEE_SMC_VM_CREATED'
x1 = 1
expect = { x0 = 0 }
[[step]]
message = 'msg'
open = 'device'
smc = 'OPTEE_SMC_CALL_WITH_ARG'
client = 1
expect = { x0 = 0, ret = 'TEE_SUCCESS' }
";

/// ISR_EL1.A, and PSTATE.A.
const PENDING: u64 = 1 << 8;
const MASKED: u32 = 1 << 8;
/// PSTATE without flags and masks: the level and its stack pointer.
const MODE: u32 = 0xF;
const EL1T: u32 = 0b0100;
const EL1H: u32 = 0b0101;
const EL2H: u32 = 0b1001;
const EL3H: u32 = 0b1101;
/// More instructions than a line on the console takes.
const FAR: usize = 200_000;

/// A machine that is about to execute its first instruction.
struct Stage {
    machine: Machine,
    gdb: Gdb,
    at_entry: u64,
    at_exit: u64,
    context_run: u64,
    cpu_prepare: u64,
    kit: Kit,
}

/// One at a time: they share what is built.
static TURN: Mutex<()> = Mutex::new(());

impl Stage {
    fn set(name: &str) -> Result<Self> {
        Self::on(name, "cortex-a57")
    }

    fn on(name: &str, cpu: &str) -> Result<Self> {
        let workspace = Workspace::locate()?;
        let text = SCENARIO.replace("NAME", name).replace("CPU", cpu);
        let scenario = Scenario::parse(&text, Path::new("debugger.toml"))?;
        let plan = Plan::of(scenario).unwrap();
        let kit = Kit::of(&workspace, &plan, &Progress::silent())?;
        let prepared = prepare(&workspace, &plan, &kit)?;
        let (machine, gdb) = Machine::start_halted(&prepared)?;
        let [at_entry, at_exit] =
            ["errors_at_entry", "errors_at_exit"].map(|name| address(&kit.firmware().elf(Program::Runtime), name));
        let [context_run, cpu_prepare] =
            ["context_run", "cpu_prepare"].map(|name| address(&kit.firmware().elf(Program::Tee), name));
        let (at_entry, at_exit, context_run, cpu_prepare) = (at_entry?, at_exit?, context_run?, cpu_prepare?);
        Ok(Self { machine, gdb, at_entry, at_exit, context_run, cpu_prepare, kit })
    }

    /// Lets the CPU come to an instruction.
    fn run_to(&mut self, address: u64) -> Result<()> {
        self.gdb.break_at(address)?;
        self.gdb.run_to_breakpoint()?;
        ensure!(self.gdb.pc(0)? == address, "it stops at {:#x} instead of {address:#x}", self.gdb.pc(0)?);
        self.gdb.remove_break(address)
    }

    /// Executes instructions until the CPU has another level or stack pointer; returns its PSTATE.
    fn run_to_another_mode(&mut self) -> Result<u32> {
        let mode = self.gdb.pstate(0)? & MODE;
        for _ in 0..FAR {
            self.gdb.step(0)?;
            let pstate = self.gdb.pstate(0)?;
            if pstate & MODE != mode {
                return Ok(pstate);
            }
        }
        anyhow::bail!("the CPU stays in mode {mode:#x}")
    }

    /// Makes an error up in the register into which it was just read whether one is pending.
    fn make_up(&mut self, register: usize) -> Result<()> {
        let value = self.gdb.x(0, register)?;
        ensure!(value & PENDING == 0, "an error is pending on QEMU: {value:#x}");
        self.gdb.set_x(0, register, value | PENDING)
    }

    /// Lets the machine go, and hears what it says to its end.
    fn finish(mut self) -> Result<Vec<String>> {
        self.gdb.detach()?;
        let deadline = Instant::now() + Duration::from_secs(120);
        let mut listeners = Listeners::new(false);
        let mut lines = Vec::new();
        loop {
            match self.machine.next(deadline)? {
                Event::Bytes(port, bytes) => {
                    lines.extend(listeners.at(port).hear(&bytes).iter().map(ToString::to_string));
                }
                Event::Ended(Ending::PoweredOff) => return Ok(lines),
                other => anyhow::bail!("{other:?} after {lines:#?}"),
            }
        }
    }
}

/// Reads the words of a program's code, from its first on.
fn words(elf: &Path, section: &str) -> Result<Vec<u32>> {
    let bytes = std::fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let file = object::File::parse(&*bytes)?;
    let section = file.section_by_name(section).context("no such section")?;
    Ok(section.data()?.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect())
}

/// Says where a program's label stands. All of them are linked where they run.
fn address(elf: &Path, name: &str) -> Result<u64> {
    let bytes = std::fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let file = object::File::parse(&*bytes)?;
    let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name));
    Ok(symbol.with_context(|| format!("{} has no {name}", elf.display()))?.address())
}

fn all_went_well(lines: &[String]) {
    assert!(lines.iter().any(|line| line.starts_with("[probe] done: ") && line.ends_with(" 0 failed")), "{lines:#?}");
}

fn said_of_the_tee(lines: &[String]) -> usize {
    lines.iter().filter(|line| line.starts_with("[EL3]") && line.contains("an asynchronous error")).count()
}

#[test]
fn an_error_that_comes_while_the_tee_runs_is_the_tees_to_take() {
    let _turn = TURN.lock();
    let mut stage = Stage::set("errors-of-the-tee").unwrap();
    // It leaves with its vector table first, then with the answer to a call.
    stage.run_to(stage.at_exit).unwrap();
    stage.run_to(stage.at_exit).unwrap();
    stage.make_up(9).unwrap();
    let pstate = stage.run_to_another_mode().unwrap();
    assert_eq!(pstate & MODE, EL1H, "back in the TEE");
    assert_eq!(pstate & MASKED, 0, "which has errors unmasked");
    // There is none, so the TEE makes the same call again, and that it was asked to take one has changed nothing.
    stage.gdb.step(0).unwrap();
    assert_eq!(stage.gdb.pstate(0).unwrap() & MODE, EL3H);
    let lines = stage.finish().unwrap();
    all_went_well(&lines);
    assert_eq!(said_of_the_tee(&lines), 1, "{lines:#?}");
}

#[test]
fn an_error_that_the_normal_world_brought_with_it_waits_for_the_normal_world() {
    let _turn = TURN.lock();
    let mut stage = Stage::set("errors-of-the-normal-world").unwrap();
    stage.run_to(stage.at_exit).unwrap();
    stage.run_to(stage.at_entry).unwrap();
    stage.make_up(2).unwrap();
    stage.run_to(stage.at_exit).unwrap();
    stage.make_up(9).unwrap();
    let pstate = stage.run_to_another_mode().unwrap();
    assert_eq!(pstate & MODE, EL2H, "the call is answered");
    let lines = stage.finish().unwrap();
    all_went_well(&lines);
    assert_eq!(said_of_the_tee(&lines), 0, "{lines:#?}");
}

#[test]
fn an_error_of_an_earlier_call_says_nothing_of_the_next() {
    let _turn = TURN.lock();
    let mut stage = Stage::set("errors-one-by-one").unwrap();
    stage.run_to(stage.at_exit).unwrap();
    stage.run_to(stage.at_entry).unwrap();
    stage.make_up(2).unwrap();
    // The normal world has taken it: at the next entry none is pending.
    stage.run_to(stage.at_exit).unwrap();
    stage.run_to(stage.at_entry).unwrap();
    stage.run_to(stage.at_exit).unwrap();
    stage.make_up(9).unwrap();
    assert_eq!(stage.run_to_another_mode().unwrap() & MODE, EL1H);
    let lines = stage.finish().unwrap();
    all_went_well(&lines);
    assert_eq!(said_of_the_tee(&lines), 1, "{lines:#?}");
}

#[test]
fn the_tees_threads_run_with_errors_masked() {
    let _turn = TURN.lock();
    let mut stage = Stage::set("errors-masked").unwrap();
    stage.run_to(stage.context_run).unwrap();
    assert_eq!(stage.gdb.pstate(0).unwrap() & (MODE | MASKED), EL1H | MASKED, "as the CPU's own code does");
    let pstate = stage.run_to_another_mode().unwrap();
    assert_eq!(pstate & (MODE | MASKED), EL1T | MASKED);
    all_went_well(&stage.finish().unwrap());
}

/// MPIDR_EL1: RES1, and MT.
const MPIDR: u64 = 1 << 31;
const THREADS: u64 = 1 << 24;

/// Returns what becomes of a CPU with these affinities when the TEE prepares it: 0 or -1, and how far its stack is from
/// that of CPU 0.
fn prepared(name: &str, mpidr: u64) -> (u64, i64) {
    /// `mrs x1, mpidr_el1`, and the register that the stack is in.
    const READ: u32 = 0xD538_00A1;
    const SP: usize = 31;
    let mut stage = Stage::set(name).unwrap();
    let tee = stage.kit.firmware().elf(Program::Tee);
    let begin = stage.cpu_prepare;
    let text = words(&tee, ".text").unwrap();
    let at = text.iter().position(|word| *word == READ).unwrap() as u64 * 4 + shared_abi::layout::TEE.base;
    assert!((begin..begin + 64).contains(&at), "{at:#x} is not in cpu_prepare");
    let stacks = address(&tee, "__stacks_start").unwrap();
    stage.run_to(begin).unwrap();
    let back = stage.gdb.x(0, 30).unwrap();
    stage.run_to(at + 4).unwrap();
    stage.gdb.set_x(0, 1, mpidr).unwrap();
    stage.run_to(back).unwrap();
    let stride = 12 * 1024;
    let stack = stage.gdb.x(0, SP).unwrap() as i64 - stacks as i64 - stride;
    (stage.gdb.x(0, 0).unwrap(), stack / stride)
}

#[test]
fn the_tee_numbers_cpus_by_cores_whether_or_not_these_have_threads() {
    let _turn = TURN.lock();
    for (mpidr, core) in [(3, 3), (THREADS | 3 << 8, 3), (THREADS | 7 << 8, 7)] {
        assert_eq!(prepared("affinities", MPIDR | mpidr), (0, core), "{mpidr:#x}");
    }
    // A second thread, another cluster, more CPUs than there is room for.
    for mpidr in [THREADS | 1, THREADS | 3 << 8 | 1, 1 << 8, THREADS | 1 << 16, 1 << 16, 8, THREADS | 8 << 8] {
        assert_eq!(prepared("affinities", MPIDR | mpidr).0, u64::MAX, "{mpidr:#x}");
    }
}

#[test]
fn a_cpu_takes_part_in_coherency_before_its_first_access_to_memory() {
    /// `msr CPUECTLR_EL1, x0`, and its bit SMPEN.
    const WRITE: u32 = 0xD519_F220;
    const SMPEN: u64 = 1 << 6;
    let _turn = TURN.lock();
    for (cpu, has_it) in [("cortex-a57", true), ("cortex-a72", true), ("cortex-a53", true), ("max", false)] {
        let mut stage = Stage::on("coherency", cpu).unwrap();
        let text = words(&stage.kit.firmware().elf(Program::Boot), ".text").unwrap();
        let mut written = None;
        // Loads and stores have bit 27 set and bit 25 clear (Arm ARM C4.1); the first loads are of constants beside the
        // code.
        for _ in 0..200 {
            let pc = stage.gdb.pc(0).unwrap();
            let word = text[pc as usize / 4];
            if word == WRITE {
                written = Some(stage.gdb.x(0, 0).unwrap());
            }
            let literal = word >> 24 & 0x3B == 0x18;
            if word >> 25 & 0b0101 == 0b0100 && !literal {
                break;
            }
            stage.gdb.step(0).unwrap();
        }
        assert_eq!(written.map(|value| value & SMPEN), has_it.then_some(SMPEN), "{cpu}");
    }
}
