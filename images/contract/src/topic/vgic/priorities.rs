// SPDX-License-Identifier: MIT OR Apache-2.0
//! Priorities: order, mask, preemption, groups (§4.8).

use crate::arch::cpu::Cpu;
use crate::arch::exceptions::Frame;
use crate::arch::mmio::write32;
use crate::arch::sysreg::{read, write};
use crate::arch::{mask as mask_interrupts, unmask};
use crate::check::Answer;
use crate::gic::{self, CTLR};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

const SPI: u32 = 40;

/// Takes what is pending until there is nothing, each one within its predecessor. How many.
fn take_nested(answer: &mut Answer, limit: usize) -> usize {
    for depth in 0..limit {
        let intid = gic::ack();
        if intid == gic::NONE {
            return depth;
        }
        answer.say(format_args!("{intid}@{:#x}", gic::running()));
    }
    limit
}

/// Takes and ends what is pending, one after the other.
fn take_all(answer: &mut Answer, limit: usize) {
    for _ in 0..limit {
        let intid = gic::ack();
        if intid == gic::NONE {
            break;
        }
        answer.say(intid);
        gic::end(intid);
    }
}

pub(super) fn order_of_many(answer: &mut Answer) {
    let priorities = [0xA0, 0x20, 0xF0, 0x00, 0x48, 0x50, 0x58, 0x40, 0xF8, 0x08, 0x10, 0xB0];
    for (intid, priority) in (SPI..).zip(priorities) {
        gic::open(intid, priority, 0);
        gic::pend(intid);
    }
    for (intid, priority) in [(20, 0x30), (21, 0x18), (3, 0x28), (4, 0xE0)] {
        gic::open(intid, priority, 0);
        gic::pend(intid);
    }
    answer.put("highest", gic::highest());
    take_all(answer, 20);
}

/// Of equals any may come first (§4.8.6), but each comes once.
pub(super) fn order_of_equals(answer: &mut Answer) {
    let intids = [60, 41, 20, 7, 53, 90, 16, 0, 15, 31];
    for intid in intids {
        gic::open(intid, 0x60, 0);
        gic::pend(intid);
    }
    let mut taken = 0u128;
    for _ in intids {
        let intid = gic::ack();
        taken ^= 1 << (intid % 128);
        gic::end(intid);
    }
    answer.hex("taken", taken);
    answer.put("left", gic::ack());
}

pub(super) fn mask(answer: &mut Answer) {
    for (mask, priority) in [(0x80, 0x78), (0x80, 0x80), (0x80, 0x88), (0, 0), (0xF8, 0xF8), (0xF8, 0xF0), (0xFF, 0xF8)]
    {
        gic::open(SPI, priority, 0);
        gic::set_mask(mask);
        gic::pend(SPI);
        answer.say(format_args!("{priority:#x}<{mask:#x}:hppir={},isr={}", gic::highest(), read!("isr_el1") >> 7 & 1));
        answer.put("iar", gic::ack());
        gic::set_mask(0xFF);
        gic::end(SPI.into());
        gic::unpend(SPI);
        gic::deactivate(SPI);
    }
    // Opening the mask lets through what waited behind it.
    gic::open(SPI, 0x80, 0);
    gic::set_mask(0x40);
    gic::pend(SPI);
    answer.put("closed", gic::ack());
    gic::set_mask(0xC0);
    answer.put("open", gic::ack());
    gic::end(SPI.into());
}

pub(super) fn mask_widths(answer: &mut Answer) {
    for value in [0, 1, 7, 8, 0x7F, 0xFF] {
        gic::set_mask(value);
        answer.say(format_args!("{value:#x}:{:#x}", read!("icc_pmr_el1")));
    }
}

pub(super) fn running(answer: &mut Answer) {
    answer.hex("idle", gic::running());
    for priority in [0xF0, 0x93, 0x40, 0x07] {
        gic::open(SPI, priority, 0);
        gic::pend(SPI);
        answer.put("iar", gic::ack());
        answer.hex("rpr", gic::running());
        gic::end(SPI.into());
    }
}

