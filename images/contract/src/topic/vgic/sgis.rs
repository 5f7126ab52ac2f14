// SPDX-License-Identifier: MIT OR Apache-2.0
//! Software-generated interrupts (§4.4, §12.2.21).

use crate::arch::cpu::Cpu;
use crate::arch::exceptions::Frame;
use crate::arch::mmio::{read32, write32};
use crate::arch::others::start;
use crate::arch::sysreg::write;
use crate::arch::wait_for_interrupt;
use crate::check::Answer;
use crate::clock;
use crate::gic::{self, CTLR, bits, private};
use crate::inventory;
use crate::shared::Words;

const PRIORITY: u8 = 0x80;
/// What CPUs tell each other.
static WORDS: Words = Words::new();

fn open(intid: u32) {
    gic::open(intid, PRIORITY, 0);
}

pub(super) fn own(answer: &mut Answer) {
    open(3);
    gic::send(3, 1);
    answer.put("state", gic::state(3));
    answer.put("iar", gic::ack());
    answer.put("state", gic::state(3));
    gic::end(3);
    answer.put("state", gic::state(3));
    answer.put("iar", gic::ack());
}

pub(super) fn own_while_active(answer: &mut Answer) {
    open(3);
    gic::send(3, 1);
    answer.put("iar", gic::ack());
    gic::send(3, 1);
    answer.put("state", gic::state(3));
    answer.put("iar", gic::ack());
    gic::end(3);
    answer.put("iar", gic::ack());
    gic::end(3);
    answer.put("iar", gic::ack());
}

pub(super) fn own_twice(answer: &mut Answer) {
    open(3);
    gic::send(3, 1);
    gic::send(3, 1);
    answer.put("iar", gic::ack());
    gic::end(3);
    answer.put("iar", gic::ack());
}

pub(super) fn all_sixteen(answer: &mut Answer) {
    for intid in 0..16 {
        open(intid);
    }
    for intid in (0..16).rev() {
        gic::send(intid, 1);
    }
    answer.hex("pending", read32(private(0, bits::SET_PENDING)));
    let mut taken = 0u32;
    for _ in 0..16 {
        let intid = gic::ack();
        taken ^= 1 << (intid % 32);
        gic::end(intid);
    }
    answer.hex("taken", taken);
    answer.put("left", gic::ack());
}

pub(super) fn by_redistributor(answer: &mut Answer) {
    open(9);
    gic::pend(9);
    answer.put("state", gic::state(9));
    gic::unpend(9);
    answer.put("state", gic::state(9));
    gic::pend(9);
    answer.put("iar", gic::ack());
    gic::end(9);
}

pub(super) fn to_nobody(answer: &mut Answer) {
    open(3);
    // CPUs that are not there: Aff0 15, Aff1, Aff2, Aff3; nobody; everybody else where there is nobody.
    for targets in [1 << 15, 1 << 16 | 1, 1 << 32 | 1, 1 << 48 | 1, 0] {
        gic::send(3, targets);
        answer.say(gic::ack());
    }
    gic::send(3, 1 << 40);
    answer.put("others", gic::ack());
    gic::send(3, 0xFFFF);
    answer.put("all", gic::ack());
    gic::end(3);
}

/// RS is RES0, which is to be left out of account, where GICD_TYPER.RSS says that there are no further ranges.
pub(super) fn range_selector(answer: &mut Answer) {
    open(3);
    gic::send(3, 1 << 44 | 1);
    answer.put("iar", gic::ack());
    gic::end(3);
}

/// Which register raises an SGI of which group, where there is one security state (Table 4-3 ff.).
pub(super) fn groups(answer: &mut Answer) {
    write32(CTLR, 0b11 | 1 << 4);
    write!("icc_igrpen0_el1", 1);
    open(4);
    for group in [0, 1] {
        gic::set_group(4, group);
        for register in 0..3 {
            let value = 4 << 24 | 1;
            match register {
                0 => write!("icc_sgi0r_el1", value),
                1 => write!("icc_sgi1r_el1", value),
                _ => write!("icc_asgi1r_el1", value),
            }
            let state = gic::state(4);
            let (group0, group1) = (gic::ack0(), gic::ack());
            answer.say(format_args!("{group}/{register}:{state},{group0}/{group1}"));
            // Ending one by the other group's register is UNPREDICTABLE.
            if group0 == 4 {
                gic::end0(4);
            }
            if group1 == 4 {
                gic::end(4);
            }
            gic::unpend(4);
        }
    }
}

pub(super) fn disabled(answer: &mut Answer) {
    gic::set_priority(6, PRIORITY);
    gic::send(6, 1);
    answer.put("state", gic::state(6));
    answer.put("iar", gic::ack());
    gic::enable(6);
    answer.put("iar", gic::ack());
    gic::end(6);
}

