// SPDX-License-Identifier: MIT OR Apache-2.0
//! EL2's physical timer, CNTHP_*: the monitor's own where no normal world has begun on the CPU yet.
//!
//! Secure EL1 can not reach it (SCR_EL3.EEL2 is 0), as it can CNTPS_* and CNTP_*.

use super::{el3, sysreg};

/// CNTHP_CTL_EL2.ISTATUS: the time is over.
const OVER: u64 = 1 << 2;

/// Sets it to so many parts of a second from now.
pub fn set(seconds: u64, parts: u64) {
    let (now, frequency) = super::counter();
    el3::as_normal_world(|| {
        // SAFETY: nothing runs at EL2 of this CPU, and EL3 is not interrupted.
        unsafe {
            sysreg::write!("cnthp_cval_el2", now.saturating_add(seconds.saturating_mul(frequency) / parts));
            sysreg::write!("cnthp_ctl_el2", 1u64);
        }
    });
}

/// Switches it off, as the normal world finds it where it begins.
pub fn stop() {
    el3::as_normal_world(|| {
        // SAFETY: as above.
        unsafe { sysreg::write!("cnthp_ctl_el2", 0u64) };
    });
}

/// Says whether the time is over that it was set to.
pub fn is_over() -> bool {
    let mut control = 0;
    el3::as_normal_world(|| control = sysreg::read!("cnthp_ctl_el2"));
    control & OVER != 0
}
