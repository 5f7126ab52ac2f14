// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time, by the virtual counter.

use crate::arch::sysreg::{read, write};
use crate::arch::{relax, wait_for_interrupt};
use crate::gic;

/// Returns the virtual count.
pub fn now() -> u64 {
    read!("cntvct_el0")
}

/// Counts in so many milliseconds.
pub fn ms(ms: u64) -> u64 {
    read!("cntfrq_el0") / 1000 * ms
}

/// Waits until something is so, at most so many milliseconds; whether it is.
pub fn until(limit: u64, condition: impl Fn() -> bool) -> bool {
    let end = now() + ms(limit);
    let mut looks = 0u32;
    loop {
        if condition() {
            return true;
        }
        if now() >= end {
            return false;
        }
        // Not each time: it is dear where CPUs share one.
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(32) {
            relax();
        }
    }
}

/// Lets so many milliseconds pass, at work.
pub fn spin(limit: u64) {
    until(limit, || false);
}

/// Lets so many milliseconds pass in WFI, woken by the virtual timer every `step`. Interrupts are masked, and 27 is
/// left as it was out of reset.
pub fn sleep(limit: u64, step: u64) {
    let end = now() + ms(limit);
    gic::enable(gic::VIRTUAL_TIMER);
    while now() < end {
        write!("cntv_cval_el0", end.min(now() + ms(step)));
        write!("cntv_ctl_el0", 1);
        wait_for_interrupt();
        write!("cntv_ctl_el0", 0);
        // Off, it is not pending any more; where it is all the same no further WFI would wait.
        if gic::highest() == gic::VIRTUAL_TIMER.into() {
            gic::end(gic::ack());
        }
    }
    gic::disable(gic::VIRTUAL_TIMER);
}