pub(super) fn no_preemption(answer: &mut Answer) {
    gic::open(SPI, 0x80, 0);
    gic::open(SPI + 1, 0x80, 0);
    gic::open(SPI + 2, 0x88, 0);
    gic::open(SPI + 3, 0x78, 0);
    gic::pend(SPI);
    answer.put("first", gic::ack());
    gic::pend(SPI + 1);
    gic::pend(SPI + 2);
    answer.say(format_args!("equal:{}/{}/{}", gic::ack(), gic::highest(), read!("isr_el1") >> 7 & 1));
    gic::pend(SPI + 3);
    answer.say(format_args!("higher:{}/{}", gic::highest(), read!("isr_el1") >> 7 & 1));
    answer.put("iar", gic::ack());
    gic::end(u64::from(SPI) + 3);
    answer.put("then", gic::ack());
    gic::end(SPI.into());
    take_all(answer, 5);
}

/// One within the other, by IAR alone, from the least urgent on.
pub(super) fn nesting(answer: &mut Answer) {
    let mut depth = 0;
    for n in 0..32 {
        gic::open(SPI + n, 0xF8 - 8 * n as u8, 0);
        gic::pend(SPI + n);
        depth += take_nested(answer, 1);
    }
    answer.put("depth", depth);
    answer.hex("ap1r0", read!("icc_ap1r0_el1"));
    for n in (0..32).rev() {
        gic::end(u64::from(SPI) + n);
    }
    answer.hex("rpr", gic::running());
    answer.hex("ap1r0", read!("icc_ap1r0_el1"));
    answer.put("iar", gic::ack());
}

static DEPTH: AtomicU64 = AtomicU64::new(0);
static DEEPEST: AtomicU64 = AtomicU64::new(0);

pub(super) fn nesting_by_handlers(answer: &mut Answer) {
    fn take(_: &mut Frame, _: bool) {
        let intid = gic::ack();
        if intid == gic::NONE {
            return;
        }
        let depth = DEPTH.fetch_add(1, SeqCst) + 1;
        DEEPEST.fetch_max(depth, SeqCst);
        if intid < u64::from(SPI) + 15 {
            gic::pend(intid as u32 + 1);
        }
        unmask();
        mask_interrupts();
        gic::end(intid);
        DEPTH.fetch_sub(1, SeqCst);
    }
    DEPTH.store(0, SeqCst);
    DEEPEST.store(0, SeqCst);
    for n in 0..16 {
        gic::open(SPI + n, 0xF0 - 8 * n as u8, 0);
    }
    Cpu::this().interruptible(take, || gic::pend(SPI));
    answer.put("deepest", DEEPEST.load(SeqCst));
    answer.put("left", DEPTH.load(SeqCst));
    answer.hex("rpr", gic::running());
}

/// The binary point says which bits preempt.
pub(super) fn binary_point(answer: &mut Answer) {
    for point in 0..8 {
        write!("icc_bpr1_el1", point);
        let mut preempts = 0u64;
        // Priorities that differ in one bit; the topmost that the mask lets through has bit 3 clear already.
        for (bit, low, high) in [(0, 0x78, 0x70), (1, 0xF0, 0xE0), (2, 0xF0, 0xD0), (3, 0xF0, 0xB0), (4, 0xF0, 0x70)] {
            gic::open(SPI, low, 0);
            gic::open(SPI + 1, high, 0);
            gic::pend(SPI);
            let first = gic::ack();
            gic::pend(SPI + 1);
            let second = gic::ack();
            preempts |= u64::from(second != gic::NONE) << bit;
            if second != gic::NONE {
                gic::end(second);
            }
            gic::end(first);
            if second == gic::NONE {
                gic::end(gic::ack());
            }
        }
        answer.say(format_args!("{point}:{preempts:#b}"));
    }
    answer.put("iar", gic::ack());
}

pub(super) fn common_binary_point(answer: &mut Answer) {
    write!("icc_bpr0_el1", 4);
    write!("icc_bpr1_el1", 7);
    write!("icc_ctlr_el1", 1);
    gic::open(SPI, 0xF0, 0);
    gic::open(SPI + 1, 0xC0, 0);
    gic::open(SPI + 2, 0xE8, 0);
    gic::pend(SPI);
    answer.put("first", gic::ack());
    answer.hex("rpr", gic::running());
    gic::pend(SPI + 2);
    answer.put("same-group", gic::ack());
    gic::pend(SPI + 1);
    answer.put("other-group", gic::ack());
    answer.hex("rpr", gic::running());
    answer.hex("ap1r0", read!("icc_ap1r0_el1"));
    gic::end(u64::from(SPI) + 1);
    gic::end(SPI.into());
    take_all(answer, 4);
}

