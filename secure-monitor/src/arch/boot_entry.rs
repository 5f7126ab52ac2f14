// SPDX-License-Identifier: MIT OR Apache-2.0
//! From reset to the boot stage's `main`, and the pen.

use super::switch::PARK_PRIORITY;
use super::vectors::{Fault, boot_vectors};
use crate::handoff::{CALL, Handoff, MAGIC, SECONDARY_ENTRY};
use crate::world::predictor::{ARM, CORTEX_A53, CORTEX_A57, CORTEX_A72};
use core::arch::{asm, naked_asm};

/// The boot stage, as its first instructions know it.
pub trait Stage: Fault {
    /// Begins, once, on the stage's stack.
    extern "C" fn main() -> !;
}

/// SCTLR_EL3 with MMU and data cache off: RES1 bits, instruction cache on, stack alignment checked.
pub(super) const SCTLR_EL3_OFF: u64 = 0x30C5_0830 | 1 << 12 | 1 << 3;

/// Takes every CPU from its reset, at address 0, at EL3, with the MMU off and nothing known.
///
/// # Safety
///
/// Entered by hardware alone.
#[unsafe(naked)]
#[unsafe(link_section = ".text.boot_entry")]
#[allow(named_asm_labels, reason = "an image has one program, and so one of these")]
pub unsafe extern "C" fn boot_entry<S: Stage>() -> ! {
    naked_asm!(
        "msr daifset, #0xf",
        "ldr x0, ={sctlr}",
        "msr sctlr_el3, x0",
        // Vector instructions do not trap: the hash uses them.
        "msr cptr_el3, xzr",
        "adrp x0, {vectors}",
        "add x0, x0, :lo12:{vectors}",
        "msr vbar_el3, x0",
        "isb",
        // Cortex-A53, A57 and A72 take part in coherency only with CPUECTLR_EL1.SMPEN, which comes before any cache
        // (their Technical Reference Manuals). Others don't have the register.
        "mrs x0, midr_el1",
        "ubfx x1, x0, #4, #12",
        "lsr w0, w0, #24",
        "cmp w0, #{arm}",
        "b.ne 6f",
        "cmp x1, #{cortex_a53}",
        "b.eq 5f",
        "cmp x1, #{cortex_a57}",
        "b.eq 5f",
        "cmp x1, #{cortex_a72}",
        "b.ne 6f",
        "5: mrs x0, S3_1_C15_C2_1",
        "orr x0, x0, #{smpen}",
        "msr S3_1_C15_C2_1, x0",
        "isb",
        // The CPU with affinity 0 boots the machine, the others wait.
        "6: mrs x0, mpidr_el1",
        "ldr x1, ={affinity}",
        "and x0, x0, x1",
        "cbnz x0, {pen}",
        // What a cache has of the memory that is written from here on without it is of no use, and would hide it once
        // the caches are on: lines from before the reset, and what came by chance.
        "adrp x0, __data_start",
        "add x0, x0, :lo12:__data_start",
        "adrp x1, __stack_top",
        "add x1, x1, :lo12:__stack_top",
        "mrs x2, ctr_el0",
        "ubfx x2, x2, #16, #4",
        "mov x3, #4",
        "lsl x3, x3, x2",
        "7: dc ivac, x0",
        "add x0, x0, x3",
        "cmp x0, x1",
        "b.lo 7b",
        "dsb sy",
        // Initialised data from the flash to SRAM, 16 bytes at a time (boot.ld aligns it).
        "adrp x0, __data_start",
        "add x0, x0, :lo12:__data_start",
        "adrp x1, __data_end",
        "add x1, x1, :lo12:__data_end",
        "adrp x2, __data_load",
        "add x2, x2, :lo12:__data_load",
        "1: cmp x0, x1",
        "b.hs 2f",
        "ldp x3, x4, [x2], #16",
        "stp x3, x4, [x0], #16",
        "b 1b",
        "2:",
        "adrp x0, __bss_start",
        "add x0, x0, :lo12:__bss_start",
        "adrp x1, __bss_end",
        "add x1, x1, :lo12:__bss_end",
        "3: cmp x0, x1",
        "b.hs 4f",
        "stp xzr, xzr, [x0], #16",
        "b 3b",
        "4:",
        "adrp x0, __stack_top",
        "add x0, x0, :lo12:__stack_top",
        "mov sp, x0",
        "b {main}",
        sctlr = const SCTLR_EL3_OFF,
        main = sym S::main,
        vectors = sym boot_vectors::<S>,
        affinity = const super::MPIDR_AFFINITY,
        arm = const ARM,
        cortex_a53 = const CORTEX_A53,
        cortex_a57 = const CORTEX_A57,
        cortex_a72 = const CORTEX_A72,
        smpen = const 1 << 6,
        pen = sym pen,
    )
}

/// Keeps the other CPUs until the runtime calls them with a group 0 SGI: the CPU interface lets group 0 through,
/// and WFI ends with a pending interrupt though all are masked. The SGI stays pending for a CPU that comes here after
/// it was sent. No memory is looked at: nobody knows yet what is in it.
///
/// # Safety
///
/// Entered from [`boot_entry`] alone.
#[unsafe(naked)]
unsafe extern "C" fn pen() -> ! {
    naked_asm!(
        // ICC_SRE_EL3: system registers here and below, no bypass.
        "mov x0, #0xf",
        "msr S3_6_C12_C12_5, x0",
        "isb",
        // ICC_PMR_EL1, ICC_IGRPEN0_EL1.
        "mov x0, #{priority}",
        "msr S3_0_C4_C6_0, x0",
        "mov x0, #1",
        "msr S3_0_C12_C12_6, x0",
        "isb",
        "1: dsb sy",
        "wfi",
        // ICC_IAR0_EL1; from 1020 on a number is no interrupt's.
        "mrs x0, S3_0_C12_C8_0",
        "cmp x0, #1020",
        "b.hs 1b",
        // ICC_EOIR0_EL1.
        "msr S3_0_C12_C8_1, x0",
        "isb",
        "cmp x0, #{call}",
        "b.ne 1b",
        "ldr x0, ={entry}",
        "dsb sy",
        "ic iallu",
        "dsb sy",
        "isb",
        "br x0",
        priority = const PARK_PRIORITY,
        call = const CALL,
        entry = const SECONDARY_ENTRY,
    )
}

/// Leaves the boot stage: MMU and data cache off, into the runtime at `entry`.
///
/// # Safety
///
/// A runtime must stand at `entry`, cleaned to memory together with everything in `handoff`.
pub unsafe fn enter_runtime(entry: u64, handoff: &Handoff) -> ! {
    // SAFETY: the code that turns the MMU off is mapped at its physical address, uses no memory, and does not come
    // back; the caller vouches for what is at `entry`.
    unsafe {
        asm!(
            "msr sctlr_el3, {sctlr}",
            "isb",
            "ic iallu",
            "tlbi alle3",
            "dsb sy",
            "isb",
            "br {entry}",
            sctlr = in(reg) SCTLR_EL3_OFF,
            entry = in(reg) entry,
            in("x0") MAGIC,
            in("x1") handoff,
            options(noreturn)
        )
    }
}
