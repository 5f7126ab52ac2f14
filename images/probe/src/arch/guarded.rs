// SPDX-License-Identifier: MIT OR Apache-2.0
//! Instructions that may end in an exception, and what becomes of it.
//!
//! [`Frame`] holds the registers for one such instruction. `probe_guarded` saves what Rust needs on the stack, puts the
//! stack pointer into this CPU's *guard* (TPIDR_EL1 has its address, at EL2 too, where nobody else uses the register),
//! loads the frame's registers and executes the instruction. The exception vector (`exceptions`) takes the stack
//! pointer out of the guard, notes the syndrome in the frame and returns in place of the instruction: nobody needs the
//! interrupted state, so there is no ERET.

use crate::player::Fault;
use core::arch::global_asm;

/// What is executed under guard. The numbers are those of the assembly.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(super) enum Instruction {
    /// `smc #0`
    Smc = 0,
    /// `hvc #0`
    Hvc = 1,
    /// `blr` to `x[0]`
    Branch = 2,
    /// Loads `x[1]` from address `x[0]`.
    Load8 = 3,
    /// As before, 32 bits.
    Load32 = 4,
    /// As before, 64 bits.
    Load64 = 5,
    /// Stores `x[1]` to address `x[0]`.
    Store8 = 6,
    /// As before, 32 bits.
    Store32 = 7,
    /// As before, 64 bits.
    Store64 = 8,
}

/// The registers of a guarded instruction.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub(super) struct Frame {
    /// x0 to x28.
    pub x: [u64; 29],
    /// The counter just before a call.
    pub before: u64,
    /// The counter just after it.
    pub after: u64,
    syndrome: u64,
    address: u64,
    pc: u64,
}

const _: () = {
    assert!(core::mem::offset_of!(Frame, before) == 232);
    assert!(core::mem::offset_of!(Frame, after) == 240);
    assert!(core::mem::offset_of!(Frame, syndrome) == 248);
    assert!(core::mem::offset_of!(Frame, pc) == 264);
};

impl Frame {
    /// Takes these registers.
    pub(super) fn new(x: [u64; 29]) -> Self {
        Self { x, ..Self::default() }
    }

    /// Executes an instruction with these registers.
    ///
    /// # Safety
    ///
    /// What the instruction does to memory must be no business of the compiler's: memory that no Rust reference
    /// reaches, or that is only read.
    pub(super) unsafe fn execute(&mut self, instruction: Instruction) -> Result<(), Fault> {
        // SAFETY: the assembly keeps to the procedure call standard; for the rest the caller vouches.
        match unsafe { probe_guarded(self, instruction as u64) } {
            0 => Ok(()),
            _ => Err(Fault { syndrome: self.syndrome, address: self.address, pc: self.pc }),
        }
    }
}

unsafe extern "C" {
    fn probe_guarded(frame: &mut Frame, instruction: u64) -> u64;
    /// Returns at once. Called whenever a figure is printed.
    pub(super) fn probe_figure();
}

global_asm!(
    r#"
    .pushsection .text.guarded, "ax"

    // On the stack: the frame's address, room for one register, x19 to x30. Changes x2 and x3.
    .macro guard_begin
    sub     sp, sp, #112
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    stp     x29, x30, [sp, #96]
    str     x0, [sp]
    mrs     x2, tpidr_el1
    mov     x3, sp
    str     x3, [x2]
    .endm

    .macro guard_call instruction
    mov     x30, x0
    ldp     x0, x1, [x30, #0]
    ldp     x2, x3, [x30, #16]
    ldp     x4, x5, [x30, #32]
    ldp     x6, x7, [x30, #48]
    ldp     x8, x9, [x30, #64]
    ldp     x10, x11, [x30, #80]
    ldp     x12, x13, [x30, #96]
    ldp     x14, x15, [x30, #112]
    ldp     x16, x17, [x30, #128]
    ldp     x18, x19, [x30, #144]
    ldp     x20, x21, [x30, #160]
    ldp     x22, x23, [x30, #176]
    ldp     x24, x25, [x30, #192]
    ldp     x26, x27, [x30, #208]
    ldr     x28, [x30, #224]
    // Both readings have names, by which a log of executed instructions shows what is between them.
    .global probe_\instruction
probe_\instruction:
    mrs     x29, cntvct_el0
    \instruction #0
    .global probe_\instruction\()_end
probe_\instruction\()_end:
    mrs     x30, cntvct_el0
    str     x29, [sp, #8]
    ldr     x29, [sp]
    stp     x0, x1, [x29, #0]
    stp     x2, x3, [x29, #16]
    stp     x4, x5, [x29, #32]
    stp     x6, x7, [x29, #48]
    stp     x8, x9, [x29, #64]
    stp     x10, x11, [x29, #80]
    stp     x12, x13, [x29, #96]
    stp     x14, x15, [x29, #112]
    stp     x16, x17, [x29, #128]
    stp     x18, x19, [x29, #144]
    stp     x20, x21, [x29, #160]
    stp     x22, x23, [x29, #176]
    stp     x24, x25, [x29, #192]
    stp     x26, x27, [x29, #208]
    str     x28, [x29, #224]
    ldr     x0, [sp, #8]
    str     x0, [x29, #232]
    str     x30, [x29, #240]
    b       guard_end
    .endm

    .global probe_guarded
probe_guarded:
    guard_begin
    adr     x2, 0f
    add     x2, x2, x1, lsl #2
    br      x2
0:  b       10f
    b       11f
    b       12f
    b       13f
    b       14f
    b       15f
    b       16f
    b       17f
    b       18f

10: guard_call smc
11: guard_call hvc
12: ldr     x3, [x0]
    dsb     sy                              // what was written there is there to be fetched
    ic      iallu
    dsb     sy
    isb
    .global probe_execute
probe_execute:
    blr     x3
    .global probe_execute_end
probe_execute_end:
    b       guard_end
13: ldr     x3, [x0]
    ldrb    w4, [x3]
    str     x4, [x0, #8]
    b       guard_end
14: ldr     x3, [x0]
    ldr     w4, [x3]
    str     x4, [x0, #8]
    b       guard_end
15: ldr     x3, [x0]
    ldr     x4, [x3]
    str     x4, [x0, #8]
    b       guard_end
16: ldp     x3, x4, [x0]
    strb    w4, [x3]
    b       19f
17: ldp     x3, x4, [x0]
    str     w4, [x3]
    b       19f
18: ldp     x3, x4, [x0]
    str     x4, [x3]
19: dsb     sy                              // an abort of the store comes now, if it comes

guard_end:
    mrs     x2, tpidr_el1
    str     xzr, [x2]
    mov     x0, xzr
guard_leave:
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     x29, x30, [sp, #96]
    add     sp, sp, #112
    ret

    .global probe_figure
probe_figure:
    ret

    // From `probe_resume`, x0: this CPU's guard, which the call has left set. Memory has all that is needed.
    .global probe_resumed
probe_resumed:
    ldr     x4, [x0]
    mov     sp, x4
    ldr     x1, [sp]
    str     xzr, [x1]                       // x0 of the call
    mrs     x2, cntvct_el0
    stp     x2, x2, [x1, #232]
    b       guard_end

    // From the vector, x1 to x3: syndrome, address, link register; x0: this CPU's guard, which is set.
    .global probe_faulted
probe_faulted:
    ldr     x4, [x0]
    str     xzr, [x0]
    mov     sp, x4
    ldr     x0, [sp]
    str     x1, [x0, #248]
    stp     x2, x3, [x0, #256]
    mov     x0, #1
    b       guard_leave
    .popsection
"#
);
