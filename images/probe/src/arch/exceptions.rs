// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exceptions: of a guarded instruction they are an answer, all others are the probe's end.

use super::{guard, power_off};
use crate::platform::console;
use crate::script::step::Conduit;
use core::arch::global_asm;
use core::fmt::Write;

// Sixteen vectors of 128 bytes, for either level (Arm ARM D1.4.1). All of them go the same way: with interrupts masked
// there is nothing but synchronous exceptions, and SErrors that are nobody's answer.
global_asm!(
    r#"
    .pushsection .vectors, "ax"
    .balign 2048
    .global probe_vectors
probe_vectors:
    .set    n, 0
    .rept   16
    .balign 128
    mov     x4, #n
    b       probe_exception
    .set    n, n + 1
    .endr

probe_exception:
    mrs     x0, CurrentEL
    cmp     x0, #(2 << 2)
    b.eq    1f
    mrs     x1, esr_el1
    mrs     x2, far_el1
    mrs     x3, elr_el1
    b       2f
1:  mrs     x1, esr_el2
    mrs     x2, far_el2
    mrs     x3, elr_el2
2:  mrs     x0, tpidr_el1
    cmp     x4, #4                          // synchronous, from this level with its own stack pointer
    b.ne    3f
    cbz     x0, 3f
    ldr     x5, [x0]
    cbnz    x5, probe_faulted
3:  mov     x0, x4
    b       probe_unexpected
    .popsection
"#
);

#[unsafe(no_mangle)]
extern "C" fn probe_unexpected(vector: u64, syndrome: u64, address: u64, pc: u64) -> ! {
    // SAFETY: this CPU prints nothing else any more.
    let mut console = unsafe { console() };
    let cpu = guard::cpu();
    let _ = writeln!(
        console,
        "[probe] CPU {cpu}: exception {vector} in the probe itself: ESR {syndrome:#x} FAR {address:#x} ELR {pc:#x}"
    );
    power_off(Conduit::Smc)
}
