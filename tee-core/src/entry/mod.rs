// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where calls enter: registers in, registers out.

#[cfg_attr(as_reported, path = "../as_reported/caller.rs")]
pub mod caller;
mod command;
pub mod fast;
#[cfg(target_os = "none")]
pub mod monitor;
mod outcome;
mod session;
mod shm;
pub mod yielding;

use crate::arch::{Answer, Arguments};
use shared_abi::optee_smc::ReturnCode;
use shared_abi::smccc;

/// Answers with a return code alone.
pub(crate) const fn only(code: ReturnCode) -> Answer {
    [code as u64, 0, 0, 0]
}

/// Answers that the function does not exist (SMCCC 1.4 §5.2). It has no results, so x1 to x3 are as the caller had
/// them, as OP-TEE leaves them.
pub(crate) const fn unknown(x: &Arguments) -> Answer {
    const ARGUMENT: u64 = 0xFFFF_FFFF;
    [smccc::in_x0(smccc::NOT_SUPPORTED), x[1] & ARGUMENT, x[2] & ARGUMENT, x[3] & ARGUMENT]
}
