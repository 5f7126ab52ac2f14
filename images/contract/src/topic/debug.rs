// SPDX-License-Identifier: MIT OR Apache-2.0
//! Self-hosted debugging: single step, breakpoints, watchpoints, the registers (Arm ARM D2).

use crate::arch::cpu::{Caught, Cpu};
use crate::arch::exceptions::{Frame, skip};
use crate::arch::mmio::{read32, write32};
use crate::arch::others::start;
use crate::arch::snippet::{Ran, Snippet, snippet};
use crate::arch::sysreg::{read, write};
use crate::check::{Answer, Topic, check, check_with};
use crate::devices::{GICD, RTC, UART};
use crate::gic;
use crate::shared::Words;
use shared_abi::psci::PSCI_VERSION;

pub(super) const TOPIC: Topic = Topic {
    name: "debug",
    checks: &[
        check("registers", registers),
        check("registers-hold", registers_hold),
        check("registers-beyond", registers_beyond),
        check("os-lock", os_lock),
        check("communication", communication),
        check("brk-and-hlt", brk_and_hlt),
        check("step", step_plain),
        check("step-branches", step_branches),
        check("step-device-load", step_device_load),
        check("step-device-store", step_device_store),
        check("step-interrupt-controller", step_gic),
        check("step-device-pair", step_device_pair),
        check("step-id-registers", step_id_registers),
        check("step-timer-registers", step_timers),
        check("step-hvc", step_hvc),
        check("step-smc", step_smc),
        check("step-wfi", step_wfi),
        check("step-sgi", step_sgi),
        check("step-svc", step_svc),
        check("step-undefined", step_undefined),
        check("step-abort", step_abort),
        check("step-exclusives", step_exclusives),
        check("step-cache-maintenance", step_caches),
        check("step-el0", step_el0),
        check("step-el0-device", step_el0_device),
        check("step-off", step_off),
        check("step-masked", step_masked),
        check("breakpoint", breakpoint),
        check("breakpoint-on-emulated", breakpoint_emulated),
        check("breakpoint-behind-emulated", breakpoint_behind),
        check("breakpoint-levels", breakpoint_levels),
        check("breakpoint-off", breakpoint_off),
        check("breakpoint-el0", breakpoint_el0),
        check("breakpoints-many", breakpoints_many),
        check("watchpoint-load", watchpoint_load),
        check("watchpoint-store", watchpoint_store),
        check("watchpoint-bytes", watchpoint_bytes),
        check("watchpoint-range", watchpoint_range),
        check("watchpoint-device", watchpoint_device),
        check_with("registers-are-a-cpus", 2, of_each_cpu),
        check_with("registers-over-cpu-off", 2, over_off),
        check("kept-over-exits", kept_over_exits),
    ],
};

/// MDSCR_EL1: SS, KDE, MDE.
const STEP: u64 = 1;
const KERNEL: u64 = 1 << 13;
const MONITOR: u64 = 1 << 15;
/// SPSR_EL1: SS, and D, the mask of debug exceptions.
const SPSR_SS: u64 = 1 << 21;
const SPSR_D: u64 = 1 << 9;
/// Classes of ESR_EL1.
const BRK: u64 = 0x3C;
const STEPPED: [u64; 2] = [0x32, 0x33];
const BREAKPOINTS: [u64; 2] = [0x30, 0x31];
const WATCHPOINTS: [u64; 2] = [0x34, 0x35];

const MATCH: u64 = RTC.base + 4;
static WORDS: Words = Words::new();
static VARIABLE: Words = Words::new();

