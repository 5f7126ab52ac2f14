// SPDX-License-Identifier: MIT OR Apache-2.0
//! A reset of the machine (SYSTEM_RESET): what everything is afterwards. The last topic: it begins in one life of the
//! program and ends in the next, which knows of the first by the clock, whose time a reset leaves.

use crate::arch::mmio::{read32, read64, write32};
use crate::arch::others::{at_entry, start};
use crate::arch::psci::ask;
use crate::arch::sysreg::{read, write};
use crate::arch::wait_for_interrupt;
use crate::check::{Answer, Topic, check, check_with};
use crate::clock;
use crate::devices::{RTC, UART};
use crate::gic::{self, CONFIG, PRIORITY, ROUTER, bits, distributor, private, redistributor};
use crate::inventory;
use crate::shared::Words;
use shared_abi::psci::{PSCI_AFFINITY_INFO_64, PSCI_SYSTEM_RESET};

/// What is looked at in the second life.
pub const TOPIC: Topic = Topic {
    name: "reset",
    checks: &[
        check("entry", entry),
        check("cpu-interface", cpu_interface),
        check("distributor", distributor_registers),
        check("redistributor", redistributor_registers),
        check("timers", timers),
        check("uart", uart),
        check("clock", real_time_clock),
        check("debug", debug),
        check("memory-management", memory_management),
        check_with("others-are-off", 2, others_off),
    ],
};

/// Later than any time that a host has, for some decades.
const AFTERWARDS: u32 = 0xE000_0000;
const TIME: u64 = RTC.base;
const LOAD: u64 = RTC.base + 8;

/// How many lines there were before the reset, if there was one.
pub fn lines_before() -> Option<usize> {
    let time = read32(TIME);
    (time >= AFTERWARDS).then(|| (time - AFTERWARDS) as usize / 256)
}

/// What is looked at first thing: later it is as the program needs it.
struct AtStart {
    words: Words,
}

static AT_START: AtStart = AtStart { words: Words::new() };

/// Looks at what changes by the program's own doing.
pub fn note() {
    let words = &AT_START.words;
    words.set(0, read32(gic::CTLR).into());
    words.set(1, read!("icc_ctlr_el1"));
    words.set(2, read!("icc_pmr_el1"));
    words.set(3, read!("icc_bpr0_el1") << 4 | read!("icc_bpr1_el1"));
    words.set(4, read!("icc_igrpen0_el1") << 1 | read!("icc_igrpen1_el1"));
    words.set(5, read!("icc_ap1r0_el1") | read!("icc_ap0r0_el1"));
    words.set(6, read32(redistributor(0, 0x14)).into());
    words.set(7, sum(bits::SET_ENABLE).into());
    words.set(8, sum(bits::SET_PENDING).into());
    words.set(9, sum(bits::SET_ACTIVE).into());
    words.set(10, u64::from(read32(private(0, bits::SET_ENABLE)) | read32(private(0, bits::SET_ACTIVE)) << 1));
    words.set(11, read32(private(0, bits::SET_PENDING)).into());
    words.set(12, priorities());
    words.set(13, (32..96).map(|intid| read64(distributor(ROUTER + 8 * intid))).sum());
    words.set(14, read!("cntv_ctl_el0") & 3);
    words.set(15, u64::from(read32(distributor(CONFIG + 8))) | u64::from(read32(UART.base + 0x38)) << 32);
}

/// Bits of the SPIs that checks use, in one of the registers.
fn sum(register: u64) -> u32 {
    read32(distributor(register + 4)) | read32(distributor(register + 8))
}

fn priorities() -> u64 {
    (40..48).map(|intid| u64::from(read32(distributor(PRIORITY + intid / 4 * 4)))).sum::<u64>()
        + u64::from(read32(private(0, PRIORITY + 20)))
}