pub(super) fn changed_while_pending(answer: &mut Answer) {
    gic::open(SPI, 0x80, 0);
    gic::open(SPI + 1, 0x90, 0);
    gic::pend(SPI);
    gic::pend(SPI + 1);
    answer.put("before", gic::highest());
    gic::set_priority(SPI + 1, 0x20);
    answer.put("raised", gic::highest());
    answer.put("iar", gic::ack());
    answer.hex("rpr", gic::running());
    gic::end(gic::highest());
    gic::end(u64::from(SPI) + 1);
    gic::set_priority(SPI, 0xA0);
    answer.put("iar", gic::ack());
    answer.hex("rpr", gic::running());
    gic::end(SPI.into());
}

pub(super) fn changed_to_open(answer: &mut Answer) {
    gic::set_mask(0x80);
    gic::open(SPI, 0xA0, 0);
    gic::open(20, 0xA0, 0);
    gic::open(2, 0xA0, 0);
    for intid in [SPI, 20, 2] {
        gic::pend(intid);
        answer.put("masked", gic::ack());
        gic::set_priority(intid, 0x40);
        answer.put("open", gic::ack());
        answer.hex("rpr", gic::running());
        gic::end(intid.into());
        gic::pend(intid);
        gic::set_priority(intid, 0xA0);
        answer.put("closed", gic::ack());
        gic::unpend(intid);
    }
}

pub(super) fn changed_while_active(answer: &mut Answer) {
    gic::open(SPI, 0x80, 0);
    gic::open(SPI + 1, 0x60, 0);
    gic::pend(SPI);
    answer.put("iar", gic::ack());
    gic::set_priority(SPI, 0x20);
    answer.hex("rpr", gic::running());
    gic::pend(SPI + 1);
    answer.put("preempts", gic::ack());
    gic::end(u64::from(SPI) + 1);
    gic::end(SPI.into());
    answer.hex("rpr", gic::running());
    gic::pend(SPI);
    answer.put("iar", gic::ack());
    answer.hex("rpr", gic::running());
    gic::end(SPI.into());
}

fn both_groups_on() {
    write32(CTLR, 0b11 | 1 << 4);
    write!("icc_igrpen0_el1", 1);
}

pub(super) fn group_changed(answer: &mut Answer) {
    both_groups_on();
    for intid in [SPI, 20, 2] {
        gic::open(intid, 0x80, 0);
        gic::pend(intid);
        answer.say(format_args!("1:{}/{}", gic::highest0(), gic::highest()));
        gic::set_group(intid, 0);
        answer.say(format_args!("0:{}/{}", gic::highest0(), gic::highest()));
        answer.say(format_args!("iar={}/{}", gic::ack(), gic::ack0()));
        gic::end0(intid.into());
        gic::pend(intid);
        gic::set_group(intid, 1);
        answer.say(format_args!("iar={}/{}", gic::ack0(), gic::ack()));
        gic::end(intid.into());
    }
}

pub(super) fn group0(answer: &mut Answer) {
    gic::open(SPI, 0x80, 0);
    gic::set_group(SPI, 0);
    gic::pend(SPI);
    answer.say(format_args!("all-off={}/{}", gic::highest0(), gic::ack0()));
    write32(CTLR, 0b11 | 1 << 4);
    answer.say(format_args!("cpu-off={}/{}", gic::highest0(), gic::ack0()));
    write!("icc_igrpen0_el1", 1);
    answer.say(format_args!("on={}/{}", gic::highest0(), gic::highest()));
    answer.put("iar1", gic::ack());
    answer.put("iar0", gic::ack0());
    answer.hex("ap0r0", read!("icc_ap0r0_el1"));
    answer.hex("rpr", gic::running());
    gic::end(SPI.into());
    answer.say(format_args!("wrong-end={:#x},{}", gic::running(), gic::state(SPI)));
    gic::end0(SPI.into());
    answer.say(format_args!("end={:#x},{}", gic::running(), gic::state(SPI)));
}

