// SPDX-License-Identifier: MIT OR Apache-2.0
//! The runtime's first instructions: on the CPU that booted, and on those that come from the pen.

use super::boot_entry::SCTLR_EL3_OFF;
use super::stacks;
use super::vectors::{Handlers, runtime_vectors};
use crate::handoff::Handoff;
use core::arch::naked_asm;

/// The runtime, as its first instructions know it.
pub trait Program {
    /// Who handles what comes from below.
    type Handlers: Handlers;
    /// Begins on the CPU that booted, once, on its stack; `magic` is [`crate::handoff::MAGIC`] if the hand-off is one.
    extern "C" fn first(magic: u64, handoff: &'static Handoff) -> !;
    /// Begins on each CPU that comes from the pen, on its own stack, with its position in the table of CPUs.
    extern "C" fn secondary(index: usize) -> !;
}

/// Sends a CPU to its entry: the runtime's first bytes, where [`crate::handoff`] says that it is entered.
///
/// # Safety
///
/// For the boot stage alone.
#[unsafe(naked)]
#[unsafe(link_section = ".text.runtime_entry")]
pub unsafe extern "C" fn entries<P: Program>() -> ! {
    naked_asm!("b {first}", "b {secondary}", first = sym first_entry::<P>, secondary = sym secondary_entry::<P>)
}

/// Prepares the CPU that booted, which comes at EL3, MMU off, x0 and x1 as [`crate::handoff`] says.
///
/// # Safety
///
/// Entered from [`entries`] alone.
#[unsafe(naked)]
unsafe extern "C" fn first_entry<P: Program>() -> ! {
    naked_asm!(
        "msr daifset, #0xf",
        "ldr x4, ={sctlr}",
        "msr sctlr_el3, x4",
        "adrp x4, {vectors}",
        "add x4, x4, :lo12:{vectors}",
        "msr vbar_el3, x4",
        "msr tpidr_el3, xzr",
        "isb",
        "adrp x4, __bss_start",
        "add x4, x4, :lo12:__bss_start",
        "adrp x5, __bss_end",
        "add x5, x5, :lo12:__bss_end",
        // The boot stage had this memory mapped cacheable: a line that the CPU fetched then, for whatever reason, would
        // hide what is written here with the cache off, the tables among it.
        "mrs x6, ctr_el0",
        "ubfx x6, x6, #16, #4",
        "mov x7, #4",
        "lsl x7, x7, x6",
        "neg x6, x7",
        "and x6, x6, x4",
        "0: dc civac, x6",
        "add x6, x6, x7",
        "cmp x6, x5",
        "b.lo 0b",
        "dsb sy",
        "1: cmp x4, x5",
        "b.hs 2f",
        "stp xzr, xzr, [x4], #16",
        "b 1b",
        "2: adrp x4, {stacks}",
        "add x4, x4, :lo12:{stacks}",
        "add x4, x4, #{stack_size}",
        "mov sp, x4",
        "b {main}",
        main = sym P::first,
        sctlr = const SCTLR_EL3_OFF,
        vectors = sym runtime_vectors::<P::Handlers>,
        stacks = sym stacks::STACKS,
        stack_size = const stacks::SIZE,
    )
}

/// Takes the other CPUs from the pen: finds the CPU's place in the table, stops those that have none.
///
/// # Safety
///
/// Entered from [`entries`] alone, after the runtime on the first CPU has built tables and the table of CPUs.
#[unsafe(naked)]
unsafe extern "C" fn secondary_entry<P: Program>() -> ! {
    naked_asm!(
        "msr daifset, #0xf",
        "ldr x0, ={sctlr}",
        "msr sctlr_el3, x0",
        "adrp x0, {vectors}",
        "add x0, x0, :lo12:{vectors}",
        "msr vbar_el3, x0",
        "msr tpidr_el3, xzr",
        "isb",
        "bl {join}",
        // The table is read with the MMU on: it was written with the caches on.
        "mrs x1, mpidr_el1",
        "ldr x2, ={affinity}",
        "and x1, x1, x2",
        "adrp x2, {mpidrs}",
        "add x2, x2, :lo12:{mpidrs}",
        "mov x0, #0",
        "1: ldr x3, [x2, x0, lsl #3]",
        "cmp x3, x1",
        "b.eq 2f",
        "add x0, x0, #1",
        "cmp x0, #{max}",
        "b.ne 1b",
        "3: wfi",
        "b 3b",
        "2: adrp x4, {stacks}",
        "add x4, x4, :lo12:{stacks}",
        "add x5, x0, #1",
        "mov x6, #{stack_size}",
        "madd x4, x5, x6, x4",
        "mov sp, x4",
        "b {main}",
        main = sym P::secondary,
        sctlr = const SCTLR_EL3_OFF,
        vectors = sym runtime_vectors::<P::Handlers>,
        join = sym super::mmu::join,
        affinity = const super::MPIDR_AFFINITY,
        mpidrs = sym super::cpus::MPIDRS,
        max = const shared_abi::layout::MAX_CPUS,
        stacks = sym stacks::STACKS,
        stack_size = const stacks::SIZE,
    )
}
