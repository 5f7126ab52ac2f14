// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real-time clock, a PL031 (Arm DDI 0224).

use crate::arch::catch;
use crate::arch::cpu::Cpu;
use crate::arch::exceptions::Frame;
use crate::arch::mmio::{read8, read16, read32, read64, write8, write16, write32};
use crate::arch::others::start;
use crate::arch::snippet::snippet;
use crate::arch::sysreg::write;
use crate::arch::wait_for_interrupt;
use crate::check::{Answer, Topic, check, check_with};
use crate::clock;
use crate::devices;
use crate::gic;
use crate::shared::Words;

pub(super) const TOPIC: Topic = Topic {
    name: "pl031",
    checks: &[
        check("identification", identification),
        check("registers", registers),
        check("read-only", read_only),
        check("widths", widths),
        check("reserved-offsets", reserved),
        check("counts-seconds", counts),
        check("load", load),
        check("match-now", match_now),
        check("match-in-the-past", match_in_past),
        check("match-masked", match_masked),
        check("match-masked-then-unmasked", match_then_unmasked),
        check("match-wakes-wfi", match_wakes),
        check("match-while-waking-often", match_while_waking),
        check("match-while-busy", match_while_busy),
        check("match-is-punctual", match_punctual),
        check("match-moved-on", match_moved),
        check("match-again", match_again),
        check("clear", clear),
        check("clear-by-zero", clear_by_zero),
        check("load-to-match", load_to_match),
        check("load-beyond-match", load_beyond),
        check("load-back", load_back),
        check("mask-is-a-level", mask_level),
        check("handler", handler),
        check_with("interrupts-other-cpu", 2, other_cpu),
    ],
};

const fn register(offset: u64) -> u64 {
    devices::RTC.base + offset
}

const DR: u64 = register(0x00);
const MR: u64 = register(0x04);
const LR: u64 = register(0x08);
const CR: u64 = register(0x0C);
const IMSC: u64 = register(0x10);
const RIS: u64 = register(0x14);
const MIS: u64 = register(0x18);
const ICR: u64 = register(0x1C);

static WORDS: Words = Words::new();

/// Raw, masked, and what the interrupt controller makes of it.
fn look(answer: &mut Answer, when: &str) {
    answer.say(format_args!("{when}:ris={},mis={},spi={}", read32(RIS), read32(MIS), gic::state(gic::RTC)));
}

/// An alarm in so many seconds.
fn alarm(seconds: u32) {
    write32(MR, read32(DR).wrapping_add(seconds));
}

/// Waits for the next second to begin, in naps of 5 ms.
fn next_second() -> u64 {
    let now = read32(DR);
    for _ in 0..400 {
        if read32(DR) != now {
            break;
        }
        clock::sleep(5, 5);
    }
    clock::now()
}

fn identification(answer: &mut Answer) {
    let ids: [u32; 8] = core::array::from_fn(|n| read32(register(0xFE0 + 4 * n as u64)));
    answer.say(format_args!("{ids:x?}"));
}

fn registers(answer: &mut Answer) {
    answer.say(format_args!("cr={:#x},imsc={:#x},ris={:#x}", read32(CR), read32(IMSC), read32(RIS)));
    for value in [u32::MAX, 0x1234_5678, 0] {
        write32(MR, value);
        write32(IMSC, value);
        write32(CR, value);
        answer.say(format_args!("mr={:#x},imsc={:#x},cr={:#x}", read32(MR), read32(IMSC), read32(CR)));
    }
    write32(IMSC, 0);
}

fn read_only(answer: &mut Answer) {
    let now = read32(DR);
    for register in [DR, RIS, MIS] {
        write32(register, u32::MAX);
    }
    answer.put("dr-kept", read32(DR).wrapping_sub(now) <= 1);
    look(answer, "written");
    answer.hex("icr", read32(ICR));
    write32(register(0xFE0), 0);
    answer.hex("id", read32(register(0xFE0)));
}

fn widths(answer: &mut Answer) {
    write32(MR, 0x1234_5678);
    answer.say(format_args!("{:#x}/{:#x}", read8(MR), read16(MR)));
    write8(MR, 0x9A);
    answer.hex("byte", read32(MR));
    write16(MR, 0xBCDE);
    answer.hex("half", read32(MR));
}

