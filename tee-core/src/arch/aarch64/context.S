// SPDX-License-Identifier: MIT OR Apache-2.0
// Running a thread, and stopping it.

// Stores all registers of the thread. On the CPU's stack lies what context_run pushed, the context's address on top.
.macro save_thread
    stp     x0, x1, [sp, #-16]!
    ldr     x0, [sp, #16]
    stp     x2, x3, [x0, #16]
    stp     x4, x5, [x0, #32]
    stp     x6, x7, [x0, #48]
    stp     x8, x9, [x0, #64]
    stp     x10, x11, [x0, #80]
    stp     x12, x13, [x0, #96]
    stp     x14, x15, [x0, #112]
    stp     x16, x17, [x0, #128]
    stp     x18, x19, [x0, #144]
    stp     x20, x21, [x0, #160]
    stp     x22, x23, [x0, #176]
    stp     x24, x25, [x0, #192]
    stp     x26, x27, [x0, #208]
    stp     x28, x29, [x0, #224]
    str     x30, [x0, #240]
    mrs     x1, sp_el0
    mrs     x2, elr_el1
    mrs     x3, spsr_el1
    str     x1, [x0, #{SP}]
    str     x2, [x0, #{PC}]
    str     x3, [x0, #{PSTATE}]
    ldp     x2, x3, [sp], #16
    stp     x2, x3, [x0]
.endm

.section .text.context, "ax"

// x0: registers of the thread. Returns in x0 why it stopped.
.global context_run
context_run:
    stp     x29, x30, [sp, #-16]!
    stp     x27, x28, [sp, #-16]!
    stp     x25, x26, [sp, #-16]!
    stp     x23, x24, [sp, #-16]!
    stp     x21, x22, [sp, #-16]!
    stp     x19, x20, [sp, #-16]!
    str     x0, [sp, #-16]!
    ldr     x1, [x0, #{SP}]
    ldr     x2, [x0, #{PC}]
    ldr     x3, [x0, #{PSTATE}]
    msr     sp_el0, x1
    msr     elr_el1, x2
    msr     spsr_el1, x3
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

// The thread's own SVC: #0 it is done (code in x0), #1 it suspends itself. Anything else is a fault.
.global thread_sync
thread_sync:
    stp     x0, x1, [sp, #-16]!
    mrs     x0, esr_el1
    lsr     x1, x0, #26
    cmp     x1, #0x15               // SVC from AArch64 (Arm ARM D24.2.40)
    b.ne    exception_fatal
    ands    x0, x0, #0xffff
    ldp     x0, x1, [sp], #16
    b.ne    1f
    ldr     x1, [sp]
    str     x0, [x1]
    mov     x0, #0
    b       thread_stopped
1:  save_thread
    mov     x0, #1
    b       thread_stopped

// FIQ at S-EL1 with SCR_EL3.FIQ = 0 is an interrupt of group 0 or of the normal world: whoever it is for takes it when
// the thread is suspended. It stays pending.
.global thread_foreign_interrupt
thread_foreign_interrupt:
    save_thread
    mov     x0, #2

thread_stopped:
    add     sp, sp, #16
    ldp     x19, x20, [sp], #16
    ldp     x21, x22, [sp], #16
    ldp     x23, x24, [sp], #16
    ldp     x25, x26, [sp], #16
    ldp     x27, x28, [sp], #16
    ldp     x29, x30, [sp], #16
    ret

// IRQ at S-EL1 with SCR_EL3.IRQ = 0 is an interrupt of secure group 1: the TEE's own. The thread goes on after it.
.global thread_native_interrupt
thread_native_interrupt:
    stp     x0, x1, [sp, #-160]!
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x30, [sp, #144]
    bl      native_interrupt
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x30, [sp, #144]
    ldp     x0, x1, [sp], #160
    eret
