// SPDX-License-Identifier: MIT OR Apache-2.0
//! The forms in which instructions access a device: widths, extensions, write-back, pairs, SIMD, exclusives, atomics,
//! unprivileged; and where they end.

use crate::arch::exceptions::{Frame, skip};
use crate::arch::mmio::{read32, read64, write32, write64};
use crate::arch::snippet::{Ran, Snippet, snippet};
use crate::arch::sysreg::read;
use crate::arch::tables::{attribute, map, unmap};
use crate::check::{Answer, Topic, check};
use crate::devices::{GICD, RTC, UART};
use crate::gic::{self, PRIORITY, ROUTER, distributor};

pub(super) const TOPIC: Topic = Topic {
    name: "mmio",
    checks: &[
        check("loads", loads),
        check("signed-loads", signed_loads),
        check("stores", stores),
        check("zero-register", zero_register),
        check("unscaled", unscaled),
        check("register-offsets", register_offsets),
        check("load-into-base", load_into_base),
        check("post-index-loads", post_index_loads),
        check("pre-index-loads", pre_index_loads),
        check("post-index-stores", post_index_stores),
        check("pre-index-stores", pre_index_stores),
        check("write-back-far", write_back_far),
        check("write-back-by-stack-pointer", write_back_sp),
        check("write-back-by-el0-stack-pointer", write_back_sp_el0),
        check("pair-loads", pair_loads),
        check("pair-stores", pair_stores),
        check("pair-signed", pair_signed),
        check("pair-write-back", pair_write_back),
        check("pair-with-zero-register", pair_zero),
        check("pair-not-temporal", pair_not_temporal),
        check("pair-of-two-devices", pair_of_two),
        check("loop-of-post-indexed-stores", priority_loop),
        check("simd-loads", simd_loads),
        check("simd-stores", simd_stores),
        check("simd-pairs", simd_pairs),
        check("simd-write-back", simd_write_back),
        check("simd-structures", simd_structures),
        check("acquire-and-release", ordered),
        check("unprivileged", unprivileged),
        check("exclusives", exclusives),
        check("atomics", atomics),
        check("prefetch", prefetch),
        check("from-el0", from_el0),
        check("from-el0-write-back", from_el0_write_back),
        check("behind-the-last-register", behind),
        check("pair-across-the-end", across_the_end),
        check("nothing-there", nothing_there),
        check("nothing-there-write-back", nothing_write_back),
        check("write-to-read-only", write_to_read_only),
        check("fault-then-again", fault_then_again),
        check("code-that-changes", code_that_changes),
        check("through-another-address", other_address),
        check("many-in-a-row", many_in_a_row),
    ],
};

/// A register of 32 bits that holds anything.
const MATCH: u64 = RTC.base + 4;
/// Bytes that hold anything of five bits.
const BYTES: u64 = distributor(PRIORITY + 48);
/// Registers of 64 bits that hold affinities.
const ROUTE: u64 = distributor(ROUTER + 8 * 48);

/// Four routes with bits of theirs, and eight priorities.
fn prepare() {
    for n in 0..4 {
        write64(ROUTE + 8 * n, 0x81_0083_8281 + 0x10_0011_1111 * n);
    }
    write32(BYTES, 0x88C8_7810);
    write32(BYTES + 4, 0x9080_F040);
    write32(MATCH, 0x8765_9321);
}

/// Runs it, and says what is in the first registers, relative to `base` where x0 points somewhere.
fn show(answer: &mut Answer, snippet: Snippet, base: u64, registers: &[u64], shown: usize) -> Ran {
    let ran = snippet.run(registers);
    answer.say(format_args!("x0{:+}", ran.x[0].wrapping_sub(base) as i64));
    answer.say(format_args!("{:x?}", &ran.x[1..=shown]));
    if ran.caught.count() != 0 {
        answer.exceptions("caught", &ran.caught);
    }
    ran
}

/// The devices' side.
fn devices(answer: &mut Answer) {
    let routes: [u64; 4] = core::array::from_fn(|n| read64(ROUTE + 8 * n as u64));
    answer.say(format_args!("{:x}/{:x}/{:x}", read32(MATCH), read32(BYTES), read32(BYTES + 4)));
    answer.say(format_args!("{routes:x?}"));
}