/// Between `brk #1` and `brk #2` a snippet is stepped.
fn step(frame: &mut Frame) {
    let class = frame.esr >> 26;
    if class == BRK {
        frame.elr += 4;
        if frame.esr & 0xFFFF == 1 {
            write!("mdscr_el1", KERNEL | STEP);
            frame.spsr = frame.spsr & !SPSR_D | SPSR_SS;
        } else {
            write!("mdscr_el1", 0);
            frame.spsr = frame.spsr & !SPSR_SS | SPSR_D;
        }
    } else if STEPPED.contains(&class) {
        frame.spsr |= SPSR_SS;
    } else {
        skip(frame);
    }
}

/// Where each exception was taken, in instructions from the snippet's beginning, and what it was if no step. ISV is
/// left out of account: it is 0 where the step was somebody else's, as a hypervisor's.
fn steps(answer: &mut Answer, begin: u64, caught: &Caught) {
    for exception in caught.list() {
        let at = exception.elr.wrapping_sub(begin) / 4;
        if STEPPED.contains(&exception.class()) {
            answer.say(format_args!("{at}:{:x}", exception.esr & 0xFF_FFFF));
        } else if exception.class() != BRK {
            let stepping = exception.spsr & SPSR_SS != 0;
            answer.say(format_args!("{at}!{:#x},ss={}", exception.esr, u32::from(stepping)));
        }
    }
    write!("mdscr_el1", 0);
}

fn stepped(answer: &mut Answer, snippet: Snippet, registers: &[u64]) -> Ran {
    let ran = snippet.run_with(step, registers);
    steps(answer, snippet.address(), &ran.caught);
    ran
}

fn registers(answer: &mut Answer) {
    answer.hex("mdscr", read!("mdscr_el1"));
    answer.hex("oslsr", read!("oslsr_el1"));
    answer.hex("osdlr", read!("osdlr_el1"));
    for value in [MONITOR | KERNEL | STEP, 0] {
        write!("mdscr_el1", value);
        answer.hex("mdscr", read!("mdscr_el1"));
    }
}

fn registers_hold(answer: &mut Answer) {
    for value in [0x1234_5678_9ABC, 0] {
        write!("dbgbvr0_el1", value);
        write!("dbgwvr0_el1", value);
        answer.say(format_args!("bvr={:#x},wvr={:#x}", read!("dbgbvr0_el1"), read!("dbgwvr0_el1")));
    }
    for value in [0x1E4, 0x1FF8, 0] {
        write!("dbgbcr0_el1", value);
        write!("dbgwcr0_el1", value);
        answer.say(format_args!("bcr={:#x},wcr={:#x}", read!("dbgbcr0_el1"), read!("dbgwcr0_el1")));
    }
    write!("dbgbvr0_el1", 0x4000);
    answer.hex("bvr-alone", read!("dbgbvr0_el1"));
    write!("dbgbvr0_el1", 0);
}

/// Registers of which there are fewer than sixteen.
fn registers_beyond(answer: &mut Answer) {
    let features = read!("id_aa64dfr0_el1");
    answer.say(format_args!("breakpoints={},watchpoints={}", (features >> 12 & 0xF) + 1, (features >> 20 & 0xF) + 1));
    let ran = snippet!(
        "mrs x0, dbgbvr5_el1",
        "mrs x0, dbgbvr6_el1",
        "mrs x0, dbgbvr15_el1",
        "mrs x0, dbgbcr15_el1",
        "mrs x0, dbgwvr3_el1",
        "mrs x0, dbgwvr4_el1",
        "mrs x0, dbgwcr15_el1",
        "msr dbgbvr15_el1, x0",
        "msr dbgwcr15_el1, x0",
    )
    .run(&[]);
    answer.exceptions("caught", &ran.caught);
}

fn os_lock(answer: &mut Answer) {
    write!("oslar_el1", 1);
    answer.hex("locked", read!("oslsr_el1"));
    write!("oslar_el1", 0);
    answer.hex("open", read!("oslsr_el1"));
    write!("osdlr_el1", 0);
    answer.hex("osdlr", read!("osdlr_el1"));
}

