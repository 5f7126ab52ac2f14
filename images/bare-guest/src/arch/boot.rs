// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the first instruction to Rust.
//!
//! The image begins with the header of the arm64 boot protocol (Linux `Documentation/arch/arm64/booting.rst`) and is
//! started as it says: EL1, MMU and caches off, x0 = device tree.
//!
//! The MMU and the caches come first, before anything is written: memory that is written uncached and then read through
//! a cache is what goes wrong on real machines, and the TEE sees the memory shared with it through its cache. So the
//! one translation table is a constant. It maps one to one, by blocks of 1 GiB: devices below, RAM (executable,
//! for one program without data from anybody) from 0x4000_0000, nothing else. The `aarch64-paging` crate would build a
//! table at run time and in memory of an allocator: both are just what is not wanted here.

use core::arch::global_asm;
use firmware_support::arch::start;
use firmware_support::image_header;

/// Entries of a table.
const ENTRIES: usize = 512;
/// A block: valid, not a table (Arm ARM D8.3.1).
const BLOCK: u64 = 0b01;
/// Attributes by their index in MAIR: 0 is Device-nGnRE, 1 is Normal write-back.
const NORMAL: u64 = 1 << 2;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const ACCESSED: u64 = 1 << 10;
const NEVER_EXECUTED: u64 = (1 << 53) | (1 << 54);
const NEVER_BY_EL0: u64 = 1 << 54;

#[repr(C, align(4096))]
struct Table([u64; ENTRIES]);

static LEVEL_1: Table = {
    let mut entries = [0; ENTRIES];
    entries[0] = BLOCK | ACCESSED | NEVER_EXECUTED;
    entries[1] = 0x4000_0000 | BLOCK | NORMAL | INNER_SHAREABLE | ACCESSED | NEVER_BY_EL0;
    Table(entries)
};

/// MAIR_EL1: Device-nGnRE, Normal write-back.
const MAIR: u64 = 0xFF04;
/// TCR_EL1: 39 bits of address by TTBR0 in 4 KiB granules, tables cacheable and inner shareable; nothing by TTBR1; 40
/// bits of physical address.
const TCR: u64 = 25 | (0b01 << 8) | (0b01 << 10) | (0b11 << 12) | (1 << 23) | (0b010 << 32);
/// SCTLR_EL1: MMU (M), data and instruction caches (C, I), stack alignment (SA), and what Armv8.0 reserves as 1.
const SCTLR: u64 = 0x30D0_0800 | 1 | (1 << 2) | (1 << 3) | (1 << 12);

global_asm!(
    image_header!(".quad 0, 0, 0"),
    r#"
1:  msr     daifset, #0xf
    mov     x19, x0                         // device tree
    mrs     x1, CurrentEL
    cmp     x1, #4                          // EL1
    b.ne    4f

    adrp    x1, {table}
    add     x1, x1, :lo12:{table}
    mov     x2, #{mair}
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
    isb

    bl      {relocate}
    cbz     x0, 6f

4:  wfi                                     // not at EL1, or not our image: there is no console to say so
    b       4b

6:  adrp    x1, _stack_end
    add     x1, x1, :lo12:_stack_end
    mov     sp, x1
    adrp    x1, {vectors}
    add     x1, x1, :lo12:{vectors}
    msr     vbar_el1, x1
    isb
    mov     x0, x19
    mov     x29, xzr
    mov     x30, xzr
    b       guest_main
    .popsection
"#,
    relocate = sym start::relocate,
    table = sym LEVEL_1,
    mair = const MAIR,
    tcr = const TCR,
    sctlr = const SCTLR,
    vectors = sym super::exceptions::guest_vectors,
);