fn loads(answer: &mut Answer) {
    prepare();
    let snippet = snippet!("mov x1, #-1", "mov x2, #-1", "ldrb w1, [x0]", "ldrb w2, [x0, #3]", "ldr w3, [x0]");
    show(answer, snippet, BYTES, &[BYTES], 3);
    let snippet = snippet!("mov x2, #-1", "ldr w1, [x0]", "ldrh w2, [x0]", "ldrb w3, [x0]");
    show(answer, snippet, MATCH, &[MATCH], 3);
    let snippet = snippet!("ldr x1, [x0]", "ldr w2, [x0]", "ldr w3, [x0, #4]", "ldr x4, [x0, #8]");
    show(answer, snippet, ROUTE, &[ROUTE], 4);
}

fn signed_loads(answer: &mut Answer) {
    prepare();
    let snippet = snippet!("ldrsb w1, [x0]", "ldrsb w2, [x0, #2]", "ldrsb x3, [x0, #3]", "ldrsb x4, [x0, #1]");
    show(answer, snippet, BYTES, &[BYTES], 4);
    let snippet = snippet!("ldrsh w1, [x0]", "ldrsh x2, [x0]", "ldrsw x3, [x0]", "ldrsb w4, [x0]");
    show(answer, snippet, MATCH, &[MATCH], 4);
    // x30 is where a snippet returns to: kept elsewhere.
    let snippet = snippet!(
        "mov x9, x30",
        "ldrsw x1, [x0]",
        "ldrsw x2, [x0, #4]",
        "ldrsw x30, [x0]",
        "mov x3, x30",
        "mov x30, x9"
    );
    show(answer, snippet, ROUTE, &[ROUTE], 3);
}

fn stores(answer: &mut Answer) {
    prepare();
    let value = 0xFEDC_BA98_5020_3040;
    show(answer, snippet!("strb w1, [x0]", "strb w1, [x0, #6]"), BYTES, &[BYTES, value], 1);
    show(answer, snippet!("str w1, [x0]"), MATCH, &[MATCH, value], 1);
    let routes = 0x55_0044_3322;
    show(answer, snippet!("str x1, [x0]", "str w1, [x0, #12]"), ROUTE, &[ROUTE, routes], 1);
    devices(answer);
    show(answer, snippet!("strh w1, [x0]", "ldr w2, [x0]"), MATCH, &[MATCH, value], 2);
    show(answer, snippet!("strb w1, [x0]", "ldr w2, [x0]"), MATCH, &[MATCH, value], 2);
}

fn zero_register(answer: &mut Answer) {
    prepare();
    let snippet = snippet!("ldr wzr, [x0]", "ldr xzr, [x1]", "ldrsb xzr, [x0]", "strb wzr, [x2]", "mov x4, xzr");
    show(answer, snippet, MATCH, &[MATCH, ROUTE, BYTES + 1], 4);
    show(answer, snippet!("str wzr, [x0]", "str xzr, [x1]"), MATCH, &[MATCH, ROUTE + 8], 1);
    devices(answer);
}

fn unscaled(answer: &mut Answer) {
    prepare();
    let snippet = snippet!(
        "ldurb w1, [x0, #-1]",
        "ldur w2, [x0, #-4]",
        "ldursb x3, [x0, #-2]",
        "sturb w4, [x0, #-3]",
        "ldurh w5, [x6, #0]",
        "ldur x7, [x8, #-8]"
    );
    show(answer, snippet, BYTES + 4, &[BYTES + 4, 0, 0, 0, 0x58, 0, MATCH, 0, ROUTE + 8], 7);
    devices(answer);
}

fn register_offsets(answer: &mut Answer) {
    prepare();
    let snippet = snippet!(
        "ldr w1, [x0, x5]",
        "ldr w2, [x0, w6, sxtw]",
        "ldrb w3, [x0, w5, uxtw]",
        "ldr x4, [x7, x8, lsl #3]",
        "strb w5, [x0, x9]",
        "ldr w10, [x0, w11, sxtw #2]"
    );
    let minus = u64::from(-4i32 as u32);
    show(answer, snippet, BYTES, &[BYTES, 0, 0, 0, 0, 4, minus + 4, ROUTE, 2, 1, 0, 1], 10);
    devices(answer);
}

