// SPDX-License-Identifier: MIT OR Apache-2.0
//! The generic timers of EL1: virtual and physical (Arm ARM D11).

use crate::arch::cpu::Cpu;
use crate::arch::exceptions::Frame;
use crate::arch::mmio::read32;
use crate::arch::others::start;
use crate::arch::snippet::snippet;
use crate::arch::sysreg::{read, write};
use crate::arch::wait_for_interrupt;
use crate::check::{Answer, Check, Topic, check, check_with};
use crate::clock;
use crate::gic::{self, bits, private};
use crate::inventory;
use crate::shared::Words;

pub(super) const TOPIC: Topic = Topic { name: "timers", checks: &CHECKS };

const CHECKS: [Check; 48] = [
    check("counters", counters),
    check("frequency", frequency),
    check("kernel-control", kernel_control),
    check("el0", el0),
    check("undefined", undefined),
    check("virtual-registers", |answer| registers(answer, &VIRTUAL)),
    check("virtual-values", |answer| values(answer, &VIRTUAL)),
    check("virtual-status", |answer| status(answer, &VIRTUAL)),
    check("virtual-life", |answer| life(answer, &VIRTUAL)),
    check("virtual-moved-while-pending", |answer| moved(answer, &VIRTUAL)),
    check("virtual-off-while-pending", |answer| off(answer, &VIRTUAL)),
    check("virtual-masked-while-pending", |answer| masked(answer, &VIRTUAL)),
    check("virtual-moved-while-active", |answer| moved_active(answer, &VIRTUAL)),
    check("virtual-fired-while-disabled", |answer| disabled(answer, &VIRTUAL)),
    check("virtual-fired-while-masked", |answer| priority_masked(answer, &VIRTUAL)),
    check("virtual-edge", |answer| edge(answer, &VIRTUAL)),
    check("virtual-unpended", |answer| unpended(answer, &VIRTUAL)),
    check("virtual-extremes", |answer| extremes(answer, &VIRTUAL)),
    check("virtual-wfi", |answer| wfi(answer, &VIRTUAL)),
    check("virtual-wfi-moved-in-handler", |answer| periodic(answer, &VIRTUAL)),
    check("virtual-eoimode", |answer| eoimode(answer, &VIRTUAL)),
    check("virtual-never-early", |answer| punctual(answer, &VIRTUAL)),
    check_with("virtual-each-cpu", 2, |answer| each_cpu(answer, &VIRTUAL)),
    check_with("virtual-over-cpu-off", 2, |answer| over_off(answer, &VIRTUAL)),
    check("physical-registers", |answer| registers(answer, &PHYSICAL)),
    check("physical-values", |answer| values(answer, &PHYSICAL)),
    check("physical-status", |answer| status(answer, &PHYSICAL)),
    check("physical-life", |answer| life(answer, &PHYSICAL)),
    check("physical-moved-while-pending", |answer| moved(answer, &PHYSICAL)),
    check("physical-off-while-pending", |answer| off(answer, &PHYSICAL)),
    check("physical-masked-while-pending", |answer| masked(answer, &PHYSICAL)),
    check("physical-moved-while-active", |answer| moved_active(answer, &PHYSICAL)),
    check("physical-fired-while-disabled", |answer| disabled(answer, &PHYSICAL)),
    check("physical-fired-while-masked", |answer| priority_masked(answer, &PHYSICAL)),
    check("physical-edge", |answer| edge(answer, &PHYSICAL)),
    check("physical-unpended", |answer| unpended(answer, &PHYSICAL)),
    check("physical-extremes", |answer| extremes(answer, &PHYSICAL)),
    check("physical-wfi", |answer| wfi(answer, &PHYSICAL)),
    check("physical-wfi-moved-in-handler", |answer| periodic(answer, &PHYSICAL)),
    check("physical-eoimode", |answer| eoimode(answer, &PHYSICAL)),
    check("physical-never-early", |answer| punctual(answer, &PHYSICAL)),
    check_with("physical-each-cpu", 2, |answer| each_cpu(answer, &PHYSICAL)),
    check_with("physical-over-cpu-off", 2, |answer| over_off(answer, &PHYSICAL)),
    check("both-pending", both_pending),
    check("both-in-turn", both_in_turn),
    check("both-independent", both_independent),
    check("set-active-while-firing", set_active),
    check_with("timer-wakes-off-by-sgi", 2, timer_and_sgi),
];

