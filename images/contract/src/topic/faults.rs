// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exceptions at EL1: what ESR, FAR, ELR and SPSR say (Arm ARM D1.3, D19.2.37).

use crate::arch::exceptions::leave;
use crate::arch::snippet::{EL0_CODE, Ran, Snippet, snippet};
use crate::arch::sysreg::{read, write};
use crate::arch::tables::{SCTLR, TCR, attribute, map, raw, raw_first, raw_second, unmap};
use crate::check::{Answer, Topic, check};
use crate::devices::{GICD, RTC, UART};
use crate::shared::{Words, address};

pub(super) const TOPIC: Topic = Topic {
    name: "faults",
    checks: &[
        check("undefined", undefined),
        check("undefined-at-el0", undefined_el0),
        check("supervisor-calls", calls),
        check("state-of-a-fault", state),
        check("vectors", vectors),
        check("translation", translation),
        check("access-flag", access_flag),
        check("permission", permission),
        check("permission-at-el0", permission_el0),
        check("execute-never", execute_never),
        check("address-size", address_size),
        check("no-region", no_region),
        check("nobodys-address", nobodys),
        check("other-devices", what_else),
        check("nobodys-address-at-el0", nobodys_el0),
        check("nobodys-address-mmu-off", nobodys_mmu_off),
        check("below-ram", below_ram),
        check("behind-ram", behind_ram),
        check("between-devices", between_devices),
        check("run-nobodys-address", run_nobodys),
        check("run-a-device", run_device),
        check("table-at-nobodys-address", table_at_nobodys),
        check("table-at-a-device", table_at_device),
        check("first-table-at-nobodys-address", first_table),
        check("alignment", alignment),
        check("alignment-checked", alignment_checked),
        check("stack-alignment", stack_alignment),
        check("pc-alignment", pc_alignment),
        check("exclusives", exclusives),
        check("tagged-address", tagged),
        check("privileged-access-never", pan),
        check("illegal-return", illegal_return),
        check("traps-of-el0", traps_of_el0),
        check("translate-address", translate),
        check("translate-nobodys-address", translate_nobodys),
        check("pairs-across-pages", across_pages),
        check("branch-target", branch_target),
        check("pointer-authentication", pointer_authentication),
    ],
};

static MEMORY: Words = Words::new();

/// Every exception with its address, relative to `base`.
fn show(answer: &mut Answer, ran: &Ran, base: u64) {
    for exception in ran.caught.list() {
        answer.say(format_args!("{:#x},far{:+}", exception.esr, exception.far.wrapping_sub(base) as i64));
    }
    if ran.caught.count() == 0 {
        answer.say("none");
    }
}

/// Says which exceptions there were, without FAR, which some leave as it was.
fn classes(answer: &mut Answer, ran: &Ran) {
    answer.exceptions("", &ran.caught);
}

fn undefined(answer: &mut Answer) {
    let ran = snippet!(
        "udf #0",
        "udf #0xffff",
        ".inst 0xffffffff",
        "hlt #5",
        ".inst 0x00010000",
        "mrs x0, s3_7_c15_c15_7",
        "msr s3_3_c15_c0_0, x0",
        "mrs x0, s3_0_c13_c0_3",
        "sys #6, c7, c8, #0"
    )
    .run(&[]);
    classes(answer, &ran);
}

fn undefined_el0(answer: &mut Answer) {
    let ran = snippet!(
        "udf #0",
        "mrs x0, sctlr_el1",
        "msr vbar_el1, x0",
        "mrs x0, spsel",
        "msr daifset, #2",
        "eret",
        "mrs x0, hcr_el2",
        "mrs x0, esr_el1",
        "tlbi vmalle1",
        "mrs x0, icc_iar1_el1",
        "mrs x0, dbgbvr0_el1",
        "mrs x0, currentel",
        "svc #0xe0"
    )
    .run_at_el0(&[]);
    classes(answer, &ran);
}

fn calls(answer: &mut Answer) {
    // `skip` leaves out the instruction behind each.
    let ran = snippet!("svc #0", "nop", "svc #0xffff", "nop", "brk #0x5555").run(&[]);
    for exception in ran.caught.list() {
        answer.say(format_args!("{:#x}", exception.esr));
    }
    let ran = snippet!("svc #7", "nop", "brk #8", "svc #0xe0").run_at_el0(&[]);
    classes(answer, &ran);
}