fn communication(answer: &mut Answer) {
    let ran =
        snippet!("mrs x1, mdccsr_el0", "mrs x2, mdrar_el1", "mrs x3, mdccint_el1", "msr mdccint_el1, xzr").run(&[]);
    answer.say(format_args!("{:x?}", &ran.x[1..4]));
    answer.exceptions("caught", &ran.caught);
}

fn brk_and_hlt(answer: &mut Answer) {
    let ran = snippet!("brk #0x1234", "hlt #1", "dcps1 #1", "drps").run(&[]);
    answer.exceptions("caught", &ran.caught);
}

fn step_plain(answer: &mut Answer) {
    let ran = stepped(answer, snippet!("brk #1", "mov x1, #1", "add x1, x1, #2", "nop", "nop", "brk #2"), &[]);
    answer.put("x1", ran.x[1]);
}

fn step_branches(answer: &mut Answer) {
    let snippet = snippet!(
        "brk #1",
        "mov x9, x30",
        "b 1f",
        "nop",
        "1: cbz xzr, 2f",
        "nop",
        "2: bl 3f",
        "b 4f",
        "nop",
        "3: ret",
        "4: mov x30, x9",
        "brk #2"
    );
    stepped(answer, snippet, &[]);
}

fn step_device_load(answer: &mut Answer) {
    write32(MATCH, 0x7654_3210);
    let snippet = snippet!("brk #1", "ldr w1, [x0]", "mov x2, #2", "ldrh w3, [x0]", "ldrsb x4, [x0]", "nop", "brk #2");
    let ran = stepped(answer, snippet, &[MATCH]);
    answer.say(format_args!("{:x?}", &ran.x[1..5]));
}

fn step_device_store(answer: &mut Answer) {
    let snippet = snippet!("brk #1", "str w1, [x0]", "mov x2, #2", "str w2, [x3]", "nop", "brk #2");
    let ran = stepped(answer, snippet, &[MATCH, 0x55, 0, UART.base + 0x24]);
    answer.say(format_args!("{:x}/{:x}/{:x}", ran.x[2], read32(MATCH), read32(UART.base + 0x24)));
}

fn step_gic(answer: &mut Answer) {
    let snippet = snippet!("brk #1", "ldr w1, [x0, #8]", "str w2, [x0, #0x200]", "ldr w3, [x0]", "nop", "brk #2");
    let ran = stepped(answer, snippet, &[GICD.base]);
    answer.say(format_args!("{:x}/{:x}", ran.x[1], ran.x[3]));
}

fn step_device_pair(answer: &mut Answer) {
    gic::route(50, 1);
    gic::route(51, 2);
    let snippet = snippet!("brk #1", "ldp x1, x2, [x0], #16", "mov x3, #3", "ldr x4, [x0, #-16]!", "nop", "brk #2");
    let ran = stepped(answer, snippet, &[gic::distributor(gic::ROUTER + 8 * 50)]);
    answer.say(format_args!("{:x?}", &ran.x[0..5]));
}

fn step_id_registers(answer: &mut Answer) {
    let snippet = snippet!(
        "brk #1",
        "mrs x1, id_aa64pfr0_el1",
        "mov x2, #2",
        "mrs x1, midr_el1",
        "mrs x1, ctr_el0",
        "mrs x1, revidr_el1",
        "mov x2, #3",
        "mrs x1, actlr_el1",
        "mrs x1, id_aa64mmfr0_el1",
        "mrs x1, id_aa64isar0_el1",
        "mov x2, #4",
        "brk #2"
    );
    let ran = stepped(answer, snippet, &[]);
    answer.put("x2", ran.x[2]);
}

fn step_timers(answer: &mut Answer) {
    let snippet = snippet!(
        "brk #1",
        "mrs x1, cntvct_el0",
        "mrs x1, cntpct_el0",
        "mrs x1, cntp_ctl_el0",
        "mov x2, #2",
        "msr cntp_cval_el0, xzr",
        "mov x2, #3",
        "mrs x1, cntv_ctl_el0",
        "brk #2"
    );
    let ran = stepped(answer, snippet, &[]);
    answer.put("x2", ran.x[2]);
}

