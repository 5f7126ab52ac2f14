// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exceptions: what a check asked for is noted, all else ends the check.

use super::cpu::Cpu;
use core::arch::global_asm;

unsafe extern "C" {
    /// The vector table (Arm ARM D1.4.1).
    pub fn contract_vectors();
    /// Behind the call of a snippet: where one goes on that branched to nowhere.
    fn contract_snippet_back();
}

/// An exception that was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exception {
    /// The vector's number: 0 to 3 with SP_EL0, 4 to 7 with SP_EL1, 8 to 11 from EL0, 12 to 15 from AArch32.
    pub vector: u64,
    /// ESR_EL1.
    pub esr: u64,
    /// ELR_EL1.
    pub elr: u64,
    /// SPSR_EL1.
    pub spsr: u64,
    /// FAR_EL1.
    pub far: u64,
}

impl Exception {
    /// Returns ESR_EL1.EC.
    pub fn class(&self) -> u64 {
        self.esr >> 26
    }
}

/// What the vectors save.
#[repr(C)]
pub struct Frame {
    /// x0 to x30.
    pub x: [u64; 31],
    /// ELR_EL1.
    pub elr: u64,
    /// SPSR_EL1.
    pub spsr: u64,
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1.
    pub far: u64,
    /// The stack pointer.
    pub sp: u64,
    vector: [u64; 2],
}

const _: () = assert!(core::mem::size_of::<Frame>() == 304);

/// Says whether it is `svc #0xe0`, by which a snippet at EL0 ends, in AArch64 or AArch32.
pub const fn is_back(esr: u64) -> bool {
    const BACK: u64 = 0x15 << 26 | 1 << 25 | 0xE0;
    const BACK_32: u64 = 0x11 << 26 | 0xE0;
    esr == BACK || esr & !(1 << 25) == BACK_32
}

/// SPSR_EL1 for EL1 with its own stack pointer, interrupts masked.
const EL1: u64 = 0x3C5;

global_asm!(
    r#"
    .pushsection .vectors, "ax"
    .balign 2048
    .global contract_vectors
contract_vectors:
    .set    n, 0
    .rept   16
    .balign 128
    msr     tpidr_el0, x0
    mov     x0, #n
    b       contract_taken
    .set    n, n + 1
    .endr

contract_taken:
    msr     tpidrro_el0, x1
    mrs     x1, sctlr_el1
    tbz     x1, #25, 1f                     // EE: a snippet reads and writes the other way round
    // Tables may be the other way round as well.
    and     x1, x1, #~(1 << 25)
    and     x1, x1, #~1
    msr     sctlr_el1, x1
    isb
    orr     x0, x0, #(1 << 8)
1:  mov     x1, sp
    tbnz    x1, #30, 2f                     // a snippet may have its stack pointer where there is no RAM
    mrs     x1, tpidr_el1
    ldr     x1, [x1]                        // cpu.rs: another stack
2:  sub     x1, x1, #304
    str     x0, [x1, #288]
    mov     x0, sp
    str     x0, [x1, #280]
    mov     sp, x1
    mrs     x0, tpidr_el0
    mrs     x1, tpidrro_el0
    stp     x0, x1, [sp, #0]
    ldr     x1, [sp, #288]
    and     x1, x1, #0xff
contract_save:
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    mrs     x2, elr_el1
    stp     x30, x2, [sp, #240]
    mrs     x2, spsr_el1
    mrs     x3, esr_el1
    stp     x2, x3, [sp, #256]
    mrs     x2, far_el1
    str     x2, [sp, #272]
    mov     x0, sp
    bl      contract_exception
    cbnz    x0, contract_escape
    ldp     x2, x3, [sp, #248]
    msr     elr_el1, x2
    msr     spsr_el1, x3
    ldp     x0, x1, [sp, #0]
    msr     tpidr_el0, x0
    msr     tpidrro_el0, x1
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x19, [sp, #144]
    ldp     x20, x21, [sp, #160]
    ldp     x22, x23, [sp, #176]
    ldp     x24, x25, [sp, #192]
    ldp     x26, x27, [sp, #208]
    ldp     x28, x29, [sp, #224]
    ldr     x30, [sp, #240]
    ldr     x0, [sp, #288]
    ldr     x1, [sp, #280]
    mov     sp, x1
    tbz     x0, #8, 1f
    adrp    x0, {big}
    ldr     x0, [x0, :lo12:{big}]
    msr     sctlr_el1, x0
    isb
1:  mrs     x0, tpidr_el0
    mrs     x1, tpidrro_el0
    eret

    // contract_attempt(call, data, escape): 0 once `call` has returned, 1 if an exception ended it. `escape` has the
    // stack pointer to go back to.
    .global contract_attempt
contract_attempt:
    stp     x29, x30, [sp, #-112]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    str     x2, [sp, #96]
    mov     x9, sp
    str     x9, [x2]
    mov     x9, x0
    mov     x0, x1
    blr     x9
    mov     x0, xzr
1:  ldr     x2, [sp, #96]
    str     xzr, [x2]
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     x29, x30, [sp], #112
    ret
contract_escape:
    mov     sp, x0
    mov     x0, #1
    b       1b
    .popsection
"#,
    big = sym super::endianness::SCTLR_BIG,
);

/// Handles what comes from the vectors. Says where the exception goes on: 0 for the frame, else the stack of the
/// attempt that it ends.
#[unsafe(no_mangle)]
extern "C" fn contract_exception(frame: &mut Frame, vector: u64) -> u64 {
    let cpu = Cpu::this();
    let exception = Exception { vector, esr: frame.esr, elr: frame.elr, spsr: frame.spsr, far: frame.far };
    match vector % 4 {
        0 => {
            if let Some(answer) = cpu.on_fault(frame, exception) {
                return answer;
            }
        }
        1 | 2 => {
            if let Some(take) = cpu.taker() {
                take(frame, vector % 4 == 2);
                return 0;
            }
        }
        _ => {}
    }
    cpu.end_attempt(exception)
}

/// Goes on behind the instruction, or behind the snippet if it branched to where there is none, or came back from EL0.
pub fn skip(frame: &mut Frame) {
    const INSTRUCTION_ABORTS: [u64; 2] = [0x20, 0x21];
    const PC_ALIGNMENT: u64 = 0x22;
    let class = frame.esr >> 26;
    if INSTRUCTION_ABORTS.contains(&class) || class == PC_ALIGNMENT || is_back(frame.esr) {
        leave(frame);
    } else {
        // A short instruction of T32's has two bytes.
        const IL: u64 = 1 << 25;
        frame.elr += if frame.esr & IL != 0 { 4 } else { 2 };
    }
}

/// Goes on behind the snippet.
pub fn leave(frame: &mut Frame) {
    frame.elr = contract_snippet_back as *const () as u64;
    frame.spsr = EL1;
}
