// SPDX-License-Identifier: MIT OR Apache-2.0
//! The CPU's interface to the physical interrupt controller (GICv3 §12.2).

use super::sysreg::{isb, read, write};

/// Takes the most urgent interrupt, if there is one.
#[inline(always)]
pub fn acknowledge() -> Option<u32> {
    let intid = read!("icc_iar1_el1") as u32;
    (intid < 1020).then_some(intid)
}

/// Ends an interrupt but leaves it active: it can't come again before it is deactivated.
#[inline(always)]
pub fn end(intid: u32) {
    write!("icc_eoir1_el1", u64::from(intid));
}

/// Deactivates an interrupt of this CPU's.
#[inline(always)]
pub fn deactivate(intid: u32) {
    write!("icc_dir_el1", u64::from(intid));
    isb();
}

/// Returns the interrupt that would be taken (ICC_HPPIR1); 1023 for none.
#[inline(always)]
pub fn most_urgent() -> u32 {
    read!("icc_hppir1_el1") as u32
}
