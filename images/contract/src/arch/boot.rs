// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the first instruction to Rust, on the boot CPU and on those that it starts.
//!
//! The image begins with the header of the arm64 boot protocol (Linux `Documentation/arch/arm64/booting.rst`). What the
//! registers were at the first instruction is kept: it is part of the contract.

use super::tables::{FIRST_TABLE, MAIR, SCTLR, TCR};
use core::arch::global_asm;
use firmware_support::arch::start;
use firmware_support::image_header;

/// Registers at a CPU's first instruction: x0 to x3, SCTLR_EL1, DAIF, CurrentEL, SPSel, CPACR_EL1.
pub const AT_ENTRY: usize = 9;

global_asm!(
    image_header!(".quad 0, 0, 0"),
    r#"
1:  bl      contract_note
    bl      contract_level
    bl      {relocate}
    cbnz    x0, contract_stop
    mov     x9, xzr
    b       contract_to_rust

    // A started CPU: x0 is its number, the context id of CPU_ON.
    .global contract_entry
contract_entry:
    bl      contract_note
    bl      contract_level
    mov     x9, x20
    // The stack of CPU x9, and on it what was noted.
contract_to_rust:
    adrp    x1, _stacks
    add     x1, x1, :lo12:_stacks
    add     x2, x9, #1
    add     x1, x1, x2, lsl #16             // link.ld: 64 KiB each
    mov     sp, x1
    sub     sp, sp, #80
    stp     x20, x21, [sp]
    stp     x22, x23, [sp, #16]
    stp     x24, x25, [sp, #32]
    stp     x26, x27, [sp, #48]
    str     x28, [sp, #64]
    mov     x0, x9
    mov     x1, sp
    mov     x29, xzr
    mov     x30, xzr
    cbz     x9, contract_main
    b       contract_other

    // Keeps the registers as they are in x20 to x28.
contract_note:
    mov     x20, x0
    mov     x21, x1
    mov     x22, x2
    mov     x23, x3
    mrs     x24, sctlr_el1
    mrs     x25, daif
    mrs     x26, CurrentEL
    mrs     x27, spsel
    mrs     x28, cpacr_el1
    ret

    // MMU and caches on, vectors set, floating point on. Changes x1 to x4.
contract_level:
    msr     daifset, #0xf
    mrs     x1, CurrentEL
    cmp     x1, #4                          // EL1
    b.ne    contract_stop
    msr     spsel, #1
    adrp    x1, {table}
    add     x1, x1, :lo12:{table}
    ldr     x2, ={mair}
    ldr     x3, ={tcr}
    ldr     x4, ={sctlr}
    msr     ttbr0_el1, x1
    msr     mair_el1, x2
    msr     tcr_el1, x3
    isb
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb
    msr     sctlr_el1, x4
    adrp    x1, {vectors}
    add     x1, x1, :lo12:{vectors}
    msr     vbar_el1, x1
    mov     x1, #(3 << 20)                  // CPACR_EL1.FPEN: floating point at both levels
    msr     cpacr_el1, x1
    isb
    ret

    // At another level, or not our image: there is no console to say so.
contract_stop:
    wfi
    b       contract_stop
    .popsection
"#,
    relocate = sym start::relocate,
    table = sym FIRST_TABLE,
    mair = const MAIR,
    tcr = const TCR,
    sctlr = const SCTLR,
    vectors = sym super::exceptions::contract_vectors,
);