/// ELR is the instruction, SPSR what it ran with.
fn state(answer: &mut Answer) {
    let snippet = snippet!(
        "cmp xzr, xzr",
        "udf #0",
        "msr daifclr, #1",
        "ldr x1, [x0]",
        "msr daifset, #1",
        "adds x2, x3, x3",
        "mrs x1, hcr_el2"
    );
    let ran = snippet.run(&[RTC.base + 0x1000, 0, 0, 1 << 63]);
    for exception in ran.caught.list() {
        let at = exception.elr.wrapping_sub(snippet.address()) / 4;
        answer.say(format_args!("{at}:{:#x},{}", exception.spsr, exception.vector));
    }
    let snippet = snippet!("cmp xzr, xzr", "udf #0", "ldr x1, [x0]", "svc #0xe0");
    let ran = snippet.run_at_el0(&[RTC.base]);
    for exception in ran.caught.list() {
        let at = exception.elr.wrapping_sub(EL0_CODE + snippet.address() % 4096) / 4;
        answer.say(format_args!("el0:{at}:{:#x},{}", exception.spsr, exception.vector));
    }
}

/// With SP_EL0 as the stack pointer, with SP_EL1, from EL0.
fn vectors(answer: &mut Answer) {
    let ran = snippet!(
        "msr spsel, #0",
        "mov x9, sp",
        "mov sp, x0",
        "udf #0",
        "ldr w1, [x2]",
        "mrs x1, hcr_el2",
        "mov sp, x9",
        "msr spsel, #1",
        "udf #0"
    )
    .run(&[address(&MEMORY), 0, RTC.base + 0x1000]);
    for exception in ran.caught.list() {
        answer.say(format_args!("{}:{:#x},{:#x}", exception.vector, exception.esr, exception.spsr));
    }
}

const LOAD_AND_STORE: fn() -> Snippet = || snippet!("ldr x1, [x0]", "str x1, [x0]", "ldrb w2, [x0, #9]");

fn translation(answer: &mut Answer) {
    let nowhere = unmap(10);
    show(answer, &LOAD_AND_STORE().run(&[nowhere]), nowhere);
    let second = raw_second(3, 0);
    show(answer, &LOAD_AND_STORE().run(&[second]), second);
    let first = 5 << 30;
    show(answer, &LOAD_AND_STORE().run(&[first]), first);
    let ran = snippet!("ldr x1, [x0]", "svc #0xe0").run_at_el0(&[nowhere]);
    show(answer, &ran, nowhere);
}

fn access_flag(answer: &mut Answer) {
    let page = raw(10, address(&MEMORY) & !0xFFF | attribute::NORMAL | 3);
    show(answer, &LOAD_AND_STORE().run(&[page]), page);
    let block = raw_second(3, 0x4000_0000 | attribute::NORMAL | 1);
    show(answer, &LOAD_AND_STORE().run(&[block]), block);
    raw_second(3, 0);
    unmap(10);
}

fn permission(answer: &mut Answer) {
    let page = map(10, address(&MEMORY), attribute::MEMORY | attribute::READ_ONLY);
    show(answer, &LOAD_AND_STORE().run(&[page]), page);
    let block = raw_second(3, 0x4000_0000 | attribute::MEMORY | attribute::READ_ONLY | 1);
    show(answer, &LOAD_AND_STORE().run(&[block]), block);
    raw_second(3, 0);
    let ran = snippet!("ldtr x1, [x0]", "sttr x1, [x0]").run(&[page]);
    show(answer, &ran, page);
    unmap(10);
}

fn permission_el0(answer: &mut Answer) {
    let code = snippet!("ldr x1, [x0]", "str x1, [x0, #8]", "svc #0xe0");
    for attributes in [attribute::MEMORY, attribute::MEMORY | attribute::EL0 | attribute::READ_ONLY] {
        let page = map(10, address(&MEMORY), attributes);
        show(answer, &code.run_at_el0(&[page]), page);
    }
    unmap(10);
}

/// Runs what stands at an address, from which it does not come back.
const BRANCH: fn() -> Snippet = || snippet!("mov x9, x30", "blr x0", "mov x30, x9");

fn execute_never(answer: &mut Answer) {
    static CODE: Words = Words::new();
    CODE.set(0, 0xD65F_03C0);
    let never = map(10, address(&CODE), attribute::MEMORY | attribute::NEVER_BY_EL1) + address(&CODE) % 4096;
    show(answer, &BRANCH().run(&[never]), never);
    let users = map(10, address(&CODE), attribute::MEMORY | attribute::EL0) + address(&CODE) % 4096;
    show(answer, &BRANCH().run(&[users]), users);
    let nowhere = unmap(10);
    show(answer, &BRANCH().run(&[nowhere]), nowhere);
    let never = map(10, address(&CODE), attribute::MEMORY | attribute::EL0 | attribute::NEVER_BY_EL0);
    let at_el0 = snippet!("br x0").run_at_el0(&[never]);
    show(answer, &at_el0, never);
    unmap(10);
}

