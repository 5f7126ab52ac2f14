//! The hypervisor's own timer, CNTHP, and the count.

use super::sysreg::{read, write};

/// The system count (CNTPCT).
#[inline(always)]
pub fn now() -> u64 {
    super::sysreg::isb();
    read!("cntpct_el0")
}

/// Counts per second.
pub fn frequency() -> u64 {
    read!("cntfrq_el0")
}

/// Lets CNTHP fire at `deadline`, or never.
#[inline(always)]
pub fn set(deadline: Option<u64>) {
    match deadline {
        Some(deadline) => {
            write!("cnthp_cval_el2", deadline);
            write!("cnthp_ctl_el2", 1);
        }
        None => write!("cnthp_ctl_el2", 0),
    }
    super::sysreg::isb();
}

/// Whether the loaded vCPU's virtual timer asserts its interrupt.
pub fn guest_timer_fires() -> bool {
    // ENABLE and ISTATUS without IMASK.
    read!("cntv_ctl_el0") & 7 == 5
}

/// Switches the virtual timer off: a CPU without a vCPU has none.
pub fn stop_guest_timer() {
    write!("cntv_ctl_el0", 0);
}