/// Milliseconds until a timer fires that is looked at before: longer than others have the CPU in between.
const LATER: u64 = 100;

/// A timer by its registers.
struct Timer {
    intid: u32,
    count: fn() -> u64,
    ctl: fn() -> u64,
    set_ctl: fn(u64),
    cval: fn() -> u64,
    set_cval: fn(u64),
    tval: fn() -> u64,
    set_tval: fn(u64),
}

static VIRTUAL: Timer = Timer {
    intid: gic::VIRTUAL_TIMER,
    count: || read!("cntvct_el0"),
    ctl: || read!("cntv_ctl_el0"),
    set_ctl: |value| write!("cntv_ctl_el0", value),
    cval: || read!("cntv_cval_el0"),
    set_cval: |value| write!("cntv_cval_el0", value),
    tval: || read!("cntv_tval_el0"),
    set_tval: |value| write!("cntv_tval_el0", value),
};

static PHYSICAL: Timer = Timer {
    intid: gic::PHYSICAL_TIMER,
    count: || read!("cntpct_el0"),
    ctl: || read!("cntp_ctl_el0"),
    set_ctl: |value| write!("cntp_ctl_el0", value),
    cval: || read!("cntp_cval_el0"),
    set_cval: |value| write!("cntp_cval_el0", value),
    tval: || read!("cntp_tval_el0"),
    set_tval: |value| write!("cntp_tval_el0", value),
};

/// CNTx_CTL: on; masked.
const ON: u64 = 1;
const IMASK: u64 = 2;

impl Timer {
    /// Fires so many milliseconds from now.
    fn arm(&self, ms: u64) {
        (self.set_cval)((self.count)() + clock::ms(ms));
        (self.set_ctl)(ON);
    }

    /// Fires a second from now.
    fn move_on(&self) {
        (self.set_cval)((self.count)() + clock::ms(1000));
    }

    fn pending(&self) -> bool {
        clock::until(3 * LATER, || gic::get(self.intid, bits::SET_PENDING) == 1)
    }

    /// What timer and interrupt controller show.
    fn look(&self, answer: &mut Answer, when: &str) {
        let (ctl, state) = ((self.ctl)(), gic::state(self.intid));
        // ISTATUS is UNKNOWN while the timer is off.
        let ctl = if ctl & ON != 0 { ctl } else { ctl & !4 };
        answer.say(format_args!("{when}:ctl={ctl},state={state},hppir={}", gic::highest()));
    }

    /// Ends what is acknowledged, if anything is.
    fn take(&self, answer: &mut Answer) {
        let intid = gic::ack();
        answer.put("iar", intid);
        gic::end(intid);
    }
}

fn counters(answer: &mut Answer) {
    let (before, virtual_count, after) = (read!("cntpct_el0"), read!("cntvct_el0"), read!("cntpct_el0"));
    answer.put("same", (before..=after).contains(&virtual_count));
    let mut last = virtual_count;
    let grows = (0..1000).all(|_| {
        let now = read!("cntvct_el0");
        let grows = now >= last;
        last = now;
        grows
    });
    answer.put("grows", grows);
}

/// Only the highest level may write CNTFRQ_EL0, and nobody the counters.
fn frequency(answer: &mut Answer) {
    answer.put("hertz", read!("cntfrq_el0"));
    let ran = snippet!("msr s3_3_c14_c0_2, x0", "msr s3_3_c14_c0_1, x0").run(&[]);
    answer.exceptions("write-counts", &ran.caught);
}