fn load_into_base(answer: &mut Answer) {
    prepare();
    show(answer, snippet!("ldr w0, [x0]"), 0, &[MATCH], 1);
    show(answer, snippet!("ldrsb x0, [x0]"), 0, &[BYTES + 3], 1);
    show(answer, snippet!("ldr x0, [x0]"), 0, &[ROUTE], 1);
    show(answer, snippet!("str w0, [x0]", "ldr w1, [x0]"), MATCH, &[MATCH], 1);
}

fn post_index_loads(answer: &mut Answer) {
    prepare();
    show(answer, snippet!("ldrb w1, [x0], #1", "ldrb w2, [x0], #2", "ldrsb x3, [x0], #-3"), BYTES, &[BYTES], 3);
    show(answer, snippet!("ldr w1, [x0], #4", "ldr w2, [x0], #-4"), BYTES, &[BYTES], 2);
    show(answer, snippet!("ldr x1, [x0], #8", "ldr x2, [x0], #8"), ROUTE, &[ROUTE], 2);
    show(answer, snippet!("ldrsw x1, [x0], #4", "ldrsw x2, [x0], #12"), ROUTE, &[ROUTE], 2);
    show(answer, snippet!("ldrh w1, [x0], #255", "mov x2, #1"), MATCH, &[MATCH], 2);
    show(answer, snippet!("ldrsh w1, [x0], #-256", "mov x2, #1"), MATCH, &[MATCH], 2);
    show(answer, snippet!("ldr wzr, [x0], #16"), MATCH, &[MATCH], 1);
}

fn pre_index_loads(answer: &mut Answer) {
    prepare();
    show(answer, snippet!("ldrb w1, [x0, #1]!", "ldrb w2, [x0, #2]!", "ldrsb w3, [x0, #-1]!"), BYTES, &[BYTES], 3);
    show(answer, snippet!("ldr w1, [x0, #4]!", "ldr w2, [x0, #-4]!"), BYTES, &[BYTES], 2);
    show(answer, snippet!("ldr x1, [x0, #8]!", "ldr x2, [x0, #16]!"), ROUTE, &[ROUTE], 2);
    show(answer, snippet!("ldrsw x1, [x0, #4]!"), ROUTE, &[ROUTE], 1);
    show(answer, snippet!("ldrh w1, [x0, #-252]!", "ldrsh x2, [x3, #4]!"), MATCH, &[MATCH + 252, 0, 0, RTC.base], 3);
}

fn post_index_stores(answer: &mut Answer) {
    prepare();
    show(answer, snippet!("strb w1, [x0], #1", "strb w2, [x0], #3"), BYTES, &[BYTES, 0x10, 0x20], 2);
    show(answer, snippet!("str w1, [x0], #-4"), BYTES + 4, &[BYTES + 4, 0x3040_5060], 1);
    show(answer, snippet!("str x1, [x0], #8", "str xzr, [x0], #8"), ROUTE, &[ROUTE, 0x12_0034_5678], 1);
    show(answer, snippet!("str w1, [x0], #64"), MATCH, &[MATCH, 0x1357_9BDF], 1);
    devices(answer);
}

fn pre_index_stores(answer: &mut Answer) {
    prepare();
    show(answer, snippet!("strb w1, [x0, #1]!", "strb w2, [x0, #6]!"), BYTES, &[BYTES, 0x10, 0x20], 2);
    show(answer, snippet!("str w1, [x0, #-4]!"), BYTES, &[BYTES + 4, 0x3040_5060], 1);
    show(answer, snippet!("str x1, [x0, #8]!", "str xzr, [x0, #16]!"), ROUTE, &[ROUTE, 0x12_0034_5678], 1);
    show(answer, snippet!("str w1, [x0, #4]!"), MATCH, &[RTC.base, 0x2468_ACE0], 1);
    devices(answer);
}

