// SPDX-License-Identifier: MIT OR Apache-2.0
//! The physical interrupt controller.
#![forbid(unsafe_code)]

use crate::arch::host::machine::{SPIS, Spi, with};
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

/// Has an SPI come to this CPU, which is the first, whenever its line rises. Says whether there is such an SPI.
pub fn take_edges(intid: u32) -> bool {
    with(|machine| machine.spi = Some(Spi { intid, enabled: true, pending: false }));
    intid < SPIS
}

/// Lets it come, or keeps it back.
pub fn enable(intid: u32, on: bool) {
    with(|machine| {
        let spi = machine.spi.as_mut().filter(|spi| spi.intid == intid);
        spi.expect("it was taken").enabled = on;
    });
}

/// Kicks the CPU of this affinity.
pub fn kick(affinity: u64) {
    with(|machine| machine.cpus[affinity as usize].kicked = true);
}