fn kernel_control(answer: &mut Answer) {
    let before = read!("cntkctl_el1");
    for value in [0, 0x3FF] {
        write!("cntkctl_el1", value);
        answer.hex("cntkctl", read!("cntkctl_el1"));
    }
    write!("cntkctl_el1", before);
}

/// What EL0 may read as CNTKCTL_EL1 says: both counters, the frequency, both timers.
fn el0(answer: &mut Answer) {
    let before = read!("cntkctl_el1");
    for (name, value) in [("none", 0), ("pct", 1), ("vct", 2), ("vt", 1 << 8), ("pt", 1 << 9), ("all", 0x303)] {
        write!("cntkctl_el1", value);
        let ran = snippet!(
            "mrs x1, cntpct_el0",
            "mrs x1, cntvct_el0",
            "mrs x1, cntfrq_el0",
            "mrs x1, cntv_ctl_el0",
            "mrs x1, cntv_cval_el0",
            "msr cntv_tval_el0, xzr",
            "mrs x1, cntp_ctl_el0",
            "mrs x1, cntp_tval_el0",
            "msr cntp_cval_el0, xzr",
            "svc #0xe0",
        )
        .run_at_el0(&[]);
        answer.exceptions(name, &ran.caught);
    }
    write!("cntkctl_el1", before);
}

fn undefined(answer: &mut Answer) {
    // CNTVOFF, CNTHCTL, CNTHP_CTL, CNTHP_CVAL, CNTHP_TVAL, CNTHV_CTL, CNTPS_CTL, CNTPS_CVAL, CNTV_CTL_EL02.
    let ran = snippet!(
        "mrs x0, s3_4_c14_c0_3",
        "mrs x0, s3_4_c14_c1_0",
        "mrs x0, s3_4_c14_c2_1",
        "mrs x0, s3_4_c14_c2_2",
        "mrs x0, s3_4_c14_c2_0",
        "mrs x0, s3_4_c14_c3_1",
        "mrs x0, s3_7_c14_c2_1",
        "mrs x0, s3_7_c14_c2_2",
        "mrs x0, s3_5_c14_c3_1",
        "msr s3_4_c14_c0_3, x0",
        "msr s3_7_c14_c2_1, x0",
    )
    .run(&[]);
    answer.put("count", ran.caught.count());
    answer.exceptions("caught", &ran.caught);
}

fn registers(answer: &mut Answer, timer: &Timer) {
    for value in [0, ON, IMASK, ON | IMASK, u64::MAX, IMASK | 4, 0] {
        (timer.set_cval)(u64::MAX);
        (timer.set_ctl)(value);
        answer.put("ctl", (timer.ctl)());
    }
    for value in [0x1234_5678_9ABC_DEF0, u64::MAX, 0] {
        (timer.set_cval)(value);
        answer.hex("cval", (timer.cval)());
    }
}

/// TVAL is a view of CVAL: 32 bits, signed (D11.2.4).
fn values(answer: &mut Answer, timer: &Timer) {
    // The counter goes on between two instructions, by less than this, even if others have the CPU meanwhile.
    let near = |value: u64, wanted: u64| value.wrapping_sub(wanted).wrapping_add(clock::ms(200)) < 2 * clock::ms(200);
    for value in [1000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xABCD_0000_1000_0000] {
        let now = (timer.count)();
        (timer.set_tval)(value);
        let wanted = now.wrapping_add(value as u32 as i32 as i64 as u64);
        answer.say(format_args!("{value:#x}:{}", near((timer.cval)(), wanted)));
    }
    for ahead in [clock::ms(1000), 0x1_4000_0000, 0u64.wrapping_sub(clock::ms(1000))] {
        (timer.set_cval)((timer.count)().wrapping_add(ahead));
        let tval = (timer.tval)();
        answer.say(format_args!(
            "{ahead:#x}:{},{}",
            tval >> 32,
            near(tval as i32 as i64 as u64, ahead as i32 as i64 as u64)
        ));
    }
}

