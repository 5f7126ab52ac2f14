// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exceptions at S-EL1.

use aarch64_cpu::registers::{ELR_EL1, ESR_EL1, FAR_EL1, Readable, SP_EL0};
use core::arch::global_asm;

global_asm!(include_str!("exceptions.S"));

/// Ends the TEE after an exception that its code must not cause.
#[unsafe(no_mangle)]
extern "C" fn exception_panic() -> ! {
    panic!(
        "exception: ESR {:#x} ELR {:#x} FAR {:#x} SP_EL0 {:#x}",
        ESR_EL1.get(),
        ELR_EL1.get(),
        FAR_EL1.get(),
        SP_EL0.get()
    );
}
