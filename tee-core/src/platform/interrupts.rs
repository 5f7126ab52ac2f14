// SPDX-License-Identifier: MIT OR Apache-2.0
//! Native interrupts: those of secure group 1.
//!
//! The TEE drives no device that interrupts, so that what comes is acknowledged and counted. Distributor and
//! redistributors, and with them every interrupt's group, are the monitor's.

use arm_gic::InterruptGroup;
use arm_gic::gicv3::GicCpuInterface;
use core::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Lets interrupts of secure group 1 reach this CPU. ICC_IGRPEN1_EL1 is banked by security state.
pub fn init_cpu() {
    GicCpuInterface::enable_group1(true);
}

/// Handles one pending interrupt, if there is one. `tell` is told its number.
pub fn handle(tell: impl FnOnce(u32)) {
    if let Some(id) = GicCpuInterface::get_and_acknowledge_interrupt(InterruptGroup::Group1) {
        tell(id.into());
        COUNT.fetch_add(1, Ordering::Relaxed);
        GicCpuInterface::end_interrupt(id, InterruptGroup::Group1);
    }
}

/// Counts how many there were.
pub fn count() -> u32 {
    COUNT.load(Ordering::Relaxed)
}
