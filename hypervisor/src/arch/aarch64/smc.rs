// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls to EL3.

/// Makes a call with x0 to x7, which is answered in x0 to x3.
#[inline(always)]
pub fn call(regs: [u64; 8]) -> [u64; 4] {
    let [mut x0, mut x1, mut x2, mut x3, x4, x5, x6, x7] = regs;
    // SAFETY: SMCCC 1.4 §2.6: an SMC changes x0 to x17 at most. What the TEE writes to is memory that the mediator gave
    // it, none of which Rust knows as its own.
    unsafe {
        core::arch::asm!(
            "smc #0",
            inlateout("x0") x0,
            inlateout("x1") x1,
            inlateout("x2") x2,
            inlateout("x3") x3,
            inlateout("x4") x4 => _,
            inlateout("x5") x5 => _,
            inlateout("x6") x6 => _,
            inlateout("x7") x7 => _,
            lateout("x8") _, lateout("x9") _, lateout("x10") _, lateout("x11") _, lateout("x12") _,
            lateout("x13") _, lateout("x14") _, lateout("x15") _, lateout("x16") _, lateout("x17") _,
            options(nostack),
        );
    }
    [x0, x1, x2, x3]
}

/// Calls to the firmware itself, as the `smccc` crate makes them.
pub use smccc::Smc;
