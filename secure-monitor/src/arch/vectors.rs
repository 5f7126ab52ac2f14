// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exception vectors of both stages (Arm ARM D1.3.2: sixteen entries of 32 instructions).

use super::switch::Transition;
use crate::world::context::Context;
use crate::world::cpu::Cpu;
use core::arch::naked_asm;

/// Who has the last word when EL3 itself is at fault.
pub trait Fault {
    /// Says what is wrong, and stops this CPU.
    extern "C" fn fault(esr: u64, elr: u64, vector: u64) -> !;
}

/// What the runtime does about each thing that comes from below. The vectors know it by these names alone.
pub trait Handlers: Fault {
    /// Handles an SMC of the normal world, AArch64 with immediate 0, whose registers are in its context.
    extern "C" fn smc(cpu: &mut Cpu) -> Transition;
    /// Handles an SMC of the TEE, AArch64 with immediate 0.
    extern "C" fn tee_smc(cpu: &mut Cpu) -> Transition;
    /// Handles an SMC of the TEE with an asynchronous error pending.
    extern "C" fn tee_error(cpu: &mut Cpu) -> Transition;
    /// Handles everything else that is synchronous, and SError.
    extern "C" fn trap(cpu: &mut Cpu, context: *mut Context) -> Transition;
    /// Handles a group 0 or secure group 1 interrupt, while the normal world ran, and any FIQ while the TEE begins.
    extern "C" fn interrupt(cpu: &mut Cpu, context: *mut Context) -> Transition;
}

