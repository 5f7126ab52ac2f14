// SPDX-License-Identifier: MIT OR Apache-2.0
//! The physical interrupt controller.
#![forbid(unsafe_code)]

use crate::arch::host::machine::with;
use crate::arch::interface::TIMERS;

/// Sets up this CPU's part.
pub fn init_cpu(_cpu: usize) {}

/// Makes these of the guest's timers' interrupts active on `cpu`, and the others inactive.
pub fn set_timers_active(cpu: usize, active: u32) {
    with(|machine| {
        let interface = &mut machine.cpus[cpu].interface;
        for intid in (0..u32::BITS).filter(|intid| TIMERS & 1 << intid != 0) {
            if active & 1 << intid != 0 {
                interface.activate(intid);
            } else {
                interface.forget(intid);
            }
        }
    });
}

/// Kicks the CPU of this affinity.
pub fn kick(affinity: u64) {
    with(|machine| machine.cpus[affinity as usize].kicked = true);
}
