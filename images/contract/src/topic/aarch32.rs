// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs of AArch32 at EL0: device accesses, system calls, what traps, and where exceptions go.

use crate::arch::mmio::{read32, read64, write32, write64};
use crate::arch::snippet::{Ran, run_aarch32};
use crate::arch::sysreg::{read, write};
use crate::arch::tables::{SCTLR, attribute, map, unmap};
use crate::check::{Answer, Topic, check};
use crate::devices::{GICD, RTC};
use crate::gic::{ROUTER, distributor};

pub(super) const TOPIC: Topic = Topic {
    name: "aarch32",
    checks: &[
        check("runs", runs),
        check("state", state),
        check("thumb", thumb),
        check("device-loads", device_loads),
        check("device-stores", device_stores),
        check("device-write-back", device_write_back),
        check("device-pairs-and-lists", device_lists),
        check("device-by-thumb", device_by_thumb),
        check("device-in-it-block", device_in_it_block),
        check("device-big-endian", device_big_endian),
        check("conditional", conditional),
        check("undefined", undefined),
        check("coprocessor", coprocessor),
        check("counters", counters),
        check("aborts", aborts),
        check("floating-point", floating_point),
        check("calls", calls),
    ],
};

const MATCH: u64 = RTC.base + 4;
const ROUTE: u64 = distributor(ROUTER + 8 * 48);
const BACK: u32 = 0xEF00_00E0;

/// Whether EL0 can run AArch32 (ID_AA64PFR0_EL1.EL0).
fn exists() -> bool {
    read!("id_aa64pfr0_el1") & 0xF == 2
}

fn a32(answer: &mut Answer, code: &[u32], registers: &[u64], shown: usize) -> Option<Ran> {
    if !exists() {
        answer.say("none");
        return None;
    }
    let ran = run_aarch32(code, false, registers);
    show(answer, &ran, shown);
    Some(ran)
}

fn show(answer: &mut Answer, ran: &Ran, shown: usize) {
    for value in &ran.x[1..=shown] {
        answer.say(format_args!("{:x}", *value as u32));
    }
    if ran.caught.count() != 0 {
        answer.exceptions("caught", &ran.caught);
    }
}

/// Views of the clock, and of the distributor's routes.
fn devices() -> (u64, u64) {
    let device = attribute::DEVICE | attribute::ACCESSED | attribute::EL0 | attribute::NEVER_BY_EL0;
    write32(MATCH, 0x8765_9321);
    write64(ROUTE, 0x81_0043_4241);
    write64(ROUTE + 8, 0x91_0023_2221);
    let routes = map(9, GICD.base + 0x6000, device) + ROUTE % 4096;
    (map(8, RTC.base, device) + 4, routes)
}

fn done(answer: &mut Answer) {
    answer.say(format_args!("{:x},{:x},{:x}", read32(MATCH), read64(ROUTE), read64(ROUTE + 8)));
    unmap(8);
    unmap(9);
}

fn runs(answer: &mut Answer) {
    // add r1, r2, r3; sub r4, r2, r3; mov r5, pc
    a32(answer, &[0xE082_1003, 0xE042_4003, 0xE1A0_500F, BACK], &[0, 0, 0x8000_0005, 7], 5);
}

fn state(answer: &mut Answer) {
    // cmp r0, r0; udf #0
    let Some(ran) = a32(answer, &[0xE150_0000, 0xE7F0_00F0, BACK], &[], 0) else { return };
    for exception in ran.caught.list() {
        answer.say(format_args!("{}:{:#x},elr+{}", exception.vector, exception.spsr, exception.elr & 0xFFF));
    }
}

fn thumb(answer: &mut Answer) {
    if exists() {
        // movs r1, #5; adds r2, r1, #2; svc #0xe0
        show(answer, &run_aarch32(&[0x1C8A_2105, 0x0000_DFE0], true, &[]), 2);
    }
}

fn device_loads(answer: &mut Answer) {
    let (clock, routes) = devices();
    // ldr r1; ldrb r2; ldrh r3; ldrsh r4; ldrsb r5; ldr r6, [r7]; ldr r8, [r7, #4]
    let code = [0xE590_1000, 0xE5D0_2000, 0xE1D0_30B0, 0xE1D0_40F0, 0xE1D0_50D0, 0xE597_6000, 0xE597_8004, BACK];
    a32(answer, &code, &[clock, 0, 0, 0, 0, 0, 0, routes], 8);
    done(answer);
}

fn device_stores(answer: &mut Answer) {
    let (clock, routes) = devices();
    // str r1, [r0]; str r2, [r7, #4]
    a32(answer, &[0xE580_1000, 0xE587_2004, BACK], &[clock, 0x1122_3344, 0x55, 0, 0, 0, 0, routes], 0);
    done(answer);
    let (clock, _) = devices();
    // strb r1, [r0]; ldr r2, [r0]
    a32(answer, &[0xE5C0_1000, 0xE590_2000, BACK], &[clock, 0x1122_3344], 2);
    done(answer);
}

fn device_write_back(answer: &mut Answer) {
    let (clock, routes) = devices();
    // ldr r1, [r0], #4; ldr r2, [r7, #4]!; str r3, [r7], #-4; sub r4, r7, r8; sub r5, r0, r9
    let code = [0xE490_1004, 0xE5B7_2004, 0xE407_3004, 0xE047_4008, 0xE040_5009, BACK];
    a32(answer, &code, &[clock, 0, 0, 0x66, 0, 0, 0, routes, routes, clock], 5);
    done(answer);
}

