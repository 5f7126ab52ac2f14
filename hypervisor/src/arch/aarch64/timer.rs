// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hypervisor's own timer, CNTHP, the loaded vCPU's two, CNTV and CNTP, and the count.

use super::sysreg::{isb, read, write};
use crate::arch::interface::{PHYSICAL_TIMER, VIRTUAL_TIMER};
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTHP_CTL_EL2, CNTPCT_EL0, CNTV_CTL_EL0, Readable, Writeable};

/// Returns the system count (CNTPCT).
#[inline(always)]
pub fn now() -> u64 {
    isb();
    CNTPCT_EL0.get()
}

/// Counts per second.
pub fn frequency() -> u64 {
    CNTFRQ_EL0.get()
}

/// Lets CNTHP fire at once.
#[inline]
pub fn fire() {
    set(Some(0));
}

/// Lets CNTHP fire at `deadline`, or never.
#[inline(always)]
pub fn set(deadline: Option<u64>) {
    match deadline {
        Some(deadline) => {
            write!("cnthp_cval_el2", deadline);
            CNTHP_CTL_EL2.write(CNTHP_CTL_EL2::ENABLE::SET);
        }
        None => CNTHP_CTL_EL2.set(0),
    }
    isb();
}

/// Returns the interrupts that the loaded vCPU's timers assert, a bit for each of its PPIs.
#[inline]
pub fn guest_timers() -> u32 {
    // ENABLE, IMASK and ISTATUS of CNTx_CTL.
    let asserts = |control: u64| u32::from(control & 7 == 5);
    asserts(CNTV_CTL_EL0.get()) << VIRTUAL_TIMER | asserts(read!("cntp_ctl_el0")) << PHYSICAL_TIMER
}

/// Switches them off: a CPU without a vCPU has none.
pub fn stop_guest_timers() {
    CNTV_CTL_EL0.set(0);
    write!("cntp_ctl_el0", 0);
}
