// SPDX-License-Identifier: MIT OR Apache-2.0
//! Floating point and SIMD: the registers stay over everything that takes a CPU away, and can be denied.

use crate::arch::cpu::Cpu;
use crate::arch::exceptions::Frame;
use crate::arch::others::start;
use crate::arch::snippet::{Ran, Snippet, snippet};
use crate::arch::sysreg::{read, write};
use crate::arch::tables::{attribute, map, unmap};
use crate::check::{Answer, Topic, check, check_with};
use crate::clock;
use crate::devices::RTC;
use crate::gic;
use crate::inventory;
use crate::shared::Words;
use shared_abi::psci::PSCI_VERSION;

pub(super) const TOPIC: Topic = Topic {
    name: "fp",
    checks: &[
        check("registers-hold", hold),
        check("control-and-status", control),
        check("over-device-accesses", over_devices),
        check("over-simd-device-accesses", over_simd_devices),
        check("over-hvc", over_hvc),
        check("over-id-registers", over_id),
        check("over-wfi", over_wfi),
        check("over-timer-interrupts", over_interrupts),
        check("over-much-work", over_work),
        check("over-faults", over_faults),
        check("denied-at-el1", denied_el1),
        check("denied-at-el0", denied_el0),
        check("cpacr-bits", cpacr),
        check("arithmetic", arithmetic),
        check("status-accumulates", status),
        check("flush-and-rounding", rounding),
        check("trapped-exceptions", trapped),
        check_with("of-each-cpu", 2, of_each_cpu),
        check_with("reset-of-a-cpu", 2, over_off),
    ],
};

/// Fills v0 to v31 with what x0 says, different in each, and FPCR and FPSR; runs the lines between; then x1 counts the
/// registers that are not as they were, x2 is FPCR and x3 FPSR.
macro_rules! kept_over {
    ($($line:expr),* $(,)?) => {
        snippet!(
            fill!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31),
            // RMode and FZ; N and Z of FPSR, and IXC.
            "mov x9, #(5 << 22)",
            "msr s3_3_c4_c4_0, x9",
            "mov x9, #0x10",
            "movk x9, #0xc000, lsl #16",
            "msr s3_3_c4_c4_1, x9",
            $($line,)*
            "mov x1, #0",
            look!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31),
            "mrs x2, s3_3_c4_c4_0",
            "mrs x3, s3_3_c4_c4_1",
            "msr s3_3_c4_c4_0, xzr",
            "msr s3_3_c4_c4_1, xzr",
        )
    };
}

macro_rules! fill {
    ($($n:literal)*) => {
        concat!($("add x9, x0, #", $n, "\nfmov d", $n, ", x9\nmvn x9, x9\nfmov v", $n, ".d[1], x9\n"),*)
    };
}

macro_rules! look {
    ($($n:literal)*) => {
        concat!($(
            "add x9, x0, #", $n, "\nfmov x10, d", $n, "\nfmov x11, v", $n, ".d[1]\nmvn x11, x11\n",
            "cmp x9, x10\nccmp x9, x11, #0, eq\ncset x10, ne\nadd x1, x1, x10\n"
        ),*)
    };
}

const MATCH: u64 = RTC.base + 4;
const PATTERN: u64 = 0x0123_4567_89AB_CD00;

fn show(answer: &mut Answer, ran: &Ran) {
    answer.say(format_args!("lost={},fpcr={:#x},fpsr={:#x}", ran.x[1], ran.x[2], ran.x[3]));
}

fn run(answer: &mut Answer, code: Snippet, more: &[u64]) -> Ran {
    let mut registers = [0; 24];
    registers[0] = PATTERN;
    registers[12..12 + more.len()].copy_from_slice(more);
    let ran = code.run(&registers);
    show(answer, &ran);
    ran
}

fn hold(answer: &mut Answer) {
    run(answer, kept_over!(), &[]);
}

fn control(answer: &mut Answer) {
    for value in [0, 0x07C0_0000, 0x0000_9F00, u64::MAX] {
        write!("s3_3_c4_c4_0", value);
        write!("s3_3_c4_c4_1", value);
        answer.say(format_args!("{:#x}/{:#x}", read!("s3_3_c4_c4_0"), read!("s3_3_c4_c4_1")));
    }
    write!("s3_3_c4_c4_0", 0);
    write!("s3_3_c4_c4_1", 0);
}

