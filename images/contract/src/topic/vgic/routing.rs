// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where an SPI goes, and what wakes a CPU that waits.

use crate::arch::cpu::Cpu;
use crate::arch::mmio::{read32, write32};
use crate::arch::others::start;
use crate::arch::snippet::{Snippet, snippet};
use crate::arch::sysreg::{read, write};
use crate::arch::wait_for_interrupt;
use crate::check::Answer;
use crate::clock;
use crate::gic::{self, bits, private};
use crate::inventory;
use crate::shared::Words;

const SPI: u32 = 40;
const PRIORITY: u8 = 0x80;
static WORDS: Words = Words::new();

/// Another CPU's job: looks for an interrupt, for a time, and says which one came.
fn look() {
    gic::init_cpu();
    WORDS.set(8, 1);
    clock::until(100, || gic::highest() != gic::NONE);
    WORDS.set(0, gic::ack());
    gic::end(WORDS.get(0));
    WORDS.set(1, gic::ack());
}

/// Waits in WFI, which its own virtual timer ends in any case.
fn sleep() {
    gic::init_cpu();
    gic::open(gic::VIRTUAL_TIMER, 0xF0, 0);
    write!("cntv_cval_el0", clock::now() + clock::ms(100));
    write!("cntv_ctl_el0", 1);
    WORDS.set(8, 1);
    let mut wakes = 0;
    while gic::highest() == gic::NONE && wakes < 1000 {
        wait_for_interrupt();
        wakes += 1;
    }
    write!("cntv_ctl_el0", 0);
    WORDS.set(0, gic::ack());
    gic::end(WORDS.get(0));
    WORDS.set(1, gic::ack());
    WORDS.set(2, u64::from(wakes >= 1000));
}

fn other(answer: &mut Answer, job: fn()) {
    WORDS.clear();
    start(1, job);
    if !WORDS.wait(8, 1) {
        answer.say("nobody-looks");
    }
}

fn seen(answer: &mut Answer) {
    answer.join(1);
    answer.say(format_args!("other={},then={}", WORDS.get(0), WORDS.get(1)));
    if WORDS.get(2) != 0 {
        answer.say("spins-in-wfi");
    }
}

pub(super) fn reroute_while_pending(answer: &mut Answer) {
    gic::set_mask(0);
    gic::open(SPI, PRIORITY, 0);
    gic::pend(SPI);
    answer.put("masked", gic::ack());
    other(answer, look);
    gic::route(SPI, 1);
    seen(answer);
    gic::set_mask(0xFF);
    answer.put("own", gic::ack());
    answer.put("state", gic::state(SPI));
}

pub(super) fn reroute_group_off(answer: &mut Answer) {
    write!("icc_igrpen1_el1", 0);
    gic::open(SPI, PRIORITY, 0);
    gic::pend(SPI);
    other(answer, look);
    gic::route(SPI, 1);
    seen(answer);
    write!("icc_igrpen1_el1", 1);
    answer.put("own", gic::ack());
}

pub(super) fn reroute_wakes_wfi(answer: &mut Answer) {
    gic::set_mask(0);
    gic::open(SPI, PRIORITY, 0);
    gic::pend(SPI);
    other(answer, sleep);
    clock::spin(5);
    gic::route(SPI, 1);
    seen(answer);
    gic::set_mask(0xFF);
    answer.put("own", gic::ack());
}

pub(super) fn reroute_while_active(answer: &mut Answer) {
    gic::open(SPI, PRIORITY, 0);
    gic::pend(SPI);
    answer.put("iar", gic::ack());
    gic::route(SPI, 1);
    gic::pend(SPI);
    answer.put("state", gic::state(SPI));
    other(answer, look);
    clock::spin(2);
    answer.put("other-before-end", WORDS.get(0));
    gic::end(SPI.into());
    seen(answer);
    answer.put("own", gic::ack());
    answer.put("state", gic::state(SPI));
}

pub(super) fn to_cpu_off(answer: &mut Answer) {
    gic::open(SPI, PRIORITY, 1);
    gic::pend(SPI);
    answer.put("own", gic::ack());
    answer.put("state", gic::state(SPI));
    other(answer, look);
    seen(answer);
    gic::pend(SPI);
    answer.put("off-again", gic::state(SPI));
    gic::route(SPI, 0);
    answer.put("back", gic::ack());
    gic::end(SPI.into());
}

pub(super) fn spi_wakes_wfi(answer: &mut Answer) {
    gic::open(SPI, PRIORITY, 1);
    other(answer, sleep);
    clock::spin(5);
    gic::pend(SPI);
    seen(answer);
}