/// An output address of more bits than TCR_EL1.IPS has: 40.
fn address_size(answer: &mut Answer) {
    let page = raw(10, 1 << 41 | attribute::MEMORY | 3);
    show(answer, &LOAD_AND_STORE().run(&[page]), page);
    let block = raw_second(3, 1 << 41 | attribute::MEMORY | 1);
    show(answer, &LOAD_AND_STORE().run(&[block]), block);
    raw_second(3, 0);
    unmap(10);
}

/// Addresses that neither table is for, and TTBR1, which is off (TCR_EL1.EPD1).
fn no_region(answer: &mut Answer) {
    for at in [1 << 39, 1 << 47, 1 << 55, 0xFFFF_FF80_0000_0000, u64::MAX - 0xFFF] {
        show(answer, &snippet!("ldr x1, [x0]").run(&[at]), at);
    }
}

/// Nothing is behind these: an external abort.
const NOBODY: [u64; 2] = [RTC.base + 0x1000, GICD.base + 0x5_0000];

fn nobodys(answer: &mut Answer) {
    for at in NOBODY {
        show(answer, &LOAD_AND_STORE().run(&[at]), at);
    }
}

/// Where plain QEMU has flash, PCIe, and virtio.
fn what_else(answer: &mut Answer) {
    for (name, at) in [("flash", 0x0700_0000), ("pcie", 0x2000_0000), ("virtio", 0x0A00_0000), ("gpio", 0x0903_0000)] {
        answer.say(name);
        show(answer, &snippet!("ldr w1, [x0]").run(&[at]), at);
    }
}

fn nobodys_el0(answer: &mut Answer) {
    let device = attribute::DEVICE | attribute::ACCESSED | attribute::EL0 | attribute::NEVER_BY_EL0;
    let page = map(10, RTC.base + 0x1000, device);
    let ran = snippet!("ldr x1, [x0]", "str x1, [x0, #8]", "ldp x1, x2, [x0, #16]", "svc #0xe0").run_at_el0(&[page]);
    show(answer, &ran, page);
    // Normal memory where there is none.
    let page = map(10, RTC.base + 0x1000, attribute::MEMORY | attribute::EL0 | attribute::NEVER_BY_EL0);
    let ran = snippet!("ldr x1, [x0]", "svc #0xe0").run_at_el0(&[page]);
    show(answer, &ran, page);
    unmap(10);
}

fn nobodys_mmu_off(answer: &mut Answer) {
    let at = RTC.base + 0x1000;
    let ran = snippet!(
        "mrs x9, sctlr_el1",
        "bic x10, x9, #4",
        "bic x10, x10, #1",
        "msr sctlr_el1, x10",
        "isb",
        "ldr x1, [x0]",
        "str x1, [x0]",
        "ldr w2, [x3]",
        "msr sctlr_el1, x9",
        "isb"
    )
    .run(&[at, 0, 0, UART.base + 0xFE0]);
    show(answer, &ran, at);
    answer.hex("uart", ran.x[2]);
}

/// The last byte below RAM, and the second last page.
fn below_ram(answer: &mut Answer) {
    for at in [0x3FFF_FFF8, 0x3FFF_F000] {
        show(answer, &LOAD_AND_STORE().run(&[at]), at);
    }
}

fn behind_ram(answer: &mut Answer) {
    // 64 MiB, and the lab's machines have no more.
    let at = map(10, 0x4400_0000, attribute::MEMORY);
    show(answer, &LOAD_AND_STORE().run(&[at]), at);
    let at = map(10, 0x40_0000_0000 - 0x1000, attribute::MEMORY);
    show(answer, &LOAD_AND_STORE().run(&[at]), at);
    unmap(10);
}

fn between_devices(answer: &mut Answer) {
    for at in [GICD.end(), UART.end(), UART.end() + 0x8000] {
        show(answer, &LOAD_AND_STORE().run(&[at]), at);
    }
}