fn step_hvc(answer: &mut Answer) {
    let snippet = snippet!("brk #1", "hvc #0", "mov x2, #2", "nop", "brk #2");
    let ran = stepped(answer, snippet, &[PSCI_VERSION.0.into()]);
    answer.say(format_args!("x0={:#x},x2={}", ran.x[0], ran.x[2]));
}

fn step_smc(answer: &mut Answer) {
    let snippet = snippet!("brk #1", "smc #0", "mov x2, #2", "nop", "brk #2");
    let ran = stepped(answer, snippet, &[PSCI_VERSION.0.into()]);
    answer.put("x2", ran.x[2]);
}

fn step_wfi(answer: &mut Answer) {
    gic::open(3, 0x80, 0);
    gic::send(3, 1);
    let ran = stepped(answer, snippet!("brk #1", "wfi", "mov x2, #2", "wfe", "nop", "brk #2"), &[]);
    answer.put("x2", ran.x[2]);
    answer.put("iar", gic::ack());
    gic::end(3);
}

fn step_sgi(answer: &mut Answer) {
    gic::open(3, 0x80, 0);
    let snippet = snippet!("brk #1", "msr icc_sgi1r_el1, x1", "mov x2, #2", "mrs x3, icc_iar1_el1", "nop", "brk #2");
    let ran = stepped(answer, snippet, &[0, 3 << 24 | 1]);
    answer.say(format_args!("x2={},iar={}", ran.x[2], ran.x[3]));
    gic::end(3);
}

/// The exception's return goes behind SVC, which is the step.
fn step_svc(answer: &mut Answer) {
    // `skip` leaves out the instruction behind SVC.
    stepped(answer, snippet!("brk #1", "nop", "svc #7", "nop", "nop", "nop", "brk #2"), &[]);
}

fn step_undefined(answer: &mut Answer) {
    let snippet = snippet!("brk #1", "nop", "udf #0", "nop", "mrs x1, vttbr_el2", "nop", "nop", "brk #2");
    stepped(answer, snippet, &[]);
}

fn step_abort(answer: &mut Answer) {
    let snippet = snippet!("brk #1", "nop", "ldr w1, [x0]", "nop", "str w1, [x0]", "nop", "nop", "brk #2");
    stepped(answer, snippet, &[RTC.base + 0x1000]);
}

fn step_exclusives(answer: &mut Answer) {
    let snippet = snippet!(
        "brk #1",
        "ldxr w1, [x0]",
        "nop",
        "stxr w2, w1, [x0]",
        "ldaxr x1, [x0]",
        "clrex",
        "stlxr w3, x1, [x0]",
        "nop",
        "brk #2"
    );
    let ran = stepped(answer, snippet, &[core::ptr::from_ref(&VARIABLE).expose_provenance() as u64]);
    answer.put("failed", ran.x[3]);
}

fn step_caches(answer: &mut Answer) {
    let snippet = snippet!(
        "brk #1",
        "dc cvac, x0",
        "dc civac, x0",
        "dc isw, x1",
        "mov x2, #2",
        "dc cisw, x1",
        "ic iallu",
        "tlbi vmalle1",
        "at s1e1r, x0",
        "mov x2, #3",
        "brk #2"
    );
    let ran = stepped(answer, snippet, &[core::ptr::from_ref(&VARIABLE).expose_provenance() as u64]);
    answer.put("x2", ran.x[2]);
}

fn step_el0(answer: &mut Answer) {
    let snippet = snippet!("brk #1", "mov x1, #1", "nop", "svc #9", "nop", "mov x2, #2", "brk #2", "svc #0xe0");
    let ran = snippet.run_at_el0_with(step, &[]);
    steps(answer, snippet.address() & 0xFFF | crate::arch::snippet::EL0_CODE, &ran.caught);
    answer.say(format_args!("{}/{}", ran.x[1], ran.x[2]));
}

