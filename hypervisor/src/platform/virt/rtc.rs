// SPDX-License-Identifier: MIT OR Apache-2.0
//! The PL031 real-time clock (Arm DDI 0224).

use firmware_support::board::BOARD;

/// Seconds since 1970.
pub fn seconds() -> u32 {
    // SAFETY: RTCDR, the first register, is mapped, and reading it changes nothing.
    unsafe { core::ptr::with_exposed_provenance::<u32>(BOARD.rtc.registers.base as usize).read_volatile() }
}