/// The base leaves the device, and the page: only the access counts.
fn write_back_far(answer: &mut Answer) {
    prepare();
    show(answer, snippet!("ldr w1, [x0], #-256"), RTC.base, &[RTC.base + 0xFE0], 1);
    show(answer, snippet!("ldr w1, [x0], #252"), RTC.base, &[RTC.base + 0xFE0], 1);
    show(answer, snippet!("ldp x1, x2, [x0], #-512"), ROUTE, &[ROUTE], 2);
    show(answer, snippet!("ldp x1, x2, [x0, #-512]!"), ROUTE, &[ROUTE + 512], 2);
}

/// Base 31 is the stack pointer.
fn write_back_sp(answer: &mut Answer) {
    prepare();
    let snippet = snippet!(
        "mov x9, sp",
        "mov sp, x0",
        "ldr w1, [sp], #16",
        "mov x0, sp",
        "ldr x2, [sp, #-16]!",
        "mov x3, sp",
        "str w4, [sp, #8]",
        "mov sp, x9",
        "sub x3, x3, x10"
    );
    let route = ROUTE & !15;
    show(answer, snippet, route, &[route, 0, 0, 0, 0x77, 0, 0, 0, 0, 0, route], 3);
    devices(answer);
}

/// At EL1 with SP_EL0, which is another register.
fn write_back_sp_el0(answer: &mut Answer) {
    prepare();
    let snippet = snippet!(
        "msr spsel, #0",
        "mov x9, sp",
        "mov sp, x0",
        "ldr w1, [sp], #16",
        "mov x0, sp",
        "stp x2, x3, [sp, #-16]!",
        "mov x4, sp",
        "mov sp, x9",
        "msr spsel, #1",
        "sub x4, x4, x10"
    );
    let route = ROUTE & !15;
    show(answer, snippet, route, &[route, 0, 3, 4, 0, 0, 0, 0, 0, 0, route], 4);
    devices(answer);
}

fn pair_loads(answer: &mut Answer) {
    prepare();
    show(answer, snippet!("ldp x1, x2, [x0]", "ldp x3, x4, [x0, #16]"), ROUTE, &[ROUTE], 4);
    show(answer, snippet!("ldp w1, w2, [x0]", "ldp w3, w4, [x0, #24]"), ROUTE, &[ROUTE], 4);
    show(answer, snippet!("ldp x4, x0, [x0]"), 0, &[ROUTE], 4);
    show(answer, snippet!("ldp x2, x1, [x0, #-16]"), ROUTE, &[ROUTE + 16], 2);
}

fn pair_stores(answer: &mut Answer) {
    prepare();
    show(
        answer,
        snippet!("stp x1, x2, [x0]", "stp w1, w2, [x0, #16]"),
        ROUTE,
        &[ROUTE, 0x11_0022_3344, 0x55_0066_7788],
        2,
    );
    devices(answer);
    show(answer, snippet!("stp x1, x1, [x0, #16]"), ROUTE, &[ROUTE, 9], 1);
    devices(answer);
}

fn pair_signed(answer: &mut Answer) {
    prepare();
    show(answer, snippet!("ldpsw x1, x2, [x0]", "ldpsw x3, x4, [x0, #8]!"), ROUTE, &[ROUTE], 4);
    show(answer, snippet!("ldpsw x1, x2, [x0], #-8"), ROUTE, &[ROUTE], 2);
}

fn pair_write_back(answer: &mut Answer) {
    prepare();
    show(answer, snippet!("ldp x1, x2, [x0], #16", "ldp w3, w4, [x0], #8"), ROUTE, &[ROUTE], 4);
    show(answer, snippet!("ldp x1, x2, [x0, #16]!", "ldp w3, w4, [x0, #-8]!"), ROUTE, &[ROUTE], 4);
    show(answer, snippet!("stp x1, x2, [x0], #16", "stp w1, w2, [x0], #8"), ROUTE, &[ROUTE, 1, 2], 2);
    show(answer, snippet!("stp x1, x2, [x0, #-16]!"), ROUTE, &[ROUTE + 32, 3, 4], 2);
    devices(answer);
}

fn pair_zero(answer: &mut Answer) {
    prepare();
    show(answer, snippet!("ldp xzr, x1, [x0]", "ldp x2, xzr, [x0, #16]"), ROUTE, &[ROUTE], 2);
    show(answer, snippet!("stp xzr, x1, [x0], #16", "stp x1, xzr, [x0]"), ROUTE, &[ROUTE, 5], 1);
    devices(answer);
}