fn step_el0_device(answer: &mut Answer) {
    use crate::arch::tables::{attribute, map, unmap};
    let device = map(3, RTC.base, attribute::DEVICE | attribute::EL0 | attribute::ACCESSED | attribute::NEVER_BY_EL0);
    write32(MATCH, 0x77);
    let snippet = snippet!(
        "brk #1",
        "ldr w1, [x0, #4]",
        "mov x2, #2",
        "str w2, [x0, #4]",
        "ldr w3, [x0, #4]!",
        "nop",
        "brk #2",
        "svc #0xe0"
    );
    let ran = snippet.run_at_el0_with(step, &[device]);
    steps(answer, snippet.address() & 0xFFF | crate::arch::snippet::EL0_CODE, &ran.caught);
    answer.say(format_args!("{:x}/{:x}/{:x}", ran.x[1], ran.x[2], ran.x[3]));
    unmap(3);
}

/// SS in the return but not in MDSCR_EL1, and the other way round.
fn step_off(answer: &mut Answer) {
    fn resume(frame: &mut Frame) {
        skip(frame);
        match frame.x[1] {
            0 => frame.spsr = frame.spsr & !SPSR_D | SPSR_SS,
            _ => write!("mdscr_el1", KERNEL | STEP),
        }
    }
    for which in [0, 1] {
        let ran =
            snippet!("brk #1", "nop", "nop", "msr daifset, #8", "msr mdscr_el1, xzr").run_with(resume, &[0, which]);
        answer.put("exceptions", ran.caught.count());
    }
    write!("mdscr_el1", 0);
}

/// PSTATE.D, or no KDE, keeps steps out of EL1.
fn step_masked(answer: &mut Answer) {
    fn resume(frame: &mut Frame) {
        skip(frame);
        frame.spsr |= SPSR_SS;
        if frame.x[1] == 0 {
            write!("mdscr_el1", KERNEL | STEP);
        } else {
            write!("mdscr_el1", STEP);
            frame.spsr &= !SPSR_D;
        }
    }
    for which in [0, 1] {
        let ran =
            snippet!("brk #1", "nop", "nop", "msr daifset, #8", "msr mdscr_el1, xzr").run_with(resume, &[0, which]);
        answer.put("exceptions", ran.caught.count());
    }
    write!("mdscr_el1", 0);
}

/// DBGBCR, DBGWCR: for EL1; on; all bytes.
const AT_EL1: u64 = 1 << 1;
const AT_EL0: u64 = 2 << 1;
const ENABLE: u64 = 1;
const WORD: u64 = 0xF << 5;
const DOUBLE: u64 = 0xFF << 5;
const LOADS: u64 = 1 << 3;
const STORES: u64 = 2 << 3;

/// Goes on with the instruction that a breakpoint or watchpoint stopped.
fn without(frame: &mut Frame) {
    let class = frame.esr >> 26;
    if BREAKPOINTS.contains(&class) {
        write!("dbgbcr0_el1", 0);
    } else if WATCHPOINTS.contains(&class) {
        write!("dbgwcr0_el1", 0);
    } else {
        skip(frame);
    }
}

/// Runs a snippet with a breakpoint at its instruction `at`, debug exceptions open from its second instruction on.
fn broken(answer: &mut Answer, snippet: Snippet, at: u64, control: u64, registers: &[u64]) -> Ran {
    write!("dbgbvr0_el1", snippet.address() + 4 * at);
    write!("dbgbcr0_el1", control);
    write!("mdscr_el1", MONITOR | KERNEL);
    let ran = snippet.run_with(without, registers);
    write!("mdscr_el1", 0);
    write!("dbgbcr0_el1", 0);
    for exception in ran.caught.list() {
        answer.say(format_args!("{}:{:#x}", exception.elr.wrapping_sub(snippet.address()) / 4, exception.esr));
    }
    ran
}