/// Puts everything into a state that is none out of reset, and resets the machine. Comes back only if that fails.
pub fn begin(lines: usize) {
    gic::init();
    if inventory::cpus() > 1 {
        // Another CPU is at work, with its timer armed.
        start(1, || {
            gic::init_cpu();
            gic::open(gic::VIRTUAL_TIMER, 0x80, 0);
            write!("cntv_cval_el0", clock::now() + clock::ms(5));
            write!("cntv_ctl_el0", 1);
            loop {
                wait_for_interrupt();
            }
        });
    }
    write32(gic::CTLR, 0b11 | 1 << 4);
    for intid in [20, 40, 41, 42] {
        gic::open(intid, 0x50, 1);
        gic::set_edge(intid, true);
        gic::pend(intid);
    }
    gic::route(40, 0);
    gic::set_group(41, 0);
    gic::activate(42);
    gic::ack();
    write!("icc_ctlr_el1", 3);
    write!("icc_bpr1_el1", 6);
    write!("icc_igrpen0_el1", 1);
    write32(UART.base + 0x30, 0x301);
    write32(UART.base + 0x2C, 0x70);
    write32(UART.base + 0x24, 0x77);
    write32(UART.base + 0x34, 0x2D);
    write!("cntv_cval_el0", clock::now() + clock::ms(20));
    write!("cntv_ctl_el0", 1);
    write!("cntkctl_el1", 0x303);
    write!("dbgbvr0_el1", 0x1000);
    write!("dbgbcr0_el1", 0x1E5);
    write!("mdscr_el1", 1 << 15);
    write!("tpidr_el0", 0x55);
    write32(RTC.base + 4, 0x1234);
    write32(LOAD, AFTERWARDS + lines as u32 * 256);
    ask(PSCI_SYSTEM_RESET, [0; 3]);
}

fn words(answer: &mut Answer, names: &[(&str, usize)]) {
    for (name, word) in names {
        answer.hex(name, AT_START.words.get(*word));
    }
}

fn entry(answer: &mut Answer) {
    let [_, x1, x2, x3, sctlr, daif, level, spsel, _] = at_entry(0);
    answer.say(format_args!("{x1:x},{x2:x},{x3:x}"));
    answer.hex("sctlr", sctlr & (1 | 1 << 2 | 1 << 12 | 3 << 24));
    answer.say(format_args!("daif={daif:#x},el={},spsel={spsel}", level >> 2));
    answer.put("second-life", lines_before().is_some());
}

fn cpu_interface(answer: &mut Answer) {
    words(answer, &[("ctlr", 1), ("pmr", 2), ("bprs", 3), ("enabled", 4), ("active", 5)]);
}

fn distributor_registers(answer: &mut Answer) {
    words(answer, &[("ctlr", 0), ("enabled", 7), ("pending", 8), ("active", 9), ("priorities", 12), ("routes", 13)]);
    answer.hex("config", AT_START.words.get(15) as u32);
}

fn redistributor_registers(answer: &mut Answer) {
    words(answer, &[("waker", 6), ("enabled-or-active", 10), ("pending", 11)]);
}

fn timers(answer: &mut Answer) {
    words(answer, &[("ctl", 14)]);
}

fn uart(answer: &mut Answer) {
    answer.hex("imsc", AT_START.words.get(15) >> 32);
    answer.say(format_args!("ibrd={:#x},ifls={:#x}", read32(UART.base + 0x24), read32(UART.base + 0x34)));
    answer.say(format_args!("cr={:#x},lcr={:#x}", read32(UART.base + 0x30), read32(UART.base + 0x2C)));
}

fn real_time_clock(answer: &mut Answer) {
    answer.hex("match", read32(RTC.base + 4));
    answer.put("time-stays", lines_before().is_some());
}

fn debug(answer: &mut Answer) {
    answer.say(format_args!("mdscr={:#x},bcr={:#x}", read!("mdscr_el1"), read!("dbgbcr0_el1") & 1));
}

fn memory_management(answer: &mut Answer) {
    answer.hex("cntkctl", read!("cntkctl_el1"));
}

fn others_off(answer: &mut Answer) {
    for cpu in 1..inventory::cpus() as u64 {
        answer.put("cpu", ask(PSCI_AFFINITY_INFO_64, [cpu, 0, 0]));
    }
    answer.hex("pending", read32(private(1, bits::SET_PENDING)));
    start(1, || AT_START.words.set(0, read!("cntv_ctl_el0") & 3));
    answer.join(1);
    answer.put("ctl", AT_START.words.get(0));
}