fn run_nobodys(answer: &mut Answer) {
    let at = map(10, RTC.base + 0x1000, attribute::MEMORY);
    show(answer, &BRANCH().run(&[at]), at);
    let at = map(10, 0x4400_0000, attribute::MEMORY);
    show(answer, &BRANCH().run(&[at + 0x10]), at);
    let at = map(10, RTC.base + 0x1000, attribute::MEMORY | attribute::EL0);
    show(answer, &snippet!("br x0").run_at_el0(&[at]), at);
    unmap(10);
}

/// Devices hold no instructions.
fn run_device(answer: &mut Answer) {
    let at = map(10, RTC.base, attribute::MEMORY);
    let ran = BRANCH().run_with(leave, &[at + 0x20]);
    classes(answer, &ran);
    unmap(10);
}

/// The MMU finds nothing where the next table should be.
fn table_at_nobodys(answer: &mut Answer) {
    let third = raw_second(3, (RTC.base + 0x1000) | 3);
    show(answer, &LOAD_AND_STORE().run(&[third]), third);
    show(answer, &BRANCH().run(&[third]), third);
    raw_second(3, 0);
    let second = raw_first(5, (RTC.base + 0x1000) | 3);
    show(answer, &LOAD_AND_STORE().run(&[second]), second);
    raw_first(5, 0);
}

/// Or a device, which is no memory.
fn table_at_device(answer: &mut Answer) {
    let third = raw_second(3, RTC.base | 3);
    let ran = snippet!("ldr x1, [x0]").run(&[third + 0x10_0000]);
    show(answer, &ran, third);
    raw_second(3, 0);
}

fn first_table(answer: &mut Answer) {
    // 0x1_0000_0000 and up by TTBR1, whose first table is nowhere.
    let ttbr1 = read!("ttbr1_el1");
    let tcr = TCR & !(1 << 23) | 25 << 16 | 2 << 30;
    write!("ttbr1_el1", RTC.base + 0x1000);
    write!("tcr_el1", tcr);
    let at = 0xFFFF_FF80_0000_0000;
    show(answer, &LOAD_AND_STORE().run(&[at]), at);
    write!("tcr_el1", TCR);
    write!("ttbr1_el1", ttbr1);
    snippet!("tlbi vmalle1", "dsb nsh", "isb").run(&[]);
}

fn alignment(answer: &mut Answer) {
    MEMORY.set(0, 0x0123_4567_89AB_CDEF);
    MEMORY.set(1, 0x1122_3344_5566_7788);
    let ran = snippet!("ldr w1, [x0, #3]", "ldr x2, [x0, #5]", "ldrh w3, [x0, #7]", "str w4, [x0, #13]")
        .run(&[address(&MEMORY)]);
    answer.say(format_args!("{:x?}", &ran.x[1..4]));
    show(answer, &ran, address(&MEMORY));
    // These are checked always.
    let ran =
        snippet!("ldxr w1, [x0]", "ldar w1, [x0]", "ldaxr x1, [x0]", "stlr w1, [x0]").run(&[address(&MEMORY) + 1]);
    show(answer, &ran, address(&MEMORY));
}

/// SCTLR_EL1.A.
fn alignment_checked(answer: &mut Answer) {
    write!("sctlr_el1", SCTLR | 2);
    let ran = snippet!("ldr w1, [x0, #3]", "str x2, [x0, #5]", "ldrb w3, [x0, #7]", "ldp x4, x5, [x0, #8]")
        .run(&[address(&MEMORY)]);
    let device = snippet!("ldr w1, [x0, #2]").run(&[RTC.base + 4]);
    write!("sctlr_el1", SCTLR);
    show(answer, &ran, address(&MEMORY));
    show(answer, &device, RTC.base);
}

fn stack_alignment(answer: &mut Answer) {
    let ran = snippet!(
        "msr spsel, #0",
        "mov x9, sp",
        "add x10, x0, #8",
        "mov sp, x10",
        "ldr x1, [sp]",
        "str x1, [sp, #8]",
        "mov sp, x9",
        "msr spsel, #1"
    )
    .run(&[address(&MEMORY) & !15]);
    classes(answer, &ran);
}

fn pc_alignment(answer: &mut Answer) {
    let at = address(&MEMORY) + 2;
    let ran = BRANCH().run(&[at]);
    show(answer, &ran, at);
    if let Some(first) = ran.caught.first() {
        answer.put("elr", first.elr.wrapping_sub(at));
    }
}