const BREAK: u64 = ENABLE | AT_EL1 | WORD;

fn breakpoint(answer: &mut Answer) {
    let snippet = snippet!("msr daifclr, #8", "mov x1, #1", "mov x1, #2", "mov x1, #3", "msr daifset, #8");
    for at in 1..4 {
        let ran = broken(answer, snippet, at, BREAK, &[]);
        answer.put("x1", ran.x[1]);
    }
}

fn breakpoint_emulated(answer: &mut Answer) {
    write32(MATCH, 0x1111);
    let snippet =
        snippet!("msr daifclr, #8", "ldr w1, [x0]", "str w2, [x0]", "mrs x3, id_aa64isar0_el1", "msr daifset, #8");
    for at in 1..4 {
        let ran = broken(answer, snippet, at, BREAK, &[MATCH, 0, 0x2222]);
        answer.say(format_args!("{:x}/{:x}", ran.x[1], read32(MATCH)));
    }
}

fn breakpoint_behind(answer: &mut Answer) {
    let snippet = snippet!(
        "msr daifclr, #8",
        "ldr w1, [x0]",
        "mov x2, #2",
        "mrs x3, id_aa64isar0_el1",
        "mov x2, #3",
        "hvc #0",
        "mov x2, #4",
        "msr daifset, #8"
    );
    for at in [2, 4, 6] {
        let ran = broken(answer, snippet, at, BREAK, &[MATCH]);
        answer.put("x2", ran.x[2]);
    }
}

fn breakpoint_levels(answer: &mut Answer) {
    let snippet = snippet!("msr daifclr, #8", "nop", "nop", "msr daifset, #8");
    for (name, level) in [("el0", AT_EL0), ("both", AT_EL0 | AT_EL1), ("none", 0)] {
        answer.say(name);
        broken(answer, snippet, 2, ENABLE | WORD | level, &[]);
    }
}

fn breakpoint_off(answer: &mut Answer) {
    let snippet = snippet!("msr daifclr, #8", "nop", "nop", "msr daifset, #8");
    let open = snippet!("nop", "nop", "nop", "nop");
    answer.say("masked");
    broken(answer, open, 2, BREAK, &[]);
    answer.say("disabled");
    broken(answer, snippet, 2, BREAK & !ENABLE, &[]);
    for mdscr in [MONITOR, KERNEL, 0] {
        write!("dbgbvr0_el1", snippet.address() + 4);
        write!("dbgbcr0_el1", BREAK);
        write!("mdscr_el1", mdscr);
        let ran = snippet.run_with(without, &[]);
        write!("mdscr_el1", 0);
        write!("dbgbcr0_el1", 0);
        answer.say(format_args!("{mdscr:#x}:{}", ran.caught.count()));
    }
}

fn breakpoint_el0(answer: &mut Answer) {
    let snippet = snippet!("nop", "mov x1, #1", "mov x1, #2", "svc #0xe0");
    let begin = crate::arch::snippet::EL0_CODE + snippet.address() % 4096;
    write!("dbgbvr0_el1", begin + 8);
    write!("dbgbcr0_el1", ENABLE | AT_EL0 | WORD);
    write!("mdscr_el1", MONITOR);
    let ran = snippet.run_at_el0_with(without, &[]);
    write!("mdscr_el1", 0);
    write!("dbgbcr0_el1", 0);
    for exception in ran.caught.list() {
        answer.say(format_args!("{}:{:#x}", exception.elr.wrapping_sub(begin) / 4, exception.esr));
    }
    answer.put("x1", ran.x[1]);
}

