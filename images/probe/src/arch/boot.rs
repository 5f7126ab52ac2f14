// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the first instruction to Rust, at EL1 or EL2, on the boot CPU and on those it starts.
//!
//! The image begins with the header of the arm64 boot protocol (Linux `Documentation/arch/arm64/booting.rst`). Its
//! reserved words say where a script may be appended: see [`crate::image`].

use crate::script::LARGEST;
use core::arch::global_asm;
use firmware_support::arch::start;
use firmware_support::image_header;

/// SCTLR_EL1 with MMU and data cache off: what Armv8.0 reserves as 1, and instruction cache on (Arm ARM D24.2.118).
const SCTLR_EL1: u64 = 0x30D0_0800 | (1 << 12);
/// SCTLR_EL2 with MMU and data cache off, and instruction cache on.
const SCTLR_EL2: u64 = 0x30C5_0830 | (1 << 12);
/// HCR_EL2: EL1 is AArch64; nothing is trapped.
const HCR_EL2: u64 = 1 << 31;

global_asm!(
    image_header!(
        ".quad  _script - . + 32                // where a script may be appended, from the image's start
    .quad   {room}
    .quad   0                               // how long it is"
    ),
    r#"
1:  mrs     x21, cntvct_el0                 // when we began; under real firmware CNTVOFF may be anything yet
    mov     x19, x0                         // device tree, or whatever the firmware left
    bl      probe_level
    bl      {relocate}
    cbnz    x0, probe_stop

    mov     x0, xzr
    bl      probe_stack
    mov     x0, x19
    mov     x1, x21
    mov     x29, xzr
    mov     x30, xzr
    b       probe_main

    // A started CPU: x0 is its number, the context id of CPU_ON.
    .global probe_entry
probe_entry:
    mov     x19, x0
    bl      probe_level
    mov     x0, x19
    bl      probe_stack
    mov     x0, x19
    mov     x29, xzr
    mov     x30, xzr
    b       probe_secondary

    // A suspended CPU, which has lost its registers: x0 is its number, the context id of CPU_SUSPEND. It goes on as if
    // the call had returned 0.
    .global probe_resume
probe_resume:
    mov     x19, x0
    bl      probe_level
    adrp    x0, {guards}
    add     x0, x0, :lo12:{guards}
    add     x0, x0, x19, lsl #{guard_shift}
    msr     tpidr_el1, x0
    isb
    b       probe_resumed

    // Makes the level what Rust expects, and sets its vectors. Changes x1 and x2.
probe_level:
    msr     daifset, #0xf
    msr     spsel, #1
    adrp    x1, probe_vectors
    add     x1, x1, :lo12:probe_vectors
    mrs     x2, CurrentEL
    cmp     x2, #(1 << 2)
    b.eq    6f
    cmp     x2, #(2 << 2)
    b.ne    probe_stop
    msr     vbar_el2, x1
    ldr     x2, ={sctlr_el2}
    msr     sctlr_el2, x2
    mov     x2, #{hcr_el2}
    msr     hcr_el2, x2
    isb
    msr     cntvoff_el2, xzr                // CNTVCT and CNTPCT are the same
    isb
    ret
6:  msr     vbar_el1, x1
    ldr     x2, ={sctlr_el1}
    msr     sctlr_el1, x2
    isb
    ret

    // The stack of CPU x0. Changes x1.
probe_stack:
    adrp    x1, _stacks
    add     x1, x1, :lo12:_stacks
    add     x1, x1, #0x4, lsl #12
    add     x1, x1, x0, lsl #14             // link.ld: 16 KiB each
    mov     sp, x1
    ret

    // At another level, or not our image: there is no console to say so.
probe_stop:
    wfi
    b       probe_stop
    .popsection
"#,
    relocate = sym start::relocate,
    room = const LARGEST,
    sctlr_el1 = const SCTLR_EL1,
    sctlr_el2 = const SCTLR_EL2,
    hcr_el2 = const HCR_EL2,
    guards = sym super::guard::GUARDS,
    guard_shift = const super::guard::SIZE.trailing_zeros(),
);