pub(super) fn withdrawn_from_other(answer: &mut Answer) {
    WORDS.clear();
    gic::open(SPI, PRIORITY, 1);
    start(1, || {
        gic::init_cpu();
        gic::set_mask(0);
        WORDS.set(8, 1);
        WORDS.wait(9, 1);
        gic::set_mask(0xFF);
        WORDS.set(0, gic::ack());
    });
    WORDS.wait(8, 1);
    gic::pend(SPI);
    clock::spin(1);
    answer.put("state", gic::state(SPI));
    gic::unpend(SPI);
    answer.put("state", gic::state(SPI));
    WORDS.set(9, 1);
    answer.join(1);
    answer.put("other", WORDS.get(0));
}

pub(super) fn disabled_by_other(answer: &mut Answer) {
    WORDS.clear();
    gic::open(SPI, PRIORITY, 1);
    start(1, || {
        gic::init_cpu();
        gic::set_mask(0);
        WORDS.set(8, 1);
        WORDS.wait(9, 1);
        gic::set_mask(0xFF);
        WORDS.set(0, gic::ack());
        WORDS.set(8, 2);
        clock::until(100, || gic::highest() != gic::NONE);
        WORDS.set(1, gic::ack());
        gic::end(WORDS.get(1));
    });
    WORDS.wait(8, 1);
    gic::pend(SPI);
    clock::spin(1);
    gic::disable(SPI);
    answer.put("state", gic::state(SPI));
    WORDS.set(9, 1);
    WORDS.wait(8, 2);
    gic::enable(SPI);
    answer.join(1);
    answer.say(format_args!("other={},enabled={}", WORDS.get(0), WORDS.get(1)));
}

pub(super) fn priority_by_other(answer: &mut Answer) {
    WORDS.clear();
    gic::open(SPI, 0xA0, 1);
    gic::open(SPI + 1, 0x90, 1);
    start(1, || {
        gic::init_cpu();
        gic::set_mask(0x80);
        WORDS.set(8, 1);
        clock::until(100, || read!("isr_el1") != 0);
        WORDS.set(0, gic::ack());
        WORDS.set(1, gic::running());
        gic::end(WORDS.get(0));
    });
    WORDS.wait(8, 1);
    gic::pend(SPI);
    gic::pend(SPI + 1);
    clock::spin(1);
    gic::set_priority(SPI, 0x40);
    answer.join(1);
    answer.say(format_args!("other={},rpr={:#x}", WORDS.get(0), WORDS.get(1)));
}

/// One CPU acknowledges, another deactivates by ICACTIVER and by DIR (§4.7).
pub(super) fn deactivated_by_other(answer: &mut Answer) {
    for by_dir in [false, true] {
        gic::set_eoi_mode(true);
        gic::open(SPI, PRIORITY, 0);
        gic::pend(SPI);
        answer.put("iar", gic::ack());
        gic::end(SPI.into());
        WORDS.clear();
        WORDS.set(9, u64::from(by_dir));
        start(1, || {
            gic::init_cpu();
            gic::set_eoi_mode(true);
            if WORDS.get(9) == 1 { gic::dir(SPI.into()) } else { gic::deactivate(SPI) }
        });
        answer.join(1);
        answer.put("state", gic::state(SPI));
        gic::pend(SPI);
        answer.put("iar", gic::ack());
        gic::end(SPI.into());
        gic::dir(SPI.into());
    }
}

pub(super) fn ping_pong(answer: &mut Answer) {
    WORDS.clear();
    gic::open(SPI, PRIORITY, 1);
    start(1, || {
        gic::init_cpu();
        WORDS.set(8, 1);
        for round in 0..20 {
            if !clock::until(100, || gic::highest() != gic::NONE) {
                break;
            }
            let intid = gic::ack();
            gic::route(SPI, 0);
            gic::end(intid);
            WORDS.add(1, intid);
            WORDS.set(9, round + 1);
        }
    });
    WORDS.wait(8, 1);
    for round in 0..20 {
        gic::pend(SPI);
        if !WORDS.wait(9, round + 1) {
            break;
        }
        gic::pend(SPI);
        let intid = gic::ack();
        WORDS.add(0, intid);
        gic::route(SPI, 1);
        gic::end(intid);
    }
    answer.join(1);
    answer.say(format_args!("{}/{}", WORDS.get(0), WORDS.get(1)));
}

/// A redistributor's state is no CPU's: it stays when the CPU goes off and comes back.
pub(super) fn active_over_cpu_off(answer: &mut Answer) {
    WORDS.clear();
    gic::open(SPI, PRIORITY, 1);
    start(1, || {
        gic::init_cpu();
        gic::open(20, 0x60, 0);
        gic::open(3, 0x40, 0);
        gic::pend(SPI);
        WORDS.set(0, gic::ack());
        gic::pend(20);
        WORDS.set(1, gic::ack());
        gic::pend(3);
        WORDS.set(2, gic::ack());
        gic::pend(3);
    });
    answer.join(1);
    answer.say(format_args!("{}/{}/{}", WORDS.get(0), WORDS.get(1), WORDS.get(2)));
    let active = |cpu| read32(private(cpu, bits::SET_ACTIVE));
    answer.say(format_args!("off={},{:#x}", gic::state(SPI), active(1)));
    answer.hex("pending", read32(private(1, bits::SET_PENDING)));
    start(1, || {
        WORDS.set(3, read!("icc_ap1r0_el1"));
        gic::init_cpu();
        WORDS.set(4, gic::ack());
        gic::deactivate(3);
        WORDS.set(5, gic::ack());
        gic::end(WORDS.get(5));
    });
    answer.join(1);
    answer.say(format_args!("ap1r0={:#x},iar={},then={}", WORDS.get(3), WORDS.get(4), WORDS.get(5)));
    answer.say(format_args!("on={},{:#x}", gic::state(SPI), active(1)));
    write32(private(1, bits::CLEAR_ACTIVE), u32::MAX);
    gic::deactivate(SPI);
    gic::pend(SPI);
    answer.put("state", gic::state(SPI));
    gic::route(SPI, 0);
    answer.put("iar", gic::ack());
    gic::end(SPI.into());
}