fn breakpoints_many(answer: &mut Answer) {
    fn resume(frame: &mut Frame) {
        // One after the other, in the order of the instructions.
        match WORDS.get(0) {
            0 => write!("dbgbcr0_el1", 0),
            1 => write!("dbgbcr1_el1", 0),
            2 => write!("dbgbcr2_el1", 0),
            3 => write!("dbgbcr5_el1", 0),
            _ => skip(frame),
        }
        WORDS.add(0, 1);
    }
    WORDS.clear();
    let snippet = snippet!("msr daifclr, #8", "nop", "nop", "nop", "nop", "nop", "msr daifset, #8");
    let at = |n: u64| snippet.address() + 4 * n;
    write!("dbgbvr0_el1", at(1));
    write!("dbgbvr1_el1", at(2));
    write!("dbgbvr2_el1", at(4));
    write!("dbgbvr5_el1", at(5));
    write!("dbgbcr0_el1", BREAK);
    write!("dbgbcr1_el1", BREAK);
    write!("dbgbcr2_el1", BREAK);
    write!("dbgbcr5_el1", BREAK);
    write!("mdscr_el1", MONITOR | KERNEL);
    let ran = snippet.run_with(resume, &[]);
    write!("mdscr_el1", 0);
    for exception in ran.caught.list() {
        answer.say(exception.elr.wrapping_sub(snippet.address()) / 4);
    }
}

/// Runs a snippet with a watchpoint.
fn watched(answer: &mut Answer, snippet: Snippet, address: u64, control: u64, registers: &[u64]) -> Ran {
    write!("dbgwvr0_el1", address);
    write!("dbgwcr0_el1", control);
    write!("mdscr_el1", MONITOR | KERNEL);
    let ran = snippet.run_with(without, registers);
    write!("mdscr_el1", 0);
    write!("dbgwcr0_el1", 0);
    for exception in ran.caught.list() {
        let at = exception.elr.wrapping_sub(snippet.address()) / 4;
        answer.say(format_args!("{at}:{:#x},far+{}", exception.esr, exception.far.wrapping_sub(address)));
    }
    ran
}

fn variable() -> u64 {
    core::ptr::from_ref(&VARIABLE).expose_provenance() as u64
}

const WATCH: u64 = ENABLE | AT_EL1 | DOUBLE;

fn watchpoint_load(answer: &mut Answer) {
    VARIABLE.set(0, 0x99);
    let snippet = snippet!("msr daifclr, #8", "str x0, [x0, #8]", "ldr x1, [x0]", "msr daifset, #8");
    for control in [LOADS, STORES, LOADS | STORES] {
        let ran = watched(answer, snippet, variable(), WATCH | control, &[variable()]);
        answer.hex("x1", ran.x[1]);
    }
}

fn watchpoint_store(answer: &mut Answer) {
    let snippet = snippet!("msr daifclr, #8", "ldr x2, [x0]", "str x1, [x0]", "msr daifset, #8");
    for control in [LOADS, STORES, LOADS | STORES] {
        VARIABLE.set(0, 0);
        watched(answer, snippet, variable(), WATCH | control, &[variable(), 7]);
        answer.put("stored", VARIABLE.get(0));
    }
}

fn watchpoint_bytes(answer: &mut Answer) {
    let snippet =
        snippet!("msr daifclr, #8", "ldrb w1, [x0, #3]", "ldrh w1, [x0, #4]", "ldr w1, [x0]", "msr daifset, #8");
    for bytes in [1, 8, 0x20, 0xF0] {
        answer.say(format_args!("{bytes:#x}"));
        let control = ENABLE | AT_EL1 | LOADS | bytes << 5;
        watched(answer, snippet, variable(), control, &[variable()]);
    }
}