fn pair_not_temporal(answer: &mut Answer) {
    prepare();
    show(answer, snippet!("ldnp x1, x2, [x0]", "stnp x2, x1, [x0, #16]", "ldnp w3, w4, [x0, #16]"), ROUTE, &[ROUTE], 4);
    devices(answer);
}

/// UARTIBRD's neighbour and beyond: one instruction, two pages that are both devices, through a window.
fn pair_of_two(answer: &mut Answer) {
    let device = attribute::DEVICE | attribute::ACCESSED | attribute::NEVER_BY_EL0 | attribute::NEVER_BY_EL1;
    let window = map(8, RTC.base, device);
    map(9, UART.base, device);
    write32(UART.base + 4, 0);
    let snippet = snippet!("ldp w1, w2, [x0]", "ldp w3, w4, [x0], #4");
    show(answer, snippet, window, &[window + 0xFFC], 1);
    let ran = snippet.run(&[window + 0xFF8]);
    answer.say(format_args!("{:x?}", &ran.x[1..5]));
    unmap(8);
    unmap(9);
}

/// What compilers make of a plain loop over GICR_IPRIORITYR.
fn priority_loop(answer: &mut Answer) {
    let registers = gic::private(0, PRIORITY);
    let snippet = snippet!("1: str w1, [x0], #4", "subs w2, w2, #1", "b.ne 1b");
    show(answer, snippet, registers, &[registers, 0xA0A0_A0A0, 8], 2);
    let all: [u32; 8] = core::array::from_fn(|n| read32(registers + 4 * n as u64));
    answer.say(format_args!("{all:x?}"));
}

fn simd_loads(answer: &mut Answer) {
    prepare();
    let snippet = snippet!(
        "ldr b0, [x0]",
        "ldr h1, [x1]",
        "ldr s2, [x1]",
        "ldr d3, [x2]",
        "ldr q4, [x2]",
        "ldur s5, [x0, #4]",
        "fmov x3, d0",
        "fmov x4, d1",
        "fmov x5, d2",
        "fmov x6, d3",
        "fmov x7, d4",
        "fmov x8, v4.d[1]",
        "fmov x9, v3.d[1]",
        "fmov x10, d5"
    );
    show(answer, snippet, BYTES, &[BYTES, MATCH, ROUTE], 10);
}

fn simd_stores(answer: &mut Answer) {
    prepare();
    let snippet = snippet!(
        "fmov d0, x3",
        "fmov v0.d[1], x4",
        "str q0, [x2]",
        "str d0, [x2, #16]",
        "str s0, [x1]",
        "str b0, [x0, #1]",
        "stur s0, [x0, #4]"
    );
    show(answer, snippet, BYTES, &[BYTES, MATCH, ROUTE, 0x12_0034_5058, 0x21_0043_6585], 4);
    devices(answer);
}

fn simd_pairs(answer: &mut Answer) {
    prepare();
    let snippet = snippet!(
        "ldp d0, d1, [x0]",
        "ldp s2, s3, [x0, #8]",
        "ldp q4, q5, [x0]",
        "fmov x1, d0",
        "fmov x2, d1",
        "fmov x3, d2",
        "fmov x4, d3",
        "fmov x5, v4.d[1]",
        "fmov x6, d5",
        "stp d1, d0, [x0], #16",
        "stp s0, s1, [x0, #8]"
    );
    show(answer, snippet, ROUTE, &[ROUTE], 6);
    devices(answer);
}

fn simd_write_back(answer: &mut Answer) {
    prepare();
    let snippet = snippet!(
        "ldr d0, [x0], #8",
        "ldr q1, [x0, #8]!",
        "ldr s2, [x0], #-16",
        "str d0, [x0, #24]!",
        "fmov x1, d0",
        "fmov x2, d1",
        "fmov x3, v1.d[1]",
        "fmov x4, d2"
    );
    show(answer, snippet, ROUTE, &[ROUTE], 4);
    devices(answer);
}