pub(super) fn group0_and_1(answer: &mut Answer) {
    both_groups_on();
    for (p0, p1) in [(0x40, 0x80), (0x80, 0x40), (0x80, 0x80)] {
        gic::open(SPI, p1, 0);
        gic::open(SPI + 1, p0, 0);
        gic::set_group(SPI + 1, 0);
        gic::pend(SPI);
        gic::pend(SPI + 1);
        answer.say(format_args!("hppir={}/{}", gic::highest0(), gic::highest()));
        answer.say(format_args!("isr={:#x}", read!("isr_el1")));
        let (one, zero) = (gic::ack(), gic::ack0());
        answer.say(format_args!("iar1={one},iar0={zero},rpr={:#x}", gic::running()));
        let (one_later, zero_later) = (gic::ack(), gic::ack0());
        answer.say(format_args!("again={one_later}/{zero_later}"));
        for _ in 0..2 {
            if zero != gic::NONE {
                gic::end0(u64::from(SPI) + 1);
            }
            gic::end(SPI.into());
        }
        gic::end0(gic::ack0());
        gic::end(gic::ack());
        answer.say(format_args!("left={:#x},{},{}", gic::running(), gic::state(SPI), gic::state(SPI + 1)));
        gic::init_cpu();
        write!("icc_igrpen0_el1", 1);
    }
}

static TAKEN: AtomicU64 = AtomicU64::new(0);

pub(super) fn group0_fiq(answer: &mut Answer) {
    fn take(_: &mut Frame, fiq: bool) {
        let (zero, one) = (gic::ack0(), gic::ack());
        TAKEN.store(TAKEN.load(SeqCst) << 24 | u64::from(fiq) << 20 | zero << 10 | one, SeqCst);
        gic::end0(zero);
        gic::end(one);
    }
    both_groups_on();
    TAKEN.store(0, SeqCst);
    gic::open(SPI, 0x80, 0);
    gic::open(SPI + 1, 0x40, 0);
    gic::set_group(SPI, 0);
    Cpu::this().interruptible(take, || {
        gic::pend(SPI);
        gic::pend(SPI + 1);
    });
    let taken = TAKEN.load(SeqCst);
    for shift in [24, 0] {
        let one = taken >> shift;
        answer.say(format_args!("fiq={},iar0={},iar1={}", one >> 20 & 1, one >> 10 & 0x3FF, one & 0x3FF));
    }
}

pub(super) fn active_priorities(answer: &mut Answer) {
    gic::open(SPI, 0x80, 0);
    // As who restores a context: a level is active that nobody acknowledged.
    write!("icc_ap1r0_el1", 1 << (0x80 >> 3));
    answer.hex("rpr", gic::running());
    gic::pend(SPI);
    answer.put("blocked", gic::ack());
    gic::set_priority(SPI, 0x78);
    answer.put("preempts", gic::ack());
    answer.hex("ap1r0", read!("icc_ap1r0_el1"));
    write!("icc_ap1r0_el1", 0);
    answer.hex("rpr", gic::running());
    gic::deactivate(SPI);
    gic::pend(SPI);
    answer.put("iar", gic::ack());
    gic::end(SPI.into());
}

pub(super) fn isr(answer: &mut Answer) {
    both_groups_on();
    answer.hex("idle", read!("isr_el1"));
    gic::open(SPI, 0x80, 0);
    gic::pend(SPI);
    answer.hex("irq", read!("isr_el1"));
    gic::set_group(SPI, 0);
    answer.hex("fiq", read!("isr_el1"));
    write!("icc_igrpen0_el1", 0);
    answer.hex("off", read!("isr_el1"));
    gic::unpend(SPI);
    answer.hex("gone", read!("isr_el1"));
}

/// A timer's interrupt is pending in group 1, is put into group 0, and is taken there.
pub(super) fn timer_changes_group(answer: &mut Answer) {
    both_groups_on();
    gic::open(gic::VIRTUAL_TIMER, 0x80, 0);
    write!("cntv_cval_el0", crate::clock::now());
    write!("cntv_ctl_el0", 1);
    crate::clock::spin(3);
    gic::set_group(gic::VIRTUAL_TIMER, 0);
    let intid = gic::ack0();
    answer.put("iar0", intid);
    write!("cntv_ctl_el0", 0);
    gic::end0(intid);
    for _ in 0..2 {
        let mut value = 0;
        let caught = crate::arch::catch(|| value = read!("icc_bpr1_el1"));
        answer.put("bpr1", value);
        answer.exceptions("bpr1", &caught);
    }
    let mut value = 0;
    let caught = crate::arch::catch(|| value = gic::ack());
    answer.put("iar1", value);
    answer.exceptions("iar1", &caught);
    gic::set_group(gic::VIRTUAL_TIMER, 1);
    gic::disable(gic::VIRTUAL_TIMER);
}