fn watchpoint_range(answer: &mut Answer) {
    // Words are 128 bytes, aligned so that a mask of 64 bytes fits.
    let base = (variable() + 63) & !63;
    let snippet = snippet!("msr daifclr, #8", "ldr x1, [x0, #56]", "ldr x1, [x0, #-8]", "msr daifset, #8");
    watched(answer, snippet, base, WATCH | LOADS | 6 << 24, &[base]);
    let snippet = snippet!("msr daifclr, #8", "ldr x1, [x0, #-8]", "ldr x1, [x0]", "msr daifset, #8");
    watched(answer, snippet, base, WATCH | LOADS | 6 << 24, &[base]);
}

fn watchpoint_device(answer: &mut Answer) {
    write32(MATCH, 1);
    let snippet = snippet!("msr daifclr, #8", "ldr w1, [x0]", "str w2, [x0]", "msr daifset, #8");
    for control in [LOADS, STORES] {
        // The watched double word begins at the register before.
        let ran = watched(answer, snippet, MATCH - 4, ENABLE | AT_EL1 | 0xF0 << 5 | control, &[MATCH, 0, 2]);
        answer.say(format_args!("{}/{}", ran.x[1], read32(MATCH)));
    }
}

fn of_each_cpu(answer: &mut Answer) {
    write!("dbgbvr1_el1", 0x1000);
    write!("dbgbcr1_el1", BREAK);
    write!("mdscr_el1", MONITOR);
    start(1, || {
        WORDS.set(0, read!("mdscr_el1"));
        WORDS.set(1, read!("dbgbcr1_el1") & ENABLE);
        write!("dbgbvr1_el1", 0x2000);
        write!("mdscr_el1", MONITOR | KERNEL);
        WORDS.set(2, read!("dbgbvr1_el1"));
        write!("mdscr_el1", 0);
    });
    answer.join(1);
    answer.say(format_args!("other={:#x},{:#x},{:#x}", WORDS.get(0), WORDS.get(1), WORDS.get(2)));
    answer.say(format_args!("own={:#x},{:#x},{:#x}", read!("mdscr_el1"), read!("dbgbvr1_el1"), read!("dbgbcr1_el1")));
    write!("mdscr_el1", 0);
    write!("dbgbcr1_el1", 0);
    write!("dbgbvr1_el1", 0);
}

fn over_off(answer: &mut Answer) {
    for round in 0..2 {
        start(1, || {
            WORDS.set(0, read!("mdscr_el1"));
            WORDS.set(1, read!("dbgbcr0_el1") & ENABLE);
            WORDS.set(2, read!("dbgwcr0_el1") & ENABLE);
            write!("dbgbvr0_el1", 0x2000);
            write!("dbgbcr0_el1", BREAK);
            write!("dbgwcr0_el1", WATCH | LOADS);
            write!("mdscr_el1", MONITOR | KERNEL);
        });
        answer.join(1);
        answer.say(format_args!("{round}:{:#x},{},{}", WORDS.get(0), WORDS.get(1), WORDS.get(2)));
    }
}

/// What is set stays over exits, waits and other CPUs' work.
fn kept_over_exits(answer: &mut Answer) {
    write!("dbgbvr0_el1", 0x1234_5000);
    write!("dbgbcr0_el1", BREAK);
    write!("dbgwvr3_el1", 0x4321_0000);
    write!("dbgwcr3_el1", WATCH | LOADS);
    write!("mdscr_el1", MONITOR | KERNEL);
    crate::clock::sleep(30, 3);
    let _ = read32(MATCH);
    answer.say(format_args!("{:#x},{:#x}", read!("dbgbvr0_el1"), read!("dbgbcr0_el1")));
    answer.say(format_args!("{:#x},{:#x}", read!("dbgwvr3_el1"), read!("dbgwcr3_el1")));
    answer.hex("mdscr", read!("mdscr_el1"));
    write!("mdscr_el1", 0);
    write!("dbgbcr0_el1", 0);
    write!("dbgwcr3_el1", 0);
    // Handlers leave nothing behind either.
    let left = Cpu::this().catch(skip, || {}).count();
    answer.put("left", left);
}
