// SPDX-License-Identifier: MIT OR Apache-2.0
// The monitor's ways in, in the order of opteed::Vector, and back out.
//
// On every entry but cpu_on the MMU is on and SP_EL1 is the empty stack of this CPU, as it was at the last SMC. Nothing
// is held across: a call that is suspended stands in its partition.

.macro smc_done function
    movz    x0, #(\function >> 16), lsl #16
    movk    x0, #(\function & 0xffff)
    smc     #0
    b       exception_fatal         // the monitor does not come back here
.endm

.macro call_entry handler
    stp     x6, x7, [sp, #-16]!
    stp     x4, x5, [sp, #-16]!
    stp     x2, x3, [sp, #-16]!
    stp     x0, x1, [sp, #-16]!
    mov     x0, sp
    bl      \handler
    ldp     x1, x2, [sp], #16
    ldp     x3, x4, [sp], #48
    smc_done {CALL_DONE}
.endm

.macro vectors yielding, fast
    b       \yielding
    b       \fast
    b       entry_cpu_on
    b       entry_cpu_off
    b       entry_cpu_resume
    b       entry_cpu_suspend
    b       entry_fiq
    b       entry_system_off
    b       entry_system_reset
.endm

.section .text.smc, "ax"
.balign 64
.global monitor_vectors
monitor_vectors:
    vectors entry_yielding, entry_fast

entry_fast:
    call_entry fast_call

entry_yielding:
    call_entry yielding_call

// Where the TEE serves one: so the others need not ask whether it does.
.balign 64
.global monitor_vectors_of_one
monitor_vectors_of_one:
    vectors entry_yielding_of_one, entry_fast_of_one

entry_fast_of_one:
    mov     w7, #{ONE}              // whoever calls: Mode::admit
    b       entry_fast

entry_yielding_of_one:
    mov     w7, #{ONE}
    b       entry_yielding

// With the MMU off. x1 of the answer is 0 if this CPU can be used.
entry_cpu_on:
    bl      cpu_prepare
    cbnz    x0, 1f
    bl      mmu_on
    bl      cpu_on
    mov     x0, #0
1:  mov     x1, x0
    smc_done {ON_DONE}

entry_cpu_resume:
    bl      cpu_resume
    mov     x1, #0
    smc_done {RESUME_DONE}

// Calls that are suspended belong to no CPU: there is nothing to do.
entry_cpu_off:
    mov     x1, #0
    smc_done {OFF_DONE}

entry_cpu_suspend:
    mov     x1, #0
    smc_done {SUSPEND_DONE}

entry_system_off:
    mov     x1, #0
    smc_done {SYSTEM_OFF_DONE}

entry_system_reset:
    mov     x1, #0
    smc_done {SYSTEM_RESET_DONE}

// A secure interrupt while the normal world ran, whose registers the monitor keeps.
entry_fiq:
    bl      native_interrupt
    smc_done {FIQ_DONE}