fn exclusives(answer: &mut Answer) {
    MEMORY.set(0, 5);
    let ran = snippet!(
        "ldxr x1, [x0]",
        "stxr w2, x1, [x0]",
        "stxr w3, x1, [x0]",
        "ldxr x1, [x0]",
        "clrex",
        "stxr w4, x1, [x0]",
        "ldaxp x5, x6, [x0]",
        "stlxp w7, x5, x6, [x0]"
    )
    .run(&[address(&MEMORY) & !15]);
    answer.say(format_args!("{:x?}", &ran.x[2..5]));
    answer.put("pair", ran.x[7]);
    classes(answer, &ran);
    // An exception in between loses the reservation.
    let ran = snippet!("ldxr x1, [x0]", "udf #0", "stxr w2, x1, [x0]").run(&[address(&MEMORY)]);
    answer.put("after-exception", ran.x[2]);
}

/// TCR_EL1.TBI0: the top byte is no address.
fn tagged(answer: &mut Answer) {
    let tag = 0x5A << 56;
    let ran = snippet!("ldr x1, [x0]").run(&[address(&MEMORY) | tag]);
    show(answer, &ran, address(&MEMORY));
    write!("tcr_el1", TCR | 1 << 37);
    let ran = snippet!("ldr x1, [x0]", "ldr w2, [x3]", "ldr w2, [x4]").run(&[
        address(&MEMORY) | tag,
        0,
        0,
        (RTC.base + 4) | tag,
        (RTC.base + 0x1000) | tag,
    ]);
    show(answer, &ran, RTC.base + 0x1000);
    write!("tcr_el1", TCR);
}

/// FEAT_PAN: EL1 keeps out of EL0's pages.
fn pan(answer: &mut Answer) {
    if read!("id_aa64mmfr1_el1") >> 20 & 0xF == 0 {
        answer.say("none");
        return;
    }
    let page = map(10, address(&MEMORY), attribute::MEMORY | attribute::EL0);
    let ran = snippet!(
        "mov x9, #(1 << 22)",
        "msr s3_0_c4_c2_3, x9",
        "ldr x1, [x0]",
        "str x1, [x0]",
        "ldtr x2, [x0]",
        "msr s3_0_c4_c2_3, xzr",
        "ldr x1, [x0]"
    )
    .run(&[page]);
    show(answer, &ran, page);
    for exception in ran.caught.list() {
        answer.hex("spsr", exception.spsr);
    }
    // SCTLR_EL1.SPAN at 0: taken on every exception.
    write!("sctlr_el1", SCTLR & !(1 << 23));
    let ran = snippet!("udf #0", "mrs x1, hcr_el2", "nop").run(&[]);
    write!("sctlr_el1", SCTLR);
    answer.put("count", ran.caught.count());
    snippet!("msr s3_0_c4_c2_3, xzr").run(&[]);
    unmap(10);
}

/// A return to a state that there is not: PSTATE.IL.
fn illegal_return(answer: &mut Answer) {
    for spsr in [0x3C9u64, 0x3CD, 0x3D3, 0x3C2, 0x3C6] {
        let ran = snippet!("adr x9, 1f", "msr elr_el1, x9", "msr spsr_el1, x0", "eret", "1: nop", "nop").run_with(
            |frame| {
                frame.spsr = 0x3C5;
                crate::arch::exceptions::skip(frame);
            },
            &[spsr],
        );
        answer.say(format_args!("{spsr:#x}:"));
        for exception in ran.caught.list() {
            answer.say(format_args!("{:#x},{:#x}", exception.esr, exception.spsr));
        }
    }
}

/// SCTLR_EL1: UMA, nTWI, nTWE; each a trap of EL0's.
fn traps_of_el0(answer: &mut Answer) {
    for (name, sctlr) in [("none", SCTLR), ("uma", SCTLR | 1 << 9), ("twi", SCTLR | 1 << 16), ("twe", SCTLR | 1 << 18)]
    {
        write!("sctlr_el1", sctlr);
        // WFI would wait for somebody: something is pending.
        crate::gic::open(3, 0x80, 0);
        crate::gic::send(3, 1);
        let ran = snippet!("mrs x1, daif", "msr daifset, #1", "wfe", "wfi", "yield", "svc #0xe0").run_at_el0(&[]);
        write!("sctlr_el1", SCTLR);
        crate::gic::end(crate::gic::ack());
        answer.exceptions(name, &ran.caught);
    }
}

