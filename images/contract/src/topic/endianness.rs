// SPDX-License-Identifier: MIT OR Apache-2.0
//! Big-endian data accesses to devices and memory. Instructions, and registers by MSR and MRS, have no byte order.

use crate::arch::endianness::{big_endian, run_big_endian, with_big_endian_el0};
use crate::arch::mmio::{read32, read64, write32, write64};
use crate::arch::others::{at_entry, entry};
use crate::arch::snippet::{Ran, snippet};
use crate::arch::sysreg::read;
use crate::arch::tables::{attribute, map, unmap};
use crate::check::{Answer, Topic, check, check_with};
use crate::clock;
use crate::devices::{GICD, RTC};
use crate::gic::{self, ROUTER, distributor};
use crate::shared::Words;
use shared_abi::psci::{PSCI_AFFINITY_INFO_64, PSCI_CPU_ON_64, PSCI_VERSION};

pub(super) const TOPIC: Topic = Topic {
    name: "endianness",
    checks: &[
        check("identification", identification),
        check("memory", memory),
        check("loads", |answer| both(answer, loads)),
        check("stores", |answer| both(answer, stores)),
        check("write-back", |answer| both(answer, write_back)),
        check("pairs", |answer| both(answer, pairs)),
        check("simd", |answer| both(answer, simd)),
        check("interrupt-controller", |answer| both(answer, interrupts)),
        check("fault", |answer| both(answer, fault)),
        check("hvc", |answer| both(answer, hvc)),
        check("el0-loads", el0_loads),
        check("el0-stores", el0_stores),
        check("el0-write-back-and-pairs", el0_forms),
        check("el0-only", el0_only),
        check_with("started-by-big-endian", 2, started),
    ],
};

const MATCH: u64 = RTC.base + 4;
const ROUTE: u64 = distributor(ROUTER + 8 * 48);
static MEMORY: Words = Words::new();

fn memory_address() -> u64 {
    core::ptr::from_ref(&MEMORY).expose_provenance() as u64
}

fn prepare() {
    write32(MATCH, 0x8765_9321);
    write64(ROUTE, 0x81_0043_4241);
    write64(ROUTE + 8, 0x91_0023_2221);
}

/// With the MMU off, and with one that reads big-endian tables.
fn both(answer: &mut Answer, look: fn(&mut Answer, bool)) {
    for mmu in [false, true] {
        prepare();
        answer.say(if mmu { "mmu-on:" } else { "mmu-off:" });
        look(answer, mmu);
    }
}

fn show(answer: &mut Answer, ran: &Ran, shown: usize) {
    answer.say(format_args!("{:x?}", &ran.x[1..=shown]));
    if ran.caught.count() != 0 {
        answer.exceptions("caught", &ran.caught);
    }
}

fn devices(answer: &mut Answer) {
    answer.say(format_args!("{:x},{:x},{:x}", read32(MATCH), read64(ROUTE), read64(ROUTE + 8)));
}

fn identification(answer: &mut Answer) {
    let features = read!("id_aa64mmfr0_el1");
    answer.say(format_args!("big={:x},at-el0={:x}", features >> 8 & 0xF, features >> 16 & 0xF));
    answer.hex("sctlr", read!("sctlr_el1") & (3 << 24));
}

fn memory(answer: &mut Answer) {
    for mmu in [false, true] {
        MEMORY.set(0, 0x0123_4567_89AB_CDEF);
        let snippet = big_endian!(
            "ldrb w1, [x0]",
            "ldrh w2, [x0]",
            "ldr w3, [x0]",
            "ldr x4, [x0]",
            "ldrsw x5, [x0]",
            "ldp w6, w7, [x0]",
            "str w4, [x0, #8]",
            "strh w4, [x0, #16]"
        );
        let ran = run_big_endian(snippet, mmu, &[memory_address()]);
        show(answer, &ran, 7);
        answer.say(format_args!("{:x}/{:x}", MEMORY.get(1), MEMORY.get(2)));
    }
}

fn loads(answer: &mut Answer, mmu: bool) {
    let snippet = big_endian!(
        "ldr w1, [x0]",
        "ldrsw x2, [x0]",
        "ldrh w3, [x0]",
        "ldrsh x4, [x0]",
        "ldrb w5, [x0]",
        "ldr x6, [x8]",
        "ldr w7, [x8]",
        "ldr w9, [x8, #4]"
    );
    let ran = run_big_endian(snippet, mmu, &[MATCH, 0, 0, 0, 0, 0, 0, 0, ROUTE]);
    show(answer, &ran, 9);
}

fn stores(answer: &mut Answer, mmu: bool) {
    let snippet = big_endian!("str w1, [x0]", "str x2, [x3]", "str w2, [x3, #8]");
    run_big_endian(snippet, mmu, &[MATCH, 0x1122_3344, 0x4142_4300_8100_0000, ROUTE]);
    devices(answer);
    for snippet in [big_endian!("strh w1, [x0]"), big_endian!("strb w1, [x0]")] {
        run_big_endian(snippet, mmu, &[MATCH, 0x1122_3344]);
        answer.hex("match", read32(MATCH));
    }
}

fn write_back(answer: &mut Answer, mmu: bool) {
    let snippet = big_endian!(
        "ldr w1, [x0], #4",
        "sub x0, x0, #8",
        "ldrsw x2, [x0, #4]!",
        "str w4, [x0], #0",
        "ldr x3, [x8], #8",
        "str x3, [x8], #8",
        "sub x5, x8, x9"
    );
    let ran = run_big_endian(snippet, mmu, &[MATCH, 0, 0, 0, 0x5566_7788, 0, 0, 0, ROUTE, ROUTE]);
    show(answer, &ran, 5);
    devices(answer);
}

