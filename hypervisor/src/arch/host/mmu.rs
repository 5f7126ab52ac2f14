// SPDX-License-Identifier: MIT OR Apache-2.0
//! The MMU, of which only the registers are there.
#![forbid(unsafe_code)]

use super::machine::with_cpu;

/// Makes stage 2 of a VM current.
pub fn set_stage2(vttbr: u64) {
    with_cpu(|cpu| cpu.stage2 = vttbr);
}

/// Drops what is cached for the VM of this VTTBR_EL2, which is current afterwards.
pub fn flush_guest(vttbr: u64) {
    set_stage2(vttbr);
    with_cpu(|cpu| cpu.flushes += 1);
}

/// Sets up stage 2 on this CPU.
pub fn init_stage2() {
    set_stage2(0);
}