fn device_lists(answer: &mut Answer) {
    let (_, routes) = devices();
    // ldrd r2, r3, [r0]; ldm r0, {r4, r5, r6}; stm r0, {r4, r5}
    a32(answer, &[0xE1C0_20D0, 0xE890_0070, 0xE880_0030, BACK], &[routes], 6);
    done(answer);
}

fn device_by_thumb(answer: &mut Answer) {
    let (clock, _) = devices();
    if exists() {
        // ldr r1, [r0]; ldrb r2, [r0]; str r3, [r0]; ldr r4, [r0]; ldr.w r5, [r0]; svc
        let code = [0x7802_6801, 0x6804_6003, 0x5000_F8D0, 0x0000_DFE0];
        show(answer, &run_aarch32(&code, true, &[clock, 0, 0, 0x1234_5678]), 5);
    }
    done(answer);
}

/// Which of the instructions behind the access are run depends on how far the block is.
fn device_in_it_block(answer: &mut Answer) {
    let (clock, _) = devices();
    if exists() {
        // cmp r0, r0; ite eq; ldreq r1, [r0]; movne r2, #9; movs r3, #7; movs r4, #5; svc
        let code = [0xBF0C_4280, 0x2209_6801, 0x2405_2307, 0x0000_DFE0];
        show(answer, &run_aarch32(&code, true, &[clock, 1, 2, 3, 4]), 4);
    }
    done(answer);
}

/// SETEND, which is the program's own affair; and E0E.
fn device_big_endian(answer: &mut Answer) {
    let (clock, _) = devices();
    // setend be; ldr r1, [r0]; str r2, [r0]; setend le; ldr r3, [r0]
    let code = [0xF101_0200, 0xE590_1000, 0xE580_2000, 0xF101_0000, 0xE590_3000, BACK];
    a32(answer, &code, &[clock, 0, 0x1122_3344], 3);
    done(answer);
}

fn conditional(answer: &mut Answer) {
    let (clock, _) = devices();
    // cmp r0, r0; ldrne r1, [r0]; ldreq r2, [r0]; strne r3, [r0]
    let code = [0xE150_0000, 0x1590_1000, 0x0590_2000, 0x1580_3000, BACK];
    a32(answer, &code, &[clock, 1, 2, 3], 3);
    done(answer);
}

fn undefined(answer: &mut Answer) {
    // udf; hvc; smc; wfi; mrs r1, spsr; msr; eret's like: a privileged coprocessor read of MIDR
    a32(answer, &[0xE7F0_00F0, 0xE140_0070, 0xE160_0070, 0xEE10_1F10, BACK], &[], 0);
}

/// What CP15 has for EL0: TPIDRURO and TPIDRURW, barriers.
fn coprocessor(answer: &mut Answer) {
    write!("sctlr_el1", SCTLR | 1 << 5);
    // mrc p15, 0, r1, c13, c0, 3; mcr p15, 0, r2, c13, c0, 2; mrc r3 of the same; the barriers ISB, DSB, DMB
    let code = [0xEE1D_1F70, 0xEE0D_2F50, 0xEE1D_3F50, 0xEE07_1F95, 0xEE07_1F9A, 0xEE07_1FBA, BACK];
    let ran = a32(answer, &code, &[0, 0, 0x5555], 0);
    write!("sctlr_el1", SCTLR);
    if let Some(ran) = ran {
        answer.say(format_args!("{:x}", ran.x[3] as u32));
    }
}

fn counters(answer: &mut Answer) {
    let before = read!("cntkctl_el1");
    for control in [0, 0x303] {
        write!("cntkctl_el1", control);
        // mrrc CNTVCT, CNTPCT; mrc CNTFRQ, CNTV_CTL, CNTP_CTL
        let code = [0xEC53_2F1E, 0xEC53_2F0E, 0xEE1E_1F10, 0xEE1E_1F33, 0xEE1E_1F32, BACK];
        a32(answer, &code, &[], 0);
    }
    write!("cntkctl_el1", before);
}

fn aborts(answer: &mut Answer) {
    let device = attribute::DEVICE | attribute::ACCESSED | attribute::EL0 | attribute::NEVER_BY_EL0;
    let nobody = map(8, RTC.base + 0x1000, device);
    // ldr r1, [r0]; str r1, [r0, #4]; ldr r1, [r2]; ldm r0, {r4, r5}
    let ran = a32(answer, &[0xE590_1000, 0xE580_1004, 0xE592_1000, 0xE890_0030, BACK], &[nobody, 0, unmap(10)], 0);
    for exception in ran.iter().flat_map(|ran| ran.caught.list()) {
        answer.say(format_args!("far+{}", exception.far.wrapping_sub(nobody)));
    }
    unmap(8);
}

fn floating_point(answer: &mut Answer) {
    // vmov s0, r1; vadd.f32 s0, s0, s0; vmov r2, s0; vmrs r3, fpscr
    let code = [0xEE00_1A10, 0xEE30_0A00, 0xEE10_2A10, 0xEEF1_3A10, BACK];
    a32(answer, &code, &[0, 0x3FC0_0000], 3);
    write!("cpacr_el1", 0);
    a32(answer, &code, &[0, 0x3FC0_0000], 0);
    write!("cpacr_el1", 3 << 20);
}

fn calls(answer: &mut Answer) {
    // svc #7; nop; bkpt #9
    a32(answer, &[0xEF00_0007, 0xE320_F000, 0xE120_0079, BACK], &[], 0);
}
