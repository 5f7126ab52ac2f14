// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is selected when a call arrives: nothing. A call selects what it may reach, once it is known whose it is.
#![expect(unsafe_code, reason = "says that the CPU is in no other call")]

use crate::arch::{Answer, Arguments, ThisCpu};
use crate::nexus::tee::Tee;

/// Makes a fast call.
///
/// # Safety
///
/// This CPU must be in no other call.
#[inline(always)]
pub unsafe fn fast(tee: &Tee, x: &mut Arguments) -> Answer {
    // SAFETY: promised by the caller.
    tee.fast(&mut unsafe { ThisCpu::new() }, x)
}

/// Makes a yielding call.
///
/// # Safety
///
/// This CPU must be in no other call.
#[inline(always)]
pub unsafe fn yielding(tee: &Tee, x: &mut Arguments) -> Answer {
    // SAFETY: promised by the caller.
    tee.yielding(&mut unsafe { ThisCpu::new() }, x)
}