fn over_devices(answer: &mut Answer) {
    run(answer, kept_over!("ldr w12, [x13]", "str w12, [x13]", "ldrb w12, [x14]"), &[0, MATCH, gic::CTLR]);
}

/// The one register that is loaded changes, the others don't.
fn over_simd_devices(answer: &mut Answer) {
    let code = kept_over!(
        "fmov x15, d7",
        "ldr s7, [x13]",
        "str s7, [x13]",
        "fmov d7, x15",
        "mvn x15, x15",
        "fmov v7.d[1], x15"
    );
    run(answer, code, &[0, MATCH]);
}

fn over_hvc(answer: &mut Answer) {
    let code = kept_over!("mov x16, x0", "mov x0, x12", "hvc #0", "mov x17, x0", "mov x0, x16");
    let ran = run(answer, code, &[PSCI_VERSION.0.into()]);
    answer.hex("x0", ran.x[17]);
}

fn over_id(answer: &mut Answer) {
    run(answer, kept_over!("mrs x12, id_aa64pfr0_el1", "mrs x12, s3_0_c0_c1_0"), &[]);
}

/// Others may run while this one waits.
fn over_wfi(answer: &mut Answer) {
    gic::open(gic::VIRTUAL_TIMER, 0x80, 0);
    write!("cntv_cval_el0", clock::now() + clock::ms(30));
    write!("cntv_ctl_el0", 1);
    let code = kept_over!("12: mrs x12, cntv_ctl_el0", "tbnz x12, #2, 13f", "wfi", "b 12b", "13:");
    run(answer, code, &[]);
    write!("cntv_ctl_el0", 0);
}

fn over_interrupts(answer: &mut Answer) {
    static TAKEN: Words = Words::new();
    fn take(_: &mut Frame, _: bool) {
        let intid = gic::ack();
        TAKEN.add(0, 1);
        write!("cntv_cval_el0", clock::now() + clock::ms(1));
        gic::end(intid);
    }
    TAKEN.clear();
    gic::open(gic::VIRTUAL_TIMER, 0x80, 0);
    write!("cntv_cval_el0", clock::now() + clock::ms(1));
    write!("cntv_ctl_el0", 1);
    let code = kept_over!("mov x12, #0x10000", "12: subs x12, x12, #1", "b.ne 12b");
    Cpu::this().interruptible(take, || {
        for _ in 0..4 {
            run(answer, code, &[]);
        }
    });
    answer.put("interrupted", TAKEN.get(0) >= 4);
    write!("cntv_ctl_el0", 0);
}

/// Long enough for a turn to end.
fn over_work(answer: &mut Answer) {
    let code = kept_over!("mov x12, #0x80000", "12: subs x12, x12, #1", "b.ne 12b");
    run(answer, code, &[]);
}

fn over_faults(answer: &mut Answer) {
    let code = kept_over!("ldr w12, [x13]", "udf #0", "mrs x12, hcr_el2", "ldr q3, [x13]");
    let ran = run(answer, code, &[0, RTC.base + 0x1000]);
    answer.exceptions("caught", &ran.caught);
}

/// CPACR_EL1.FPEN.
fn deny(bits: u64) {
    write!("cpacr_el1", bits << 20);
}

fn denied_el1(answer: &mut Answer) {
    for bits in 0..4 {
        deny(bits);
        let ran =
            snippet!("fmov d0, x0", "ldr q1, [x1]", "mrs x2, s3_3_c4_c4_0", "msr s3_3_c4_c4_1, xzr", "movi v0.4s, #1")
                .run(&[0, crate::shared::address(&MEMORY)]);
        deny(3);
        answer.say(bits);
        answer.exceptions("", &ran.caught);
    }
}

static MEMORY: Words = Words::new();

fn denied_el0(answer: &mut Answer) {
    let data = map(4, crate::shared::address(&MEMORY), attribute::MEMORY | attribute::EL0 | attribute::NEVER_BY_EL0);
    for bits in 0..4 {
        deny(bits);
        let ran = snippet!("fmov d0, x0", "ldr q1, [x1]", "mrs x2, s3_3_c4_c4_0", "svc #0xe0").run_at_el0(&[0, data]);
        deny(3);
        answer.say(bits);
        answer.exceptions("", &ran.caught);
    }
    unmap(4);
}

