// SPDX-License-Identifier: MIT OR Apache-2.0
//! Caches: their maintenance, their being off and on. QEMU has none, so what shows is that every operation is there, is
//! refused to whom it must be, faults as it must, and loses no data.

use crate::arch::others::start;
use crate::arch::snippet::snippet;
use crate::arch::sysreg::{read, write};
use crate::arch::tables::{attribute, map, unmap};
use crate::check::{Answer, Topic, check, check_with};
use crate::devices::RTC;
use crate::shared::{Words, address};

pub(super) const TOPIC: Topic = Topic {
    name: "caches",
    checks: &[
        check("by-address", by_address),
        check("by-set-and-way", by_set_and_way),
        check("instructions", instructions),
        check("translations", translations),
        check("barriers", barriers),
        check("zeroing", zeroing),
        check("of-a-device", of_a_device),
        check("of-nothing", of_nothing),
        check("of-no-page", of_no_page),
        check("of-a-read-only-page", of_read_only),
        check("from-el0-refused", el0_refused),
        check("from-el0-allowed", el0_allowed),
        check("data-cache-off-and-on", data_cache_off),
        check("mmu-off-and-on", mmu_off),
        check("instruction-cache-off-and-on", instruction_cache_off),
        check("uncached-view", uncached_view),
        check("code-that-changes", code_that_changes),
        check("code-that-changes-uncached", code_uncached),
        check("whole-cache", whole_cache),
        check_with("code-by-another-cpu", 2, code_by_another),
    ],
};

static MEMORY: Words = Words::new();

/// Fills memory, runs maintenance on it, and says whether it is all still there.
fn kept(answer: &mut Answer, work: impl FnOnce(&mut Answer, u64)) {
    for word in 0..16 {
        MEMORY.set(word, 0x0101_0101 * word as u64);
    }
    work(answer, address(&MEMORY));
    answer.put("kept", (0..16).all(|word| MEMORY.get(word) == 0x0101_0101 * word as u64));
}

fn by_address(answer: &mut Answer) {
    kept(answer, |answer, memory| {
        // DC IVAC after CIVAC: nothing dirty is thrown away.
        let ran = snippet!("dc cvac, x0", "dc cvau, x0", "dc civac, x0", "dc ivac, x0", "dc cvac, x1", "dsb sy")
            .run(&[memory, memory + 3]);
        answer.put("caught", ran.caught.count());
    });
}

fn by_set_and_way(answer: &mut Answer) {
    kept(answer, |answer, _| {
        let ran = snippet!("dc csw, x0", "dc cisw, x0", "dc isw, x0", "dc cisw, x1", "dsb sy").run(&[0, 2]);
        answer.put("caught", ran.caught.count());
    });
}

fn instructions(answer: &mut Answer) {
    let ran = snippet!("ic iallu", "ic ialluis", "ic ivau, x0", "dsb sy", "isb").run(&[address(&MEMORY)]);
    answer.put("caught", ran.caught.count());
}

fn translations(answer: &mut Answer) {
    let ran = snippet!(
        "tlbi vmalle1",
        "tlbi vmalle1is",
        "tlbi vae1, xzr",
        "tlbi vae1is, xzr",
        "tlbi aside1, xzr",
        "tlbi aside1is, xzr",
        "tlbi vaae1is, xzr",
        "tlbi vale1is, xzr",
        "tlbi vaale1, xzr",
        "dsb ish",
        "isb"
    )
    .run(&[]);
    answer.put("caught", ran.caught.count());
}

fn barriers(answer: &mut Answer) {
    let ran =
        snippet!("dmb sy", "dmb ishld", "dsb ish", "dsb oshst", "isb", "sev", "wfe", "yield", "hint #20", "hint #127")
            .run(&[]);
    answer.put("caught", ran.caught.count());
}