fn status(answer: &mut Answer, timer: &Timer) {
    timer.arm(LATER);
    timer.look(answer, "before");
    clock::spin(2 * LATER);
    timer.look(answer, "after");
    (timer.set_ctl)(ON | IMASK);
    timer.look(answer, "masked");
    timer.move_on();
    timer.look(answer, "moved");
    (timer.set_cval)(0);
    timer.look(answer, "past");
    (timer.set_ctl)(IMASK);
    timer.look(answer, "off");
    (timer.set_ctl)(ON);
    timer.look(answer, "on");
}

fn life(answer: &mut Answer, timer: &Timer) {
    gic::open(timer.intid, 0x80, 0);
    timer.arm(LATER);
    timer.look(answer, "armed");
    answer.put("comes", timer.pending());
    timer.look(answer, "pending");
    answer.put("iar", gic::ack());
    timer.look(answer, "active");
    gic::end(timer.intid.into());
    timer.look(answer, "ended-still-up");
    answer.put("iar", gic::ack());
    (timer.set_ctl)(0);
    timer.look(answer, "active-down");
    gic::end(timer.intid.into());
    timer.look(answer, "over");
}

/// A level that falls before anybody acknowledges it was never there.
fn moved(answer: &mut Answer, timer: &Timer) {
    gic::open(timer.intid, 0x80, 0);
    timer.arm(0);
    answer.put("comes", timer.pending());
    timer.move_on();
    timer.look(answer, "moved");
    timer.take(answer);
    answer.put("isr", read!("isr_el1"));
}

fn off(answer: &mut Answer, timer: &Timer) {
    gic::open(timer.intid, 0x80, 0);
    timer.arm(0);
    answer.put("comes", timer.pending());
    (timer.set_ctl)(0);
    answer.put("isr", read!("isr_el1"));
    timer.take(answer);
    timer.look(answer, "off");
    (timer.set_ctl)(ON);
    answer.put("comes", timer.pending());
    timer.take(answer);
}

fn masked(answer: &mut Answer, timer: &Timer) {
    gic::open(timer.intid, 0x80, 0);
    timer.arm(0);
    answer.put("comes", timer.pending());
    (timer.set_ctl)(ON | IMASK);
    timer.take(answer);
    timer.look(answer, "masked");
    (timer.set_ctl)(ON);
    answer.put("comes", timer.pending());
    timer.take(answer);
}

fn moved_active(answer: &mut Answer, timer: &Timer) {
    gic::open(timer.intid, 0x80, 0);
    timer.arm(0);
    answer.put("comes", timer.pending());
    answer.put("iar", gic::ack());
    timer.arm(LATER);
    timer.look(answer, "moved");
    // It fires again before the first is over.
    clock::spin(2 * LATER);
    timer.look(answer, "again");
    answer.put("iar", gic::ack());
    gic::end(timer.intid.into());
    timer.look(answer, "ended");
    answer.put("iar", gic::ack());
    timer.move_on();
    gic::end(timer.intid.into());
    timer.look(answer, "over");
}

fn disabled(answer: &mut Answer, timer: &Timer) {
    gic::set_priority(timer.intid, 0x80);
    timer.arm(0);
    answer.put("comes", timer.pending());
    timer.look(answer, "disabled");
    gic::enable(timer.intid);
    timer.look(answer, "enabled");
    gic::disable(timer.intid);
    timer.look(answer, "disabled");
    (timer.set_ctl)(0);
    timer.look(answer, "off");
    gic::enable(timer.intid);
    timer.take(answer);
    (timer.set_ctl)(ON);
    timer.take(answer);
}