/// Keeps what the handlers may change: x0 to x18 and x30; and x19, which costs nothing beside x18. SP_EL3 points to the
/// running world's context.
macro_rules! keep {
    () => {
        "stp x0, x1, [sp]
         stp x2, x3, [sp, #16]
         stp x4, x5, [sp, #32]
         stp x6, x7, [sp, #48]
         stp x8, x9, [sp, #64]
         stp x10, x11, [sp, #80]
         stp x12, x13, [sp, #96]
         stp x14, x15, [sp, #112]
         stp x16, x17, [sp, #128]
         stp x18, x19, [sp, #144]
         str x30, [sp, #240]"
    };
}

/// Gives the handler the CPU in x0, the world that came in x1, and the monitor's stack.
macro_rules! enter {
    () => {
        "mrs x0, tpidr_el3
         mov x1, sp
         ldr x9, [x0, #896]
         mov sp, x9"
    };
}

/// Sends what comes to the runtime to its handler: its vectors.
///
/// # Safety
///
/// For VBAR_EL3 alone; runtime.ld aligns it, and asserts that it is.
#[unsafe(naked)]
#[unsafe(link_section = ".text.runtime_vectors")]
#[allow(named_asm_labels, reason = "an image has one program, and so one of these")]
pub(super) unsafe extern "C" fn runtime_vectors<H: Handlers>() {
    naked_asm!(
        ".global runtime_vectors",
        "runtime_vectors:",
        // Current EL with SP_EL0, then with SP_EL3: the monitor itself is at fault.
        "mov x2, #0",
        "b {fault}",
        ".balign 0x80",
        "mov x2, #1",
        "b {fault}",
        ".balign 0x80",
        "mov x2, #2",
        "b {fault}",
        ".balign 0x80",
        "mov x2, #3",
        "b {fault}",
        ".balign 0x80",
        "mov x2, #4",
        "b {fault}",
        ".balign 0x80",
        "mov x2, #5",
        "b {fault}",
        ".balign 0x80",
        "mov x2, #6",
        "b {fault}",
        ".balign 0x80",
        "mov x2, #7",
        "b {fault}",
        ".balign 0x80",
        // Lower EL, AArch64, synchronous. One comparison finds the common case: class 0x17 (SMC), immediate 0.
        keep!(),
        "mrs x9, esr_el3",
        "mov w10, #0x5e000000",
        "cmp w9, w10",
        "b.ne {trap}",
        "mrs x0, tpidr_el3",
        "cmp sp, x0",
        "ldr x9, [x0, #896]",
        "mov sp, x9",
        "b.ne {tee_smc}",
        "bl {smc}",
        // In the order in which the change of worlds, the longest way, has to look for the least.
        "cbz x1, 1f",
        "cmp x0, x1",
        "b.ne {to_secure}",
        "b {leave}",
        "1: b {switch}",
        ".balign 0x80",
        // IRQ: SCR_EL3.IRQ is 0 in both worlds, so it cannot come; if it does, it is handled as an interrupt is.
        keep!(),
        "b {interrupt}",
        ".balign 0x80",
        // FIQ: group 0 or secure group 1, while the normal world runs; the timer, while the TEE begins.
        keep!(),
        "b {interrupt}",
        ".balign 0x80",
        // SError: SCR_EL3.EA is 0 in both worlds, so it cannot come either.
        keep!(),
        "b {trap}",
        ".balign 0x80",
        // Lower EL, AArch32: an SMC has another class here, which the handler knows.
        keep!(),
        "b {trap}",
        ".balign 0x80",
        keep!(),
        "b {interrupt}",
        ".balign 0x80",
        keep!(),
        "b {interrupt}",
        ".balign 0x80",
        keep!(),
        "b {trap}",
        ".balign 0x80",
        ".global runtime_vectors_end",
        "runtime_vectors_end:",
        fault = sym runtime_fault::<H>,
        smc = sym H::smc,
        tee_smc = sym tee_smc::<H>,
        to_secure = sym super::switch::keep_normal,
        trap = sym trap::<H>,
        interrupt = sym interrupt::<H>,
        switch = sym super::switch::switch,
        leave = sym super::switch::leave,
    )
}

/// Takes what leaves the TEE. What it did has its end here: an error that comes of it is pending from now on
/// ([`crate::world::errors`]).
#[unsafe(naked)]
#[allow(named_asm_labels, reason = "an image has one program, and so one of these")]
unsafe extern "C" fn tee_smc<H: Handlers>() -> ! {
    naked_asm!(
        "dsb sy",
        "isb",
        "mrs x9, isr_el1",
        // Named for who makes an error up, for QEMU has none.
        ".global errors_at_exit",
        "errors_at_exit:",
        "tbnz x9, #{pending}, 3f",
        "bl {handler}",
        "2: cbz x1, 1f",
        "cmp x0, x1",
        "b.ne {to_normal}",
        "b {leave}",
        "1: b {switch}",
        "3: bl {error}",
        "b 2b",
        pending = const crate::world::errors::PENDING.trailing_zeros(),
        handler = sym H::tee_smc,
        error = sym H::tee_error,
        switch = sym super::switch::switch,
        to_normal = sym super::switch::keep_tee,
        leave = sym super::switch::leave,
    )
}

#[unsafe(naked)]
unsafe extern "C" fn trap<H: Handlers>() -> ! {
    naked_asm!(
        enter!(),
        "bl {handler}",
        "cmp x0, x1",
        "b.ne {switch}",
        "b {leave}",
        handler = sym H::trap,
        switch = sym super::switch::switch,
        leave = sym super::switch::leave,
    )
}

#[unsafe(naked)]
unsafe extern "C" fn interrupt<H: Handlers>() -> ! {
    naked_asm!(
        enter!(),
        "bl {handler}",
        "cmp x0, x1",
        "b.ne {switch}",
        "b {leave}",
        handler = sym H::interrupt,
        switch = sym super::switch::switch,
        leave = sym super::switch::leave,
    )
}

/// Ends in the monitor's own fault: the last words are spoken on the CPU's stack from its top, in case the fault was
/// its end.
#[unsafe(naked)]
unsafe extern "C" fn runtime_fault<F: Fault>() -> ! {
    naked_asm!(
        "mrs x3, tpidr_el3",
        "cbz x3, 1f",
        "ldr x3, [x3, #896]",
        "mov sp, x3",
        "1: mrs x0, esr_el3",
        "mrs x1, elr_el3",
        "b {fault}",
        fault = sym F::fault,
    )
}

/// Sends all that comes to the boot stage, whose own fault it is: its vectors.
///
/// # Safety
///
/// For VBAR_EL3 alone; boot.ld aligns it, and asserts that it is.
#[unsafe(naked)]
#[unsafe(link_section = ".text.boot_vectors")]
#[allow(named_asm_labels, reason = "an image has one program, and so one of these")]
pub(super) unsafe extern "C" fn boot_vectors<F: Fault>() {
    naked_asm!(
        ".global boot_vectors",
        "boot_vectors:",
        ".rept 16",
        "b {fault}",
        ".balign 0x80",
        ".endr",
        ".global boot_vectors_end",
        "boot_vectors_end:",
        fault = sym boot_fault::<F>,
    )
}

#[unsafe(naked)]
unsafe extern "C" fn boot_fault<F: Fault>() -> ! {
    naked_asm!(
        "adrp x3, __stack_top",
        "add x3, x3, :lo12:__stack_top",
        "mov sp, x3",
        "mrs x0, esr_el3",
        "mrs x1, elr_el3",
        "mov x2, #4",
        "b {fault}",
        fault = sym F::fault,
    )
}