fn cpacr(answer: &mut Answer) {
    for value in [0, 1 << 20, 3 << 20, 1 << 28] {
        write!("cpacr_el1", value);
        answer.hex("cpacr", read!("cpacr_el1"));
    }
    deny(3);
}

fn arithmetic(answer: &mut Answer) {
    let ran = snippet!(
        "scvtf d0, x0",
        "scvtf d1, x1",
        "fdiv d2, d0, d1",
        "fmov x2, d2",
        "fsqrt d3, d1",
        "fmov x3, d3",
        "fmadd d4, d0, d1, d2",
        "fmov x4, d4",
        "fcvtzs x5, d4",
        "fdiv s6, s0, s1",
        "fmov w6, s6"
    )
    .run(&[22, 7]);
    answer.say(format_args!("{:x?}", &ran.x[2..7]));
    write!("s3_3_c4_c4_1", 0);
}

fn status(answer: &mut Answer) {
    let ran = snippet!(
        "msr s3_3_c4_c4_1, xzr",
        "fmov d0, #1.0",
        "movi d1, #0",
        "fdiv d2, d0, d1",
        "mrs x1, s3_3_c4_c4_1",
        "fdiv d2, d1, d1",
        "mrs x2, s3_3_c4_c4_1",
        "fmov d3, #3.0",
        "fdiv d2, d0, d3",
        "mrs x3, s3_3_c4_c4_1",
        "msr s3_3_c4_c4_1, xzr"
    )
    .run(&[]);
    answer.say(format_args!("{:x?}", &ran.x[1..4]));
}

fn rounding(answer: &mut Answer) {
    for mode in 0..4u64 {
        let ran = snippet!("msr s3_3_c4_c4_0, x0", "fmov d0, #1.0", "fmov d1, #3.0", "fdiv d2, d0, d1", "fmov x1, d2")
            .run(&[mode << 22]);
        answer.say(format_args!("{mode}:{:x}", ran.x[1]));
    }
    // FZ: a subnormal is zero.
    let ran = snippet!("msr s3_3_c4_c4_0, x0", "fmov d0, x1", "fmov d1, #1.0", "fmul d2, d0, d1", "fmov x2, d2")
        .run(&[1 << 24, 1]);
    answer.hex("flushed", ran.x[2]);
    write!("s3_3_c4_c4_0", 0);
    write!("s3_3_c4_c4_1", 0);
}

/// Trap enables are RAZ/WI where traps are not implemented.
fn trapped(answer: &mut Answer) {
    write!("s3_3_c4_c4_0", 0x9F00);
    answer.hex("fpcr", read!("s3_3_c4_c4_0"));
    let ran = snippet!("fmov d0, #1.0", "movi d1, #0", "fdiv d2, d0, d1").run(&[]);
    answer.exceptions("caught", &ran.caught);
    write!("s3_3_c4_c4_0", 0);
    write!("s3_3_c4_c4_1", 0);
}

static WORDS: Words = Words::new();

/// All at once, each with registers of its own.
fn of_each_cpu(answer: &mut Answer) {
    fn job() {
        let me = Cpu::this().number();
        let code = kept_over!("mov x12, #0x20000", "12: yield", "subs x12, x12, #1", "b.ne 12b");
        WORDS.add(8, 1);
        WORDS.wait(8, inventory::cpus() as u64);
        let ran = code.run(&[PATTERN + 0x1000 * me as u64]);
        WORDS.set(me, ran.x[1]);
    }
    WORDS.clear();
    for cpu in 1..inventory::cpus() {
        start(cpu, job);
    }
    job();
    for cpu in 1..inventory::cpus() {
        answer.join(cpu);
    }
    let lost: u64 = (0..inventory::cpus()).map(|cpu| WORDS.get(cpu)).sum();
    answer.put("lost", lost);
}

fn over_off(answer: &mut Answer) {
    for _ in 0..2 {
        start(1, || {
            WORDS.set(0, read!("s3_3_c4_c4_0"));
            WORDS.set(1, read!("s3_3_c4_c4_1") & 0x9F);
            write!("s3_3_c4_c4_0", 3 << 22);
            write!("s3_3_c4_c4_1", 1);
        });
        answer.join(1);
        answer.say(format_args!("{:#x}/{:#x}", WORDS.get(0), WORDS.get(1)));
    }
}