/// Another CPU's job: notes what it is interrupted by until it is told to end.
fn listen() {
    fn take(_: &mut Frame, _: bool) {
        let intid = gic::ack();
        if intid != gic::NONE {
            let me = Cpu::this().number();
            WORDS.add(me, 1 << (4 * intid));
            gic::end(intid);
        }
    }
    gic::init_cpu();
    for intid in 0..8 {
        open(intid);
    }
    Cpu::this().interruptible(take, || {
        WORDS.add(8, 1);
        WORDS.wait(9, 1);
    });
}

/// Starts `listen` on all other CPUs, and waits for them.
fn listeners(answer: &mut Answer, others: usize) {
    WORDS.clear();
    for cpu in 1..=others {
        start(cpu, listen);
    }
    if !WORDS.wait(8, others as u64) {
        answer.say("nobody-listens");
    }
}

fn end_listeners(answer: &mut Answer, others: usize) {
    clock::spin(2);
    WORDS.set(9, 1);
    for cpu in 1..=others {
        answer.join(cpu);
        answer.hex("heard", WORDS.get(cpu));
    }
}

pub(super) fn to_other(answer: &mut Answer) {
    listeners(answer, 1);
    for intid in [1, 5, 2, 5, 5] {
        let before = WORDS.get(1);
        gic::send(intid, 2);
        clock::until(50, || WORDS.get(1) != before);
    }
    answer.put("own", gic::ack());
    end_listeners(answer, 1);
}

pub(super) fn to_others(answer: &mut Answer) {
    let others = inventory::cpus() - 1;
    listeners(answer, others);
    open(2);
    gic::send(2, 1 << 40);
    for cpu in 1..=others {
        clock::until(50, || WORDS.get(cpu) != 0);
    }
    answer.put("own", gic::ack());
    // IRM leaves the list of targets out of account.
    gic::send(2, 1 << 40 | 1);
    for cpu in 1..=others {
        clock::until(50, || WORDS.get(cpu) == 0x200);
    }
    answer.put("own", gic::ack());
    end_listeners(answer, others);
}

pub(super) fn to_all_cpus(answer: &mut Answer) {
    let cpus = inventory::cpus();
    listeners(answer, cpus - 1);
    open(7);
    gic::send(7, (1 << cpus) - 1);
    answer.put("own", gic::ack());
    gic::end(7);
    gic::send(6, 0b1010);
    clock::until(50, || WORDS.get(3) & 0xF << 24 != 0);
    end_listeners(answer, cpus - 1);
}

/// One that is sent to a CPU that is off waits there.
pub(super) fn to_other_off(answer: &mut Answer) {
    WORDS.clear();
    gic::send(5, 2);
    answer.hex("pending", read32(private(1, bits::SET_PENDING)));
    start(1, || {
        gic::init_cpu();
        open(5);
        WORDS.set(0, gic::ack());
        gic::end(WORDS.get(0));
    });
    answer.join(1);
    answer.put("iar", WORDS.get(0));
}

pub(super) fn wakes_wfi(answer: &mut Answer) {
    WORDS.clear();
    start(1, || {
        gic::init_cpu();
        open(5);
        WORDS.set(0, 1);
        while gic::highest() == gic::NONE {
            wait_for_interrupt();
        }
        WORDS.set(1, gic::ack());
        gic::end(WORDS.get(1));
    });
    WORDS.wait(0, 1);
    clock::spin(5);
    answer.put("early", WORDS.get(1));
    gic::send(5, 2);
    answer.join(1);
    answer.put("iar", WORDS.get(1));
}

const ROUNDS: u64 = 50;

pub(super) fn ping_pong(answer: &mut Answer) {
    fn serve(me: usize, other: u64) {
        for round in 0..ROUNDS {
            while gic::highest() == gic::NONE {
                wait_for_interrupt();
            }
            let intid = gic::ack();
            gic::end(intid);
            WORDS.add(me, intid);
            if other == 2 && round + 1 == ROUNDS {
                break;
            }
            gic::send(intid, other);
        }
    }
    WORDS.clear();
    open(5);
    start(1, || {
        gic::init_cpu();
        open(5);
        WORDS.set(8, 1);
        serve(1, 1);
    });
    WORDS.wait(8, 1);
    gic::send(5, 2);
    serve(0, 2);
    answer.join(1);
    answer.say(format_args!("{}/{}", WORDS.get(0), WORDS.get(1)));
}

/// By the other's GICR_ISPENDR0.
pub(super) fn pended_for_other(answer: &mut Answer) {
    listeners(answer, 1);
    write32(private(1, bits::SET_PENDING), 1 << 4);
    clock::until(50, || WORDS.get(1) != 0);
    write32(private(1, bits::CLEAR_ENABLE), 1 << 4);
    write32(private(1, bits::SET_PENDING), 1 << 4);
    clock::spin(2);
    answer.hex("pending", read32(private(1, bits::SET_PENDING)));
    write32(private(1, bits::CLEAR_PENDING), 1 << 4);
    write32(private(1, bits::SET_ENABLE), 1 << 4);
    end_listeners(answer, 1);
}