/// AT: the answer in PAR_EL1.
fn translate(answer: &mut Answer) {
    let page = map(10, address(&MEMORY), attribute::MEMORY | attribute::READ_ONLY);
    let nowhere = unmap(11);
    for at in [address(&MEMORY), page, nowhere, UART.base, 5 << 30] {
        let ran = snippet!(
            "at s1e1r, x0",
            "isb",
            "mrs x1, par_el1",
            "at s1e1w, x0",
            "isb",
            "mrs x2, par_el1",
            "at s1e0r, x0",
            "isb",
            "mrs x3, par_el1",
            "at s1e0w, x0",
            "isb",
            "mrs x4, par_el1"
        )
        .run(&[at]);
        // Addresses of the image may differ.
        let masked: [u64; 4] = core::array::from_fn(|n| {
            let par = ran.x[n + 1];
            if par & 1 == 0 { par & 0xFF00_0000_0000_0FFF } else { par }
        });
        answer.say(format_args!("{masked:x?}"));
        classes(answer, &ran);
    }
    unmap(10);
}

/// Stage 1 is content with these; what is behind is not asked.
fn translate_nobodys(answer: &mut Answer) {
    let ran = snippet!("at s1e1r, x0", "isb", "mrs x1, par_el1").run(&[RTC.base + 0x1000]);
    answer.hex("par", ran.x[1]);
    classes(answer, &ran);
    let far = map(10, 0x4400_0000, attribute::MEMORY);
    let ran = snippet!("at s1e1r, x0", "isb", "mrs x1, par_el1").run(&[far]);
    answer.hex("par", ran.x[1]);
    classes(answer, &ran);
    unmap(10);
    let third = raw_second(3, (RTC.base + 0x1000) | 3);
    let ran = snippet!("at s1e1r, x0", "isb", "mrs x1, par_el1").run(&[third]);
    answer.hex("par", ran.x[1]);
    show(answer, &ran, third);
    raw_second(3, 0);
}

/// The second half is on a page that is not there: nothing is loaded, and FAR is the page.
fn across_pages(answer: &mut Answer) {
    let page = map(10, address(&MEMORY), attribute::MEMORY);
    unmap(11);
    let end = page + 4096;
    for code in [snippet!("ldp x1, x2, [x0]"), snippet!("ldr x1, [x0, #4]"), snippet!("stp x1, x2, [x0], #16")] {
        let ran = code.run(&[end - 8, 7, 8]);
        show(answer, &ran, end);
        answer.put("x0", ran.x[0].wrapping_sub(end) as i64);
    }
    unmap(10);
}

/// FEAT_BTI: a guarded page is entered at a landing pad only.
fn branch_target(answer: &mut Answer) {
    static CODE: Words = Words::new();
    if read!("id_aa64pfr1_el1") & 0xF == 0 {
        answer.say("none");
        return;
    }
    // nop, ret; bti c, ret.
    CODE.set(0, 0xD503_201F | 0xD65F_03C0 << 32);
    CODE.set(1, 0xD503_245F | 0xD65F_03C0 << 32);
    let page = map(10, address(&CODE), attribute::MEMORY | attribute::GUARDED) + address(&CODE) % 4096;
    let ran = snippet!("mov x9, x30", "blr x0", "mov x30, x9").run(&[page]);
    classes(answer, &ran);
    for exception in ran.caught.list() {
        answer.hex("spsr", exception.spsr);
    }
    let ran = snippet!("mov x9, x30", "blr x0", "mov x30, x9").run(&[page + 8]);
    classes(answer, &ran);
    unmap(10);
}

/// FEAT_PAuth: keys are this CPU's, and a wrong signature shows.
fn pointer_authentication(answer: &mut Answer) {
    if read!("id_aa64isar1_el1") >> 4 & 0xFF == 0 {
        answer.say("none");
        return;
    }
    write!("s3_0_c2_c1_0", 0x1234);
    write!("s3_0_c2_c1_1", 0x5678);
    write!("sctlr_el1", SCTLR | 1 << 31);
    let ran = snippet!(
        ".arch_extension pauth",
        "mov x1, x0",
        "pacia x1, x2",
        "mov x3, x1",
        "autia x3, x2",
        "mov x4, x1",
        "autia x4, x5",
        "xpaci x1"
    )
    .run(&[address(&MEMORY), 0, 7, 0, 0, 8]);
    write!("sctlr_el1", SCTLR);
    answer.put("authenticated", ran.x[3] == ran.x[0]);
    answer.put("refused", ran.x[4] != ran.x[0]);
    answer.put("stripped", ran.x[1] == ran.x[0]);
    classes(answer, &ran);
    answer.say(format_args!("{:x}/{:x}", read!("s3_0_c2_c1_0"), read!("s3_0_c2_c1_1")));
}