fn zeroing(answer: &mut Answer) {
    static BLOCK: [Words; 4] = [const { Words::new() }; 4];
    for words in &BLOCK {
        for word in 0..16 {
            words.set(word, u64::MAX);
        }
    }
    let size = 4u64 << (read!("dczid_el0") & 0xF);
    let begin = (address(&BLOCK[0]) + size - 1) & !(size - 1);
    let ran = snippet!("dc zva, x0", "ldr x1, [x2]", "ldr x3, [x2, x4]").run(&[begin + 5, 0, begin, 0, size - 8]);
    answer.say(format_args!("size={size},first={:x},last={:x}", ran.x[1], ran.x[3]));
    answer.put("caught", ran.caught.count());
}

/// Device memory has no lines; DC ZVA needs Normal memory.
fn of_a_device(answer: &mut Answer) {
    let ran = snippet!("dc cvac, x0", "dc civac, x0", "dc ivac, x0", "ic ivau, x0").run(&[RTC.base + 4]);
    answer.exceptions("caught", &ran.caught);
}

/// Where there is no device either: maintenance touches nothing that could answer.
fn of_nothing(answer: &mut Answer) {
    let ran = snippet!("dc cvac, x0", "dc civac, x0", "dc ivac, x0", "ic ivau, x0").run(&[RTC.base + 0x1000]);
    answer.exceptions("caught", &ran.caught);
}

fn of_no_page(answer: &mut Answer) {
    let nowhere = unmap(5);
    let ran = snippet!("dc cvac, x0", "dc civac, x0", "dc ivac, x0", "dc zva, x0").run(&[nowhere + 0x40]);
    answer.exceptions("caught", &ran.caught);
    for exception in ran.caught.list() {
        answer.put("far", exception.far.wrapping_sub(nowhere));
    }
}

fn of_read_only(answer: &mut Answer) {
    let page = map(5, address(&MEMORY), attribute::MEMORY | attribute::READ_ONLY);
    let ran = snippet!("dc cvac, x0", "dc civac, x0", "dc zva, x0").run(&[page + address(&MEMORY) % 4096]);
    answer.exceptions("caught", &ran.caught);
    unmap(5);
}

/// SCTLR_EL1: UCI, UCT, DZE.
fn at_el0(answer: &mut Answer, sctlr: u64) {
    let page = map(5, address(&MEMORY), attribute::MEMORY | attribute::EL0 | attribute::NEVER_BY_EL0);
    write!("sctlr_el1", sctlr);
    let ran = snippet!(
        "dc cvac, x0",
        "dc cvau, x0",
        "dc civac, x0",
        "ic ivau, x0",
        "mrs x1, ctr_el0",
        "dc zva, x2",
        "dc ivac, x0",
        "dc cisw, xzr",
        "ic iallu",
        "tlbi vmalle1",
        "svc #0xe0"
    )
    .run_at_el0(&[page + address(&MEMORY) % 4096, 0, page + 0xF80]);
    write!("sctlr_el1", crate::arch::tables::SCTLR);
    answer.exceptions("caught", &ran.caught);
    unmap(5);
}

fn el0_refused(answer: &mut Answer) {
    at_el0(answer, crate::arch::tables::SCTLR);
}

fn el0_allowed(answer: &mut Answer) {
    at_el0(answer, crate::arch::tables::SCTLR | 1 << 26 | 1 << 15);
}

/// Changes SCTLR_EL1 by `bits` for a while, in which memory is read and written.
fn without(answer: &mut Answer, bits: u64) {
    kept(answer, |answer, memory| {
        let ran = snippet!(
            "dc civac, x0",
            "dc civac, x4",
            "dsb sy",
            "mrs x9, sctlr_el1",
            "bic x10, x9, x1",
            "msr sctlr_el1, x10",
            "isb",
            "mrs x5, sctlr_el1",
            "ldr x2, [x0, #8]",
            "str x2, [x0, #8]",
            "ldp x3, x6, [x0, #32]",
            "dsb sy",
            "msr sctlr_el1, x9",
            "isb",
            "and x5, x5, x1"
        )
        .run(&[memory, bits, 0, 0, memory + 64]);
        answer.say(format_args!("{:x}/{:x}/{:x},left={:#x}", ran.x[2], ran.x[3], ran.x[6], ran.x[5]));
        answer.put("caught", ran.caught.count());
    });
}

