// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hypervisor's own timer, the loaded vCPU's two, and the count.
#![forbid(unsafe_code)]

use super::machine::{FREQUENCY, elsewhere, with, with_cpu};

/// Returns the system count.
pub fn now() -> u64 {
    elsewhere();
    with(|machine| {
        machine.patience = machine.patience.checked_sub(1).expect("a CPU comes back to its guests");
        machine.cpus[machine.current].now
    })
}

/// Counts per second.
pub fn frequency() -> u64 {
    FREQUENCY
}

/// Lets the hypervisor's timer fire at once.
pub fn fire() {
    set(Some(0));
}

/// Lets it fire at `deadline`, or never.
pub fn set(deadline: Option<u64>) {
    with_cpu(|cpu| cpu.timer = deadline);
}

/// Returns the interrupts that the loaded vCPU's timers assert.
pub fn guest_timers() -> u32 {
    with_cpu(|cpu| cpu.guest_timers())
}

/// Switches them off.
pub fn stop_guest_timers() {
    with_cpu(|cpu| cpu.guest.timers = [(0, 0); 2]);
}