fn simd_structures(answer: &mut Answer) {
    prepare();
    let snippet = snippet!(
        "mov x9, x0",
        "ld1 {{v0.2d}}, [x0]",
        "ld1 {{v1.2d, v2.2d}}, [x0], #32",
        "ld1 {{v3.d}}[1], [x9], #8",
        "ld1r {{v4.2d}}, [x9]",
        "ld2 {{v5.2d, v6.2d}}, [x10]",
        "fmov x1, v0.d[1]",
        "fmov x2, d2",
        "fmov x3, v3.d[1]",
        "fmov x4, v4.d[1]",
        "fmov x5, v5.d[1]",
        "fmov x6, d6",
        "st1 {{v2.d}}[1], [x10], x11",
        "st1 {{v0.2d}}, [x10]",
        "sub x7, x10, x12"
    );
    show(answer, snippet, ROUTE, &[ROUTE, 0, 0, 0, 0, 0, 0, 0, 0, 0, ROUTE, 16, ROUTE], 7);
    devices(answer);
    let snippet = snippet!("ld1 {{v0.b}}[3], [x0], #1", "ld1 {{v1.s}}[1], [x1]", "fmov x2, d0", "fmov x3, d1");
    show(answer, snippet, BYTES, &[BYTES, MATCH], 3);
}

fn ordered(answer: &mut Answer) {
    prepare();
    let snippet = snippet!(
        "ldar w1, [x0]",
        "ldarb w2, [x6]",
        "ldar x3, [x7]",
        "ldarh w4, [x0]",
        "stlr w8, [x0]",
        "stlrb w8, [x6]",
        "stlr x9, [x7]"
    );
    show(answer, snippet, MATCH, &[MATCH, 0, 0, 0, 0, 0, BYTES, ROUTE, 0x7777_7770, 0x12_0034_5678], 4);
    devices(answer);
}

/// LDTR and STTR, at EL1 as EL0: of a page that EL0 has, and of one that it has not.
fn unprivileged(answer: &mut Answer) {
    prepare();
    let device = attribute::DEVICE | attribute::ACCESSED | attribute::NEVER_BY_EL0 | attribute::NEVER_BY_EL1;
    let open = map(8, RTC.base, device | attribute::EL0) + 4;
    let snippet = snippet!("ldtr w1, [x0]", "ldtrsh x2, [x0]", "sttr w3, [x0]", "ldtr w4, [x5]");
    show(answer, snippet, open, &[open, 0, 0, 0x1234_5678, 0, MATCH], 4);
    answer.hex("match", read32(MATCH));
    unmap(8);
}

/// Exclusive and atomic accesses to device memory are at best implementation-defined (B2.9, B2.2.1).
fn exclusives(answer: &mut Answer) {
    prepare();
    let snippet = snippet!("ldxr w1, [x0]", "stxr w2, w3, [x0]");
    show(answer, snippet, MATCH, &[MATCH, 0, 9, 0x33], 2);
    answer.hex("match", read32(MATCH));
}

fn atomics(answer: &mut Answer) {
    prepare();
    if read!("id_aa64isar0_el1") >> 20 & 0xF == 0 {
        answer.say("none");
        return;
    }
    let snippet = snippet!("swp w1, w2, [x0]", "ldadd w1, w3, [x0]", "cas w3, w1, [x0]", "stset w4, [x0]");
    show(answer, snippet, MATCH, &[MATCH, 7, 0, 0, 8], 4);
    answer.hex("match", read32(MATCH));
}

fn prefetch(answer: &mut Answer) {
    prepare();
    let snippet = snippet!("prfm pldl1keep, [x0]", "prfm pstl1keep, [x2]", "prfum pldl2strm, [x0, #-4]", "mov x1, #1");
    show(answer, snippet, MATCH, &[MATCH, 0, RTC.base + 0x1000], 1);
}

fn device_for_el0() -> u64 {
    map(8, RTC.base, attribute::DEVICE | attribute::ACCESSED | attribute::EL0 | attribute::NEVER_BY_EL0)
}