fn priority_masked(answer: &mut Answer, timer: &Timer) {
    gic::open(timer.intid, 0x80, 0);
    gic::set_mask(0x80);
    timer.arm(0);
    answer.put("comes", timer.pending());
    answer.put("masked", gic::ack());
    (timer.set_ctl)(0);
    gic::set_mask(0xFF);
    timer.take(answer);
    gic::set_mask(0x80);
    (timer.set_ctl)(ON);
    answer.put("comes", timer.pending());
    gic::set_mask(0xFF);
    timer.take(answer);
}

/// Configured as edge-triggered the rise is kept, where the PPI's configuration can be changed at all.
fn edge(answer: &mut Answer, timer: &Timer) {
    gic::set_edge(timer.intid, true);
    answer.hex("config", read32(private(0, gic::CONFIG + 4)));
    gic::open(timer.intid, 0x80, 0);
    timer.arm(0);
    answer.put("comes", timer.pending());
    (timer.set_ctl)(0);
    timer.look(answer, "off");
    timer.take(answer);
    timer.look(answer, "over");
}

/// A level can't be cleared by ICPENDR.
fn unpended(answer: &mut Answer, timer: &Timer) {
    gic::open(timer.intid, 0x80, 0);
    timer.arm(0);
    answer.put("comes", timer.pending());
    gic::unpend(timer.intid);
    timer.look(answer, "unpended");
    // What was pended by hand stays when the line falls.
    gic::pend(timer.intid);
    (timer.set_ctl)(0);
    timer.look(answer, "latched");
    timer.take(answer);
    timer.look(answer, "over");
}

fn extremes(answer: &mut Answer, timer: &Timer) {
    gic::open(timer.intid, 0x80, 0);
    (timer.set_ctl)(ON);
    for value in [0, 1, 1 << 62, 1 << 63, u64::MAX, (timer.count)()] {
        (timer.set_cval)(value);
        answer.put("ctl", (timer.ctl)());
        timer.take(answer);
    }
    for value in [0, 1, 0x7FFF_FFFF, 0xFFFF_FFFF] {
        (timer.set_tval)(value);
        clock::spin(1);
        answer.put("tval-ctl", (timer.ctl)());
        timer.take(answer);
    }
}

fn wfi(answer: &mut Answer, timer: &Timer) {
    gic::open(timer.intid, 0x80, 0);
    for ms in [1, 20, 100] {
        let due = (timer.count)() + clock::ms(ms);
        (timer.set_cval)(due);
        (timer.set_ctl)(ON);
        while gic::highest() == gic::NONE {
            wait_for_interrupt();
        }
        let late = (timer.count)().wrapping_sub(due) as i64;
        answer.put("early", late < 0);
        answer.put("late", late > clock::ms(50) as i64);
        (timer.set_ctl)(0);
        timer.take(answer);
    }
}

static WORDS: Words = Words::new();

/// A tick every millisecond, twenty of them, from a handler that moves the timer on.
fn periodic(answer: &mut Answer, timer: &Timer) {
    fn take(_: &mut Frame, _: bool) {
        let intid = gic::ack();
        if intid == gic::NONE {
            WORDS.add(1, 1);
            return;
        }
        WORDS.add(0, 1);
        let timer = if intid == u64::from(VIRTUAL.intid) { &VIRTUAL } else { &PHYSICAL };
        if WORDS.get(0) == 20 {
            (timer.set_ctl)(0);
        } else {
            (timer.set_cval)((timer.cval)() + clock::ms(1));
        }
        gic::end(intid);
    }
    WORDS.clear();
    gic::open(timer.intid, 0x80, 0);
    timer.arm(1);
    Cpu::this().interruptible(take, || {
        clock::until(300, || {
            if WORDS.get(0) < 20 {
                wait_for_interrupt();
            }
            WORDS.get(0) >= 20
        });
    });
    answer.say(format_args!("ticks={},spurious={}", WORDS.get(0), WORDS.get(1)));
    timer.look(answer, "over");
}