pub(super) fn to_last(answer: &mut Answer) {
    let last = inventory::cpus() - 1;
    WORDS.clear();
    gic::open(SPI, PRIORITY, last as u64);
    start(last, look);
    WORDS.wait(8, 1);
    gic::pend(SPI);
    answer.join(last);
    answer.put("came", WORDS.get(0));
}

/// Interrupt_Routing_Mode: where no CPU but this one is on there is one choice.
pub(super) fn one_of_n(answer: &mut Answer) {
    gic::open(SPI, PRIORITY, 1 << 31);
    gic::pend(SPI);
    answer.put("iar", gic::ack());
    gic::end(SPI.into());
    answer.put("cpu", Cpu::this().number());
}

pub(super) fn to_nobody(answer: &mut Answer) {
    for affinity in [0x0F, 0xFF, 0x100, 0x1_0000, 0x1_0000_0000, inventory::cpus() as u64] {
        gic::open(SPI, PRIORITY, affinity);
        gic::pend(SPI);
        answer.say(format_args!("{:#x}:{},{}", affinity, gic::ack(), gic::state(SPI)));
        gic::route(SPI, 0);
        answer.put("back", gic::ack());
        gic::end(SPI.into());
    }
}

/// What the priority mask keeps out wakes nobody; the timer does.
pub(super) fn wfi_masked(answer: &mut Answer) {
    gic::set_mask(0x80);
    gic::open(SPI, 0xA0, 0);
    gic::pend(SPI);
    gic::open(gic::VIRTUAL_TIMER, 0x40, 0);
    let begin = clock::now();
    write!("cntv_cval_el0", begin + clock::ms(10));
    write!("cntv_ctl_el0", 1);
    wait_for_interrupt();
    answer.put("slept", clock::now() - begin >= clock::ms(10));
    write!("cntv_ctl_el0", 0);
    gic::set_mask(0xFF);
    answer.put("iar", gic::ack());
    gic::end(SPI.into());
}

pub(super) fn wfi_pending(answer: &mut Answer) {
    gic::open(SPI, PRIORITY, 0);
    gic::pend(SPI);
    gic::open(gic::VIRTUAL_TIMER, 0xF0, 0);
    let begin = clock::now();
    write!("cntv_cval_el0", begin + clock::ms(50));
    write!("cntv_ctl_el0", 1);
    wait_for_interrupt();
    answer.put("at-once", clock::now() - begin < clock::ms(50));
    write!("cntv_ctl_el0", 0);
    answer.put("iar", gic::ack());
    gic::end(SPI.into());
}

/// Another CPU's job: has SPIs pending, masked, until they have been read, but not for ever.
fn hold() {
    gic::init_cpu();
    gic::set_mask(0);
    WORDS.set(8, 1);
    clock::until(2000, || WORDS.get(7) != 0);
    WORDS.set(9, 1);
}

/// What a snippet reads into x1 and x2, from ISPENDR0 on, while another CPU holds these pending; and that it did not
/// take until they were held no longer.
fn states_of_other(answer: &mut Answer, spis: &[u32], read: Snippet) {
    other(answer, hold);
    for spi in spis {
        gic::open(*spi, PRIORITY, 1);
        gic::pend(*spi);
    }
    clock::spin(5);
    let ran = read.run(&[gic::distributor(bits::SET_PENDING)]);
    let ended = WORDS.get(9);
    WORDS.set(7, 1);
    answer.say(format_args!("{:#x},{:#x},other-ended={ended}", ran.x[1], ran.x[2]));
    answer.exceptions("caught", &ran.caught);
    answer.join(1);
    for spi in spis {
        gic::unpend(*spi);
    }
}

pub(super) fn states_by_pair(answer: &mut Answer) {
    states_of_other(answer, &[40, 70], snippet!("ldp w1, w2, [x0, #4]"));
}

pub(super) fn states_by_vector(answer: &mut Answer) {
    states_of_other(answer, &[40, 70], snippet!("ldp s0, s1, [x0, #4]", "fmov w1, s0", "fmov w2, s1"));
}