fn from_el0(answer: &mut Answer) {
    prepare();
    let device = device_for_el0();
    let snippet =
        snippet!("ldr w1, [x0, #4]", "ldrsb x2, [x0, #4]", "str w3, [x0, #4]", "ldr w4, [x0, #4]", "svc #0xe0");
    let ran = snippet.run_at_el0(&[device, 0, 0, 0x8899_AABB]);
    answer.say(format_args!("{:x?}", &ran.x[1..5]));
    answer.exceptions("caught", &ran.caught);
    let ran = snippet!("ldr w1, [x0]", "svc #0xe0").run_at_el0(&[MATCH]);
    answer.exceptions("not-its", &ran.caught);
    unmap(8);
}

/// Base 31 is EL0's stack pointer there.
fn from_el0_write_back(answer: &mut Answer) {
    prepare();
    let device = device_for_el0();
    let snippet = snippet!(
        "ldr w1, [x0, #4]!",
        "mov x9, sp",
        "add x8, x0, #12",
        "mov sp, x8",
        "str w3, [sp, #-12]",
        "ldr w4, [sp, #-16]!",
        "mov x5, sp",
        "mov sp, x9",
        "ldr w2, [x0], #-4",
        "svc #0xe0"
    );
    let ran = snippet.run_at_el0(&[device, 0, 0, 0x8899_AABB]);
    answer.say(format_args!("{:x?} sp+{}", &ran.x[1..4], ran.x[5].wrapping_sub(device) as i64));
    answer.put("x0", ran.x[0].wrapping_sub(device) as i64);
    answer.exceptions("caught", &ran.caught);
    unmap(8);
}

fn behind(answer: &mut Answer) {
    for (name, address) in [("rtc", RTC.base + 0xFFC), ("uart", UART.base + 0xFFC), ("gicd", GICD.base + 0xFFFC)] {
        let ran = snippet!("mov x1, #-1", "ldr w1, [x0]").run(&[address]);
        answer.say(format_args!("{name}={:x}", ran.x[1]));
        answer.exceptions("", &ran.caught);
    }
}

/// The first half is a device's, the second nobody's.
fn across_the_end(answer: &mut Answer) {
    for (name, end) in [("rtc", RTC.end()), ("uart", UART.end())] {
        for snippet in [
            snippet!("ldp w1, w2, [x0]"),
            snippet!("ldp w1, w2, [x0], #8"),
            snippet!("stp w3, w3, [x0, #0]!"),
            snippet!("ldp s0, s1, [x0]"),
            snippet!("ldr x1, [x0]"),
        ] {
            let ran = snippet.run(&[end - 4, 0x11, 0x22]);
            answer.say(name);
            for exception in ran.caught.list() {
                answer.say(format_args!("{:#x},far{:+}", exception.esr, exception.far.wrapping_sub(end) as i64));
            }
            answer.say(format_args!("x0{:+}", ran.x[0].wrapping_sub(end) as i64));
        }
    }
}

fn nothing_there(answer: &mut Answer) {
    let nowhere = RTC.base + 0x1000;
    for (name, snippet) in [
        ("byte", snippet!("ldrb w1, [x0]")),
        ("signed", snippet!("ldrsh x1, [x0]")),
        ("word", snippet!("ldr w1, [x0]")),
        ("double", snippet!("ldr x1, [x0]")),
        ("store", snippet!("str x1, [x0]")),
        ("pair", snippet!("ldp x1, x2, [x0]")),
        ("simd", snippet!("ldr q0, [x0]")),
        ("acquire", snippet!("ldar w1, [x0]")),
    ] {
        let ran = snippet.run(&[nowhere, 7]);
        answer.exceptions(name, &ran.caught);
        let far = ran.caught.first().map_or(0, |exception| exception.far.wrapping_sub(nowhere));
        answer.say(format_args!("far{:+}", far as i64));
    }
}

/// A base that an aborted access was to change stays.
fn nothing_write_back(answer: &mut Answer) {
    let nowhere = RTC.base + 0x1000;
    for snippet in [
        snippet!("ldr w1, [x0], #4"),
        snippet!("ldr w1, [x0, #4]!"),
        snippet!("str x1, [x0], #8"),
        snippet!("ldp x1, x2, [x0], #16"),
        snippet!("stp x1, x2, [x0, #16]!"),
        snippet!("ldr d0, [x0], #8"),
    ] {
        let ran = snippet.run(&[nowhere, 7, 8]);
        let first = ran.caught.first().unwrap_or_default();
        answer.say(format_args!(
            "{:#x},far{:+},x0{:+},{}",
            first.esr,
            first.far.wrapping_sub(nowhere) as i64,
            ran.x[0].wrapping_sub(nowhere) as i64,
            ran.x[1]
        ));
    }
}