fn eoimode(answer: &mut Answer, timer: &Timer) {
    gic::set_eoi_mode(true);
    gic::open(timer.intid, 0x80, 0);
    for _ in 0..2 {
        timer.arm(0);
        answer.put("comes", timer.pending());
        answer.put("iar", gic::ack());
        gic::end(timer.intid.into());
        timer.look(answer, "dropped");
        timer.move_on();
        timer.look(answer, "moved");
        gic::dir(timer.intid.into());
        timer.look(answer, "deactivated");
    }
}

fn punctual(answer: &mut Answer, timer: &Timer) {
    gic::open(timer.intid, 0x80, 0);
    let mut early = 0;
    let mut never = 0;
    for n in 0..50 {
        let due = (timer.count)() + 1000 + 37 * n;
        (timer.set_cval)(due);
        (timer.set_ctl)(ON);
        if !clock::until(50, || gic::highest() != gic::NONE) {
            never += 1;
        }
        if (timer.count)() < due {
            early += 1;
        }
        (timer.set_ctl)(0);
    }
    answer.say(format_args!("early={early},never={never}"));
    timer.take(answer);
}

/// Every CPU's own timer interrupts that CPU.
fn each_cpu(answer: &mut Answer, timer: &Timer) {
    fn job() {
        gic::init_cpu();
        let me = Cpu::this().number();
        for (shift, timer) in [(0, &VIRTUAL), (16, &PHYSICAL)] {
            if WORDS.get(15) != u64::from(timer.intid) {
                continue;
            }
            gic::open(timer.intid, 0x80, 0);
            timer.arm(1 + me as u64);
            clock::until(100, || gic::highest() != gic::NONE);
            let intid = gic::ack();
            (timer.set_ctl)(0);
            gic::end(intid);
            WORDS.add(me, intid << shift);
        }
    }
    WORDS.clear();
    WORDS.set(15, timer.intid.into());
    for cpu in 1..inventory::cpus() {
        start(cpu, job);
    }
    job();
    for cpu in 1..inventory::cpus() {
        answer.join(cpu);
    }
    for cpu in 0..inventory::cpus() {
        answer.hex("cpu", WORDS.get(cpu));
    }
}

/// A CPU that comes back has its timers off, and nothing of them pending.
fn over_off(answer: &mut Answer, timer: &Timer) {
    WORDS.clear();
    WORDS.set(15, timer.intid.into());
    start(1, || {
        gic::init_cpu();
        let timer = if WORDS.get(15) == u64::from(VIRTUAL.intid) { &VIRTUAL } else { &PHYSICAL };
        gic::open(timer.intid, 0x80, 0);
        timer.arm(0);
        WORDS.set(0, timer.pending().into());
        timer.arm(3);
    });
    answer.join(1);
    clock::spin(5);
    answer.put("fired", WORDS.get(0));
    answer.hex("pending-off", read32(private(1, bits::SET_PENDING)));
    start(1, || {
        let timer = if WORDS.get(15) == u64::from(VIRTUAL.intid) { &VIRTUAL } else { &PHYSICAL };
        WORDS.set(1, (timer.ctl)() & 3);
        gic::init_cpu();
        WORDS.set(2, gic::ack());
        (timer.set_ctl)(ON);
        (timer.set_cval)(0);
        WORDS.set(3, gic::ack());
        (timer.set_ctl)(0);
        gic::end(WORDS.get(3));
    });
    answer.join(1);
    answer.say(format_args!("ctl={},iar={},armed={}", WORDS.get(1), WORDS.get(2), WORDS.get(3)));
}

