// SPDX-License-Identifier: MIT OR Apache-2.0
// The image's first byte: S-EL1, MMU and caches off. x0 = 0, x1 = bytes of memory, x2 = device tree.

.macro load_32 register, value
    movz    \register, #(\value & 0xffff)
    movk    \register, #(\value >> 16 & 0xffff), lsl #16
.endm

.section .text.entry, "ax"
.global _start
_start:
    mov     x19, x1
    mov     x20, x2
    bl      cpu_prepare
    cbnz    x0, exception_fatal
    // What loaded the image had this memory mapped cacheable: a line that the CPU fetched then, for whatever reason,
    // would hide what is written from here on with the cache off, to tables and the stack as well.
    adrp    x0, __bss_start
    adrp    x1, __stacks_end
    add     x1, x1, :lo12:__stacks_end
    mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4
    mov     x3, #4
    lsl     x3, x3, x2              // bytes of the smallest cache line
1:  dc      civac, x0
    add     x0, x0, x3
    cmp     x0, x1
    b.lo    1b
    dsb     sy
    adrp    x0, __bss_start
    add     x0, x0, :lo12:__bss_start
    adrp    x1, __bss_end
    add     x1, x1, :lo12:__bss_end
1:  stp     xzr, xzr, [x0], #16
    cmp     x0, x1
    b.lo    1b
    mov     x0, x19
    mov     x1, x20
    bl      tee_main
    mov     x1, x0
    load_32 x0, {ENTRY_DONE}
    smc     #0
    b       exception_fatal

// This CPU's vectors and stack. x0 is 0, or -1 if there is no room for the CPU.
.global cpu_prepare
cpu_prepare:
    msr     daifset, #15
    msr     spsel, #1
    adrp    x0, exception_vectors
    add     x0, x0, :lo12:exception_vectors
    msr     vbar_el1, x0
    mrs     x1, mpidr_el1           // the CPU's number, as in affinity.rs, and no other affinity
    and     x0, x1, #0xff
    ubfx    x2, x1, #8, #8
    tbz     x1, #24, 1f             // MT
    mov     x3, x0                  // cores have the upper one of the two
    mov     x0, x2
    mov     x2, x3
1:  ubfx    x1, x1, #16, #8
    orr     x1, x1, x2
    cbnz    x1, 2f
    cmp     x0, #{MAX_CPUS}
    b.hs    2f
    add     x0, x0, #1
    mov     x1, #{STACK_STRIDE}
    adrp    x2, __stacks_start
    add     x2, x2, :lo12:__stacks_start
    madd    x0, x0, x1, x2
    mov     sp, x0
    isb
    mov     x0, #0
    ret
2:  mov     x0, #-1
    ret

// Switches the MMU on: code and data stand at the same addresses before and after.
.global mmu_on
mmu_on:
    adrp    x0, MMU_TABLES
    add     x0, x0, :lo12:MMU_TABLES
    ldp     x1, x2, [x0]
    msr     ttbr0_el1, x1
    msr     ttbr1_el1, x2
    load_32 x0, {MAIR}
    msr     mair_el1, x0
    load_32 x0, {TCR_LOW}
    movk    x0, #{TCR_HIGH}, lsl #32
    msr     tcr_el1, x0
    ic      iallu
    tlbi    vmalle1
    dsb     nsh
    isb
    load_32 x0, {SCTLR}
    msr     sctlr_el1, x0
    isb
    ret
