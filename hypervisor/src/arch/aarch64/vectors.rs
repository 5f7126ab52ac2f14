// SPDX-License-Identifier: MIT OR Apache-2.0
//! EL2's exception vectors, and the way into a guest.
//!
//! While a guest runs, SP_EL2 points at its vCPU, which begins with a [`Frame`]. An exit stores x0 to x30 there, takes
//! the CPU's stack, which the frame names, and goes to Rust: to `guest_sync`, `guest_irq` or `guest_serror`, with the
//! vCPU. Nothing else is saved: EL1's registers and FP/SIMD stay the guest's, because EL2's code uses neither, until
//! the CPU takes up another vCPU. Rust ends by entering the vCPU to go on with.
//!
//! There are two tables. With the second, an exit first asks the firmware to make the branch predictor forget what the
//! guest trained it to (`predictor`); the first has not one instruction for that. VBAR_EL2 holds no bits 10:0,
//! so that a table anywhere else than on a boundary of 2 KiB is another table: the linker refuses that.

use core::arch::global_asm;
use shared_abi::smccc::SMCCC_ARCH_WORKAROUND_1;

/// What the vectors know of a vCPU: its first fields.
#[repr(C, align(16))]
pub struct Frame {
    /// x0 to x30.
    pub x: [u64; 31],
    /// The stack of its CPU.
    pub stack: u64,
}

global_asm!(
    r#"
    .macro exit handler, hardened
    .balign 128
    stp     x0, x1, [sp, #0]
    stp     x2, x3, [sp, #16]
    .if     \hardened
    orr     w0, wzr, #{workaround_1} // changes x0 to x3 at most (SMCCC 1.4 §2.6)
    smc     #0
    .endif
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
    mov     x0, sp
    ldr     x1, [sp, #{stack}]
    str     x30, [sp, #240]
    mov     sp, x1
    b       \handler
    .endm

    .macro own kind
    .balign 128
    mov     x0, #\kind
    mrs     x1, esr_el2
    mrs     x2, elr_el2
    mrs     x3, far_el2
    adrp    x4, {emergency}
    add     x4, x4, :lo12:{emergency}
    add     sp, x4, #{emergency_size}
    b       {own}
    .endm

    .macro table hardened
    own     0                   // SP_EL0 is never used
    own     1
    own     2
    own     3
    own     0                   // EL2's own: bugs
    own     1
    own     2
    own     3
    exit    guest_sync, \hardened   // AArch64 below
    exit    guest_irq, \hardened
    exit    guest_irq, \hardened
    exit    guest_serror, \hardened
    exit    guest_sync, \hardened   // AArch32 below, at EL0 only
    exit    guest_irq, \hardened
    exit    guest_irq, \hardened
    exit    guest_serror, \hardened
    .endm

    .pushsection .vectors, "ax"
    .balign 2048
    .global vectors
vectors:
    table   0
    .balign 2048
    .global hardened_vectors
hardened_vectors:
    table   1

    // x0 = the vCPU: where every handler ends, and where a CPU goes when it enters its first guest.
    .balign 64
    .global enter_guest
enter_guest:
    mov     sp, x0
    ldp     x2, x3, [x0, #16]
    ldp     x4, x5, [x0, #32]
    ldp     x6, x7, [x0, #48]
    ldp     x8, x9, [x0, #64]
    ldp     x10, x11, [x0, #80]
    ldp     x12, x13, [x0, #96]
    ldp     x14, x15, [x0, #112]
    ldp     x16, x17, [x0, #128]
    ldp     x18, x19, [x0, #144]
    ldp     x20, x21, [x0, #160]
    ldp     x22, x23, [x0, #176]
    ldp     x24, x25, [x0, #192]
    ldp     x26, x27, [x0, #208]
    ldp     x28, x29, [x0, #224]
    ldr     x30, [x0, #240]
    ldp     x0, x1, [x0]
    eret
    dsb     nsh                 // no speculation past the return (Arm ARM, straight-line speculation)
    isb
    .popsection
"#,
    stack = const core::mem::offset_of!(Frame, stack),
    workaround_1 = const SMCCC_ARCH_WORKAROUND_1.0,
    own = sym own_exception,
    emergency = sym super::stack::EMERGENCY,
    emergency_size = const super::stack::EMERGENCY_SIZE,
);

unsafe extern "C" {
    static vectors: u8;
    static hardened_vectors: u8;
    #[link_name = "enter_guest"]
    fn enter(vcpu: *mut Frame) -> !;
}

/// Enters a guest.
///
/// # Safety
///
/// `vcpu`, which begins with a [`Frame`], must be loaded on this CPU, and nothing on this CPU's stack be needed any
/// more.
#[inline(always)]
pub unsafe fn enter_guest(vcpu: *mut Frame) -> ! {
    // SAFETY: as the caller promises.
    unsafe { enter(vcpu) }
}

/// Address of the vectors, for VBAR_EL2.
pub fn address(hardened: bool) -> u64 {
    if hardened { (&raw const hardened_vectors) as u64 } else { (&raw const vectors) as u64 }
}

/// Panics for an exception of EL2's own code: a bug of ours, whatever a guest did.
extern "C" fn own_exception(kind: u64, esr: u64, elr: u64, far: u64) -> ! {
    let kind = ["synchronous", "IRQ", "FIQ", "SError"][kind as usize & 3];
    panic!("{kind} exception at EL2: ESR {esr:#x} ELR {elr:#x} FAR {far:#x}");
}
