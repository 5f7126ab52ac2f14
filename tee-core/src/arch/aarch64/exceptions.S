// SPDX-License-Identifier: MIT OR Apache-2.0
// The vector table (Arm ARM D1.3.6). Threads run with SP_EL0, the CPU's own code with SP_EL1 and interrupts masked;
// there is nothing below EL1 yet.

.macro vector target
    .balign 128
    b       \target
.endm

.section .text.vectors, "ax"
.balign 2048
.global exception_vectors
exception_vectors:
    vector  thread_sync
    vector  thread_native_interrupt
    vector  thread_foreign_interrupt
    vector  exception_fatal
    .rept 12
    vector  exception_fatal
    .endr
    .balign 128
.global exception_vectors_end
exception_vectors_end:

// The stack may be what is wrong: the last words are spoken from one of their own.
.global exception_fatal
exception_fatal:
    msr     spsel, #1
    adrp    x0, last_words
    add     x0, x0, :lo12:last_words
    add     sp, x0, #4096
    b       exception_panic

.section .bss.last_words, "aw", @nobits
.balign 16
last_words:
    .space 4096
