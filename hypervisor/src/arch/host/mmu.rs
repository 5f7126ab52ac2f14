// SPDX-License-Identifier: MIT OR Apache-2.0
//! The MMU, of which only the registers are there.
#![forbid(unsafe_code)]

use super::machine::{with, with_cpu};

/// Makes stage 2 of a VM current.
pub fn set_stage2(vttbr: u64) {
    with_cpu(|cpu| cpu.stage2 = vttbr);
}

/// Drops what is cached under a VMID; what is current stays so.
pub fn flush_guest(_vmid: u8) {
    with_cpu(|cpu| cpu.flushes += 1);
}

/// Says whether a CPU has this VMID's stage 2 current.
pub fn is_current(vmid: u8) -> bool {
    with(|machine| machine.cpus.iter().any(|cpu| cpu.stage2 >> 48 == u64::from(vmid)))
}

/// Makes a stage 2 current that maps nothing.
pub fn leave_guest() {
    set_stage2(0);
}

/// Sets up stage 2 on this CPU.
pub fn init_stage2() {
    set_stage2(0);
}