fn pairs(answer: &mut Answer, mmu: bool) {
    let snippet = big_endian!(
        "ldp x1, x2, [x8]",
        "ldp w3, w4, [x8]",
        "ldpsw x5, x6, [x8]",
        "stp x2, x1, [x8], #16",
        "sub x7, x8, x9"
    );
    let ran = run_big_endian(snippet, mmu, &[0, 0, 0, 0, 0, 0, 0, 0, ROUTE, ROUTE]);
    show(answer, &ran, 7);
    devices(answer);
}

fn simd(answer: &mut Answer, mmu: bool) {
    let snippet = big_endian!(
        "ldr s0, [x0]",
        "ldr d1, [x8]",
        "ldr q2, [x8]",
        "ldp d3, d4, [x8]",
        "ld1 {{v5.2d}}, [x8]",
        "fmov x1, d0",
        "fmov x2, d1",
        "fmov x3, d2",
        "fmov x4, v2.d[1]",
        "fmov x5, d4",
        "fmov x6, v5.d[1]",
        "str d4, [x8]",
        "str s1, [x0]"
    );
    let ran = run_big_endian(snippet, mmu, &[MATCH, 0, 0, 0, 0, 0, 0, 0, ROUTE]);
    show(answer, &ran, 6);
    devices(answer);
}

fn interrupts(answer: &mut Answer, mmu: bool) {
    gic::open(40, 0x80, 0);
    // ISPENDR1, bit 8, in the other order; then the acknowledge register, which has none.
    let snippet = big_endian!("str w1, [x0, #0x204]", "isb", "mrs x2, icc_iar1_el1", "ldr w3, [x0, #0x304]");
    let ran = run_big_endian(snippet, mmu, &[GICD.base, 0x0001_0000]);
    show(answer, &ran, 3);
    gic::end(ran.x[2]);
}

fn fault(answer: &mut Answer, mmu: bool) {
    let snippet = big_endian!("ldr w1, [x0]", "str w1, [x0], #4", "udf #0", "ldr w2, [x3]");
    let ran = run_big_endian(snippet, mmu, &[RTC.base + 0x1000, 7, 0, MATCH]);
    show(answer, &ran, 2);
}

fn hvc(answer: &mut Answer, mmu: bool) {
    let snippet = big_endian!("hvc #0");
    let ran = run_big_endian(snippet, mmu, &[PSCI_VERSION.0.into()]);
    answer.hex("version", ran.x[0]);
}

fn window() -> u64 {
    let device = attribute::DEVICE | attribute::ACCESSED | attribute::EL0 | attribute::NEVER_BY_EL0;
    map(9, GICD.base + 0x6000, device);
    map(8, RTC.base, device)
}

fn el0_loads(answer: &mut Answer) {
    prepare();
    let device = window();
    let snippet = snippet!(
        "ldr w1, [x0, #4]",
        "ldrsw x2, [x0, #4]",
        "ldrsh w3, [x0, #4]",
        "ldrb w4, [x0, #4]",
        "ldr x5, [x8]",
        "svc #0xe0"
    );
    with_big_endian_el0(|| {
        let ran = snippet.run_at_el0(&[device, 0, 0, 0, 0, 0, 0, 0, device + 4096 + 8 * 48]);
        show(answer, &ran, 5);
    });
}

fn el0_stores(answer: &mut Answer) {
    prepare();
    let device = window();
    let snippet = snippet!("str w1, [x0, #4]", "str x2, [x8]", "svc #0xe0");
    let route = device + 4096 + 8 * 48;
    with_big_endian_el0(|| {
        snippet.run_at_el0(&[device, 0x1122_3344, 0x4142_4300_8100_0000, 0, 0, 0, 0, 0, route]);
    });
    devices(answer);
    unmap(8);
    unmap(9);
}

fn el0_forms(answer: &mut Answer) {
    prepare();
    let device = window();
    let snippet = snippet!(
        "ldr w1, [x0, #4]!",
        "str w2, [x0], #4",
        "ldp x3, x4, [x8], #16",
        "ldp w5, w6, [x8, #-16]!",
        "svc #0xe0"
    );
    with_big_endian_el0(|| {
        let ran = snippet.run_at_el0(&[device, 0, 0x9988_7766, 0, 0, 0, 0, 0, device + 4096 + 8 * 48]);
        show(answer, &ran, 6);
        answer.put("x0", ran.x[0] - device);
    });
    devices(answer);
    unmap(8);
    unmap(9);
}

/// E0E is not EL1's business.
fn el0_only(answer: &mut Answer) {
    prepare();
    with_big_endian_el0(|| answer.hex("match", read32(MATCH)));
}

/// A CPU that is started has its caller's byte order (PSCI, DEN 0022 §6.4.3), or not.
fn started(answer: &mut Answer) {
    let snippet = big_endian!("hvc #0");
    run_big_endian(snippet, false, &[PSCI_CPU_ON_64.0.into(), 1, entry(), 1]);
    clock::until(100, || crate::arch::psci::ask(PSCI_AFFINITY_INFO_64, [1, 0, 0]) == 1);
    answer.hex("sctlr", at_entry(1)[4] & (3 << 24));
}
