//! The hypervisor's own timer, CNTHP, and the count.

use super::sysreg::isb;
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTHP_CTL_EL2, CNTPCT_EL0, CNTV_CTL_EL0, Readable, Writeable};

/// The system count (CNTPCT).
#[inline(always)]
pub fn now() -> u64 {
    isb();
    CNTPCT_EL0.get()
}

/// Counts per second.
pub fn frequency() -> u64 {
    CNTFRQ_EL0.get()
}

/// Lets CNTHP fire at `deadline`, or never.
#[inline(always)]
pub fn set(deadline: Option<u64>) {
    match deadline {
        Some(deadline) => {
            super::sysreg::write!("cnthp_cval_el2", deadline);
            CNTHP_CTL_EL2.write(CNTHP_CTL_EL2::ENABLE::SET);
        }
        None => CNTHP_CTL_EL2.set(0),
    }
    isb();
}

/// Whether the loaded vCPU's virtual timer asserts its interrupt.
#[inline]
pub fn guest_timer_fires() -> bool {
    let wanted = CNTV_CTL_EL0::ENABLE::SET + CNTV_CTL_EL0::IMASK::CLEAR + CNTV_CTL_EL0::ISTATUS::SET;
    CNTV_CTL_EL0.matches_all(wanted)
}

/// Switches the virtual timer off: a CPU without a vCPU has none.
pub fn stop_guest_timer() {
    CNTV_CTL_EL0.set(0);
}