fn reserved(answer: &mut Answer) {
    for offset in [0x20, 0x80, 0x100, 0x800, 0xFDC] {
        let caught = catch(|| {
            write32(register(offset), u32::MAX);
            answer.say(format_args!("{offset:#x}={:#x}", read32(register(offset))));
        });
        answer.exceptions("", &caught);
    }
    let behind = snippet!("ldr w1, [x0]").run(&[register(0x1000)]);
    answer.exceptions("behind", &behind.caught);
    answer.put("double", read64(LR) as u32 == read32(LR));
}

/// Five seconds by the virtual counter are five by the clock.
fn counts(answer: &mut Answer) {
    let (first, begin) = (read32(DR), next_second());
    clock::sleep(2500, 250);
    let (second, end) = (read32(DR), next_second());
    let ticks = (end - begin + clock::ms(500)) / clock::ms(1000);
    answer.put("clock", second.wrapping_sub(first));
    answer.put("counter", ticks);
}

fn load(answer: &mut Answer) {
    let before = read32(DR);
    for value in [0x7000_0000, 0xFFFF_FFF0, 5] {
        write32(LR, value);
        answer.say(format_args!("lr={:#x},dr={:#x}", read32(LR), read32(DR) & !1));
    }
    // Over the end of its 32 bits.
    write32(LR, u32::MAX);
    next_second();
    answer.hex("wrapped", read32(DR));
    write32(LR, before);
    answer.put("back", read32(DR).wrapping_sub(before) <= 1);
}

fn match_now(answer: &mut Answer) {
    gic::open(gic::RTC, 0x80, 0);
    next_second();
    alarm(0);
    look(answer, "now");
    write32(IMSC, 1);
    look(answer, "unmasked");
    answer.put("iar", gic::ack());
    look(answer, "taken");
    write32(ICR, 1);
    look(answer, "cleared");
    gic::end(gic::RTC.into());
    look(answer, "ended");
}

fn match_in_past(answer: &mut Answer) {
    write32(IMSC, 1);
    for before in [1, 100, 0x7FFF_FFFF] {
        write32(MR, read32(DR).wrapping_sub(before));
        look(answer, "past");
    }
    clock::sleep(1100, 100);
    look(answer, "later");
}

fn match_masked(answer: &mut Answer) {
    alarm(1);
    look(answer, "before");
    clock::sleep(1500, 1500);
    look(answer, "after");
}

fn match_then_unmasked(answer: &mut Answer) {
    gic::open(gic::RTC, 0x80, 0);
    alarm(1);
    clock::sleep(1500, 1500);
    look(answer, "masked");
    write32(IMSC, 1);
    look(answer, "unmasked");
    answer.put("iar", gic::ack());
    write32(ICR, 1);
    gic::end(gic::RTC.into());
    look(answer, "over");
}

/// Sleeps until an interrupt is pending, at most so long: by the virtual timer, whose priority is lower.
fn sleep_until_pending(limit: u64) -> u64 {
    gic::open(gic::VIRTUAL_TIMER, 0xF0, 0);
    write!("cntv_cval_el0", clock::now() + clock::ms(limit));
    write!("cntv_ctl_el0", 1);
    while gic::highest() == gic::NONE {
        wait_for_interrupt();
    }
    let intid = gic::highest();
    write!("cntv_ctl_el0", 0);
    intid
}

fn match_wakes(answer: &mut Answer) {
    gic::open(gic::RTC, 0x80, 0);
    write32(IMSC, 1);
    alarm(2);
    let due = read32(MR);
    answer.put("woken-by", sleep_until_pending(5000));
    answer.put("late", read32(DR).wrapping_sub(due));
    answer.put("iar", gic::ack());
    write32(ICR, 1);
    gic::end(gic::RTC.into());
    look(answer, "over");
}

/// A guest that wakes a hundred times a second has its alarm all the same.
fn match_while_waking(answer: &mut Answer) {
    write32(IMSC, 1);
    alarm(2);
    let due = read32(MR);
    for _ in 0..50 {
        if read32(RIS) != 0 {
            break;
        }
        clock::sleep(60, 10);
    }
    answer.put("late", read32(DR).wrapping_sub(due));
    look(answer, "rings");
}

fn match_while_busy(answer: &mut Answer) {
    gic::open(gic::RTC, 0x80, 0);
    write32(IMSC, 1);
    next_second();
    alarm(1);
    let due = read32(MR);
    clock::sleep(900, 900);
    let comes = clock::until(1500, || gic::highest() == gic::RTC.into());
    answer.put("comes", comes);
    answer.put("late", read32(DR).wrapping_sub(due));
}