fn write_to_read_only(answer: &mut Answer) {
    prepare();
    // Stage 1 refuses, before any device is asked.
    let device = attribute::DEVICE | attribute::ACCESSED | attribute::READ_ONLY | attribute::NEVER_BY_EL0;
    let window = map(8, RTC.base, device) + 4;
    let snippet =
        snippet!("ldr w1, [x0], #0", "str w2, [x0]", "str w2, [x0], #4", "stp w2, w2, [x0, #4]!", "mov x3, #1");
    let ran = show(answer, snippet, window, &[window, 0, 0x55], 3);
    answer.say(format_args!("{:x}", read32(MATCH)));
    for exception in ran.caught.list() {
        answer.say(format_args!("far{:+}", exception.far.wrapping_sub(window) as i64));
    }
    unmap(8);
}

/// The handler makes the access possible and returns to it.
fn fault_then_again(answer: &mut Answer) {
    fn repair(frame: &mut Frame) {
        if frame.esr >> 26 == 0x25 {
            map(8, RTC.base, attribute::DEVICE | attribute::ACCESSED | attribute::NEVER_BY_EL0);
        } else {
            skip(frame);
        }
    }
    prepare();
    let window = unmap(8);
    for snippet in [snippet!("ldr w1, [x0, #4]"), snippet!("ldr w1, [x0, #4]!"), snippet!("ldp w1, w2, [x0, #4]!")] {
        unmap(8);
        let ran = snippet.run_with(repair, &[window]);
        answer.say(format_args!("{}:{:x},x0+{}", ran.caught.count(), ran.x[1] & 0xFFFF_0000, ran.x[0] - window));
        if let Some(first) = ran.caught.first() {
            answer.say(format_args!("{:#x},far+{}", first.esr, first.far - window));
        }
    }
    unmap(8);
}

/// Whoever decodes the instruction reads what runs, also where code was written a moment ago.
fn code_that_changes(answer: &mut Answer) {
    static CODE: crate::shared::Words = crate::shared::Words::new();
    prepare();
    let code = core::ptr::from_ref(&CODE).expose_provenance() as u64;
    // ldr w1, [x0], #4; then ldr w1, [x0, #-4]!; then ldrb w1, [x0], #1; each with ret.
    for instruction in [0xB840_4401u64, 0xB85F_CC01, 0x3840_1401] {
        CODE.set(0, instruction | 0xD65F_03C0 << 32);
        let snippet = snippet!(
            "dc cvau, x9",
            "dsb ish",
            "ic ivau, x9",
            "dsb ish",
            "isb",
            "mov x10, x30",
            "blr x9",
            "mov x30, x10"
        );
        let ran = snippet.run(&[BYTES + 4, 0, 0, 0, 0, 0, 0, 0, 0, code]);
        answer.say(format_args!("{:x},x0{:+}", ran.x[1], ran.x[0].wrapping_sub(BYTES) as i64));
    }
}

/// Code and device where their virtual addresses are not their physical ones.
fn other_address(answer: &mut Answer) {
    prepare();
    let window = map(8, GICD.base + 0x6000, attribute::DEVICE | attribute::ACCESSED | attribute::NEVER_BY_EL0) + 8 * 48;
    let snippet = snippet!("ldp x1, x2, [x0], #16", "ldr x3, [x0, #8]!", "str xzr, [x0], #-8");
    show(answer, snippet, window, &[window], 3);
    devices(answer);
    unmap(8);
}

fn many_in_a_row(answer: &mut Answer) {
    prepare();
    let snippet = snippet!(
        "1: ldr w2, [x0], #0",
        "add w2, w2, #1",
        "str w2, [x0, #0]!",
        "ldp x3, x4, [x5], #0",
        "subs w1, w1, #1",
        "b.ne 1b"
    );
    show(answer, snippet, MATCH, &[MATCH, 200, 0, 0, 0, ROUTE], 4);
    answer.hex("match", read32(MATCH));
}
