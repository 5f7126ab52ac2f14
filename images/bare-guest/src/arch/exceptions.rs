// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exceptions: none is expected, so each one says what it is and ends the VM.

use super::power_off;
use crate::platform::Console;
use aarch64_cpu::registers::{ELR_EL1, ESR_EL1, FAR_EL1, Readable};
use core::arch::global_asm;
use core::fmt::Write;

unsafe extern "C" {
    /// The vector table (Arm ARM D1.4.1).
    pub(super) fn guest_vectors();
}

// Sixteen vectors of 128 bytes; each tells its number and does not come back.
global_asm!(
    r#"
    .pushsection .vectors, "ax"
    .balign 2048
    .global guest_vectors
guest_vectors:
    .set    n, 0
    .rept   16
    .balign 128
    mov     x0, #n
    b       guest_exception
    .set    n, n + 1
    .endr
    .popsection
"#
);

#[unsafe(no_mangle)]
extern "C" fn guest_exception(vector: usize) -> ! {
    // SAFETY: whoever else had the console will not write to it any more.
    let mut console = unsafe { Console::contract() };
    let (esr, elr, far) = (ESR_EL1.get(), ELR_EL1.get(), FAR_EL1.get());
    let _ = writeln!(console, "bare-guest: EXCEPTION {vector}: ESR {esr:#x} ELR {elr:#x} FAR {far:#x}");
    power_off()
}