/// It rings when the second begins, within a twentieth of it.
fn match_punctual(answer: &mut Answer) {
    gic::open(gic::RTC, 0x80, 0);
    write32(IMSC, 1);
    for seconds in [1, 2] {
        let begin = next_second();
        alarm(seconds);
        answer.put("by", sleep_until_pending(3000));
        let milliseconds = (clock::now() - begin) / clock::ms(1);
        answer.put("tenths", (milliseconds + 50) / 100);
        write32(ICR, 1);
    }
}

fn match_moved(answer: &mut Answer) {
    write32(IMSC, 1);
    next_second();
    alarm(1);
    alarm(3);
    clock::sleep(1500, 500);
    look(answer, "first");
    clock::sleep(2000, 500);
    look(answer, "second");
}

fn match_again(answer: &mut Answer) {
    write32(IMSC, 1);
    for _ in 0..2 {
        next_second();
        alarm(1);
        clock::sleep(1200, 1200);
        look(answer, "rings");
        write32(ICR, 1);
        look(answer, "cleared");
        clock::sleep(1200, 1200);
        look(answer, "once");
    }
}

fn clear(answer: &mut Answer) {
    next_second();
    alarm(0);
    look(answer, "raw");
    write32(ICR, 1);
    look(answer, "cleared");
    // While time and match are still the same.
    write32(IMSC, 1);
    look(answer, "unmasked");
    alarm(0);
    look(answer, "same-match-written");
}

fn clear_by_zero(answer: &mut Answer) {
    next_second();
    alarm(0);
    write32(ICR, 0);
    look(answer, "zero");
    write32(ICR, 2);
    look(answer, "two");
}

fn load_to_match(answer: &mut Answer) {
    let before = read32(DR);
    alarm(1000);
    write32(LR, read32(MR));
    look(answer, "there");
    write32(ICR, 1);
    write32(MR, 0x7000_0002);
    write32(LR, 0x7000_0000);
    look(answer, "shortly-before");
    clock::sleep(2500, 500);
    look(answer, "later");
    write32(LR, before);
}

fn load_beyond(answer: &mut Answer) {
    let before = read32(DR);
    alarm(1000);
    write32(LR, read32(MR) + 1);
    look(answer, "beyond");
    clock::sleep(1200, 400);
    look(answer, "later");
    write32(LR, before);
}

fn load_back(answer: &mut Answer) {
    let before = read32(DR);
    next_second();
    alarm(1);
    clock::sleep(1200, 400);
    look(answer, "rings");
    write32(ICR, 1);
    write32(LR, read32(MR) - 1);
    clock::sleep(1200, 400);
    look(answer, "rings-again");
    write32(LR, before);
}

fn mask_level(answer: &mut Answer) {
    gic::open(gic::RTC, 0x80, 0);
    next_second();
    alarm(0);
    for mask in [1, 0, 1, 0] {
        write32(IMSC, mask);
        look(answer, "mask");
    }
    answer.put("iar", gic::ack());
}

fn handler(answer: &mut Answer) {
    fn take(_: &mut Frame, _: bool) {
        let intid = gic::ack();
        WORDS.add(0, 1);
        WORDS.set(1, intid);
        write32(ICR, 1);
        gic::end(intid);
    }
    WORDS.clear();
    gic::open(gic::RTC, 0x80, 0);
    write32(IMSC, 1);
    next_second();
    alarm(1);
    clock::sleep(900, 900);
    Cpu::this().interruptible(take, || {
        clock::until(2500, || WORDS.get(0) != 0);
        clock::spin(1);
    });
    answer.say(format_args!("times={},intid={}", WORDS.get(0), WORDS.get(1)));
}

fn other_cpu(answer: &mut Answer) {
    WORDS.clear();
    gic::open(gic::RTC, 0x80, 1);
    start(1, || {
        gic::init_cpu();
        WORDS.set(0, sleep_until_pending(4000));
        WORDS.set(1, gic::ack());
        write32(ICR, 1);
        gic::end(WORDS.get(1));
    });
    write32(IMSC, 1);
    alarm(1);
    // This one sleeps as well: all of them do when it rings.
    clock::sleep(2500, 2500);
    answer.join(1);
    answer.say(format_args!("woken-by={},iar={}", WORDS.get(0), WORDS.get(1)));
    look(answer, "over");
}