fn both_pending(answer: &mut Answer) {
    for (virtual_priority, physical_priority) in [(0x80, 0x40), (0x40, 0x80)] {
        gic::open(VIRTUAL.intid, virtual_priority, 0);
        gic::open(PHYSICAL.intid, physical_priority, 0);
        VIRTUAL.arm(0);
        PHYSICAL.arm(0);
        answer.say(format_args!("{}/{}", VIRTUAL.pending(), PHYSICAL.pending()));
        let first = gic::ack();
        answer.put("iar", first);
        (VIRTUAL.set_ctl)(0);
        (PHYSICAL.set_ctl)(0);
        answer.put("iar", gic::ack());
        gic::end(first);
        answer.put("iar", gic::ack());
    }
}

fn both_in_turn(answer: &mut Answer) {
    fn take(_: &mut Frame, _: bool) {
        let intid = gic::ack();
        WORDS.set(0, WORDS.get(0) << 8 | intid);
        let timer = if intid == u64::from(VIRTUAL.intid) { &VIRTUAL } else { &PHYSICAL };
        (timer.set_ctl)(0);
        gic::end(intid);
    }
    WORDS.clear();
    gic::open(VIRTUAL.intid, 0x80, 0);
    gic::open(PHYSICAL.intid, 0x80, 0);
    Cpu::this().interruptible(take, || {
        for (virtual_ms, physical_ms) in [(LATER, 2 * LATER), (2 * LATER, LATER)] {
            let before = WORDS.get(0);
            VIRTUAL.arm(virtual_ms);
            PHYSICAL.arm(physical_ms);
            clock::until(3 * LATER, || {
                let done = (VIRTUAL.ctl)() & ON == 0 && (PHYSICAL.ctl)() & ON == 0;
                if !done {
                    wait_for_interrupt();
                }
                done
            });
            clock::until(1, || WORDS.get(0) == before);
        }
    });
    let order = WORDS.get(0);
    answer.say(format_args!("{} {} {} {}", order >> 24 & 0xFF, order >> 16 & 0xFF, order >> 8 & 0xFF, order & 0xFF));
}

fn both_independent(answer: &mut Answer) {
    gic::open(VIRTUAL.intid, 0x80, 0);
    gic::open(PHYSICAL.intid, 0x80, 0);
    VIRTUAL.arm(0);
    PHYSICAL.move_on();
    (PHYSICAL.set_ctl)(ON);
    VIRTUAL.look(answer, "virtual");
    PHYSICAL.look(answer, "physical");
    VIRTUAL.move_on();
    (PHYSICAL.set_cval)(0);
    VIRTUAL.look(answer, "virtual");
    PHYSICAL.look(answer, "physical");
    PHYSICAL.take(answer);
}

fn set_active(answer: &mut Answer) {
    for timer in [&VIRTUAL, &PHYSICAL] {
        gic::open(timer.intid, 0x80, 0);
        gic::activate(timer.intid);
        timer.arm(0);
        timer.look(answer, "active");
        clock::spin(1);
        timer.look(answer, "active-firing");
        answer.put("iar", gic::ack());
        gic::deactivate(timer.intid);
        timer.look(answer, "inactive");
        answer.put("iar", gic::ack());
        (timer.set_ctl)(0);
        gic::end(timer.intid.into());
        timer.look(answer, "over");
    }
}

/// A CPU that sleeps with its timer far off is woken by another, and its timer still comes.
fn timer_and_sgi(answer: &mut Answer) {
    WORDS.clear();
    start(1, || {
        gic::init_cpu();
        gic::open(5, 0x80, 0);
        gic::open(VIRTUAL.intid, 0x80, 0);
        VIRTUAL.arm(200);
        WORDS.set(8, 1);
        for word in 0..2 {
            while gic::highest() == gic::NONE {
                wait_for_interrupt();
            }
            let intid = gic::ack();
            if intid == u64::from(VIRTUAL.intid) {
                (VIRTUAL.set_ctl)(0);
            }
            gic::end(intid);
            WORDS.set(word, intid);
        }
    });
    WORDS.wait(8, 1);
    clock::spin(3);
    gic::send(5, 2);
    answer.join(1);
    answer.say(format_args!("{}/{}", WORDS.get(0), WORDS.get(1)));
}