fn data_cache_off(answer: &mut Answer) {
    without(answer, 1 << 2);
}

fn mmu_off(answer: &mut Answer) {
    without(answer, 1 | 1 << 2);
    without(answer, 1);
}

fn instruction_cache_off(answer: &mut Answer) {
    without(answer, 1 << 12);
}

fn uncached_view(answer: &mut Answer) {
    let here = address(&MEMORY);
    let page = map(5, here, attribute::UNCACHED | attribute::ACCESSED) + here % 4096;
    let ran = snippet!(
        "str x1, [x0]",
        "dc civac, x0",
        "dsb sy",
        "ldr x2, [x3]",
        "str x4, [x3]",
        "dsb sy",
        "dc ivac, x0",
        "dsb sy",
        "ldr x5, [x0]"
    )
    .run(&[here, 0x11, 0, page, 0x22]);
    answer.say(format_args!("{:x}/{:x}", ran.x[2], ran.x[5]));
    unmap(5);
}

static CODE: Words = Words::new();

/// movz x1, #n; ret.
fn program(n: u64) -> u64 {
    0xD280_0001 | n << 5 | 0xD65F_03C0 << 32
}

fn code_that_changes(answer: &mut Answer) {
    for n in [1, 2, 3, 0x7FF] {
        let ran = snippet!(
            "str x2, [x0]",
            "dc cvau, x0",
            "dsb ish",
            "ic ivau, x0",
            "dsb ish",
            "isb",
            "mov x9, x30",
            "blr x0",
            "mov x30, x9"
        )
        .run(&[address(&CODE), 0, program(n)]);
        answer.hex("ran", ran.x[1]);
    }
}

/// Written through a view that is not cached, run through one that is.
fn code_uncached(answer: &mut Answer) {
    let here = address(&CODE);
    let page = map(5, here, attribute::UNCACHED | attribute::ACCESSED) + here % 4096;
    for n in [4, 5] {
        let ran = snippet!(
            "str x2, [x3]",
            "dsb sy",
            "dc ivac, x0",
            "ic iallu",
            "dsb sy",
            "isb",
            "mov x9, x30",
            "blr x0",
            "mov x30, x9"
        )
        .run(&[here, 0, program(n), page]);
        answer.hex("ran", ran.x[1]);
    }
    unmap(5);
}

/// All sets and ways of the first level, as boot code does it.
fn whole_cache(answer: &mut Answer) {
    write!("csselr_el1", 0);
    let geometry = read!("ccsidr_el1");
    let (line, ways, sets) = ((geometry & 7) + 4, (geometry >> 3 & 0x3FF) + 1, (geometry >> 13 & 0x7FFF) + 1);
    let way_shift = 32 - u64::from((ways as u32 - 1).max(1).ilog2()) - 1;
    kept(answer, |answer, _| {
        let ran = snippet!(
            "mov x9, x1",
            "1: mov x10, x2",
            "2: sub x11, x9, #1",
            "lsl x11, x11, x3",
            "sub x12, x10, #1",
            "lsl x12, x12, x4",
            "orr x11, x11, x12",
            "dc cisw, x11",
            "subs x10, x10, #1",
            "b.ne 2b",
            "subs x9, x9, #1",
            "b.ne 1b",
            "dsb sy"
        )
        .run(&[0, ways, sets, way_shift, line]);
        answer.say(format_args!("ways={ways},sets={sets},caught={}", ran.caught.count()));
    });
}

/// Code that another CPU has written.
fn code_by_another(answer: &mut Answer) {
    for n in [6u64, 7] {
        MEMORY.set(0, n);
        start(1, || {
            CODE.set(0, program(MEMORY.get(0)));
            snippet!("dc cvau, x0", "dsb ish", "ic ivau, x0", "dsb ish").run(&[address(&CODE)]);
        });
        answer.join(1);
        let ran = snippet!("isb", "mov x9, x30", "blr x0", "mov x30, x9").run(&[address(&CODE)]);
        answer.hex("ran", ran.x[1]);
    }
}
