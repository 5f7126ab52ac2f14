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
use crate::trace::{Refusal, event, refused};
use shared_abi::optee_smc::ReturnCode;
use shared_abi::smccc::{self, FunctionId};

/// Answers with a return code alone.
pub(crate) const fn only(code: ReturnCode) -> Answer {
    [code as u64, 0, 0, 0]
}

/// Answers that the function does not exist (SMCCC 1.4 §5.2). It has no results, so x1 to x3 are as the caller had
/// them, as OP-TEE leaves them.
pub(crate) const fn unknown(x: &Arguments) -> Answer {
    let argument = if FunctionId(x[0] as u32).is_64() { u64::MAX } else { 0xFFFF_FFFF };
    [smccc::in_x0(smccc::NOT_SUPPORTED), x[1] & argument, x[2] & argument, x[3] & argument]
}

/// Answers a caller whom the TEE does not serve. A function that does not exist does not exist for him either: OP-TEE,
/// which looks at x7 first, says ENOTAVAIL there as well, and SMCCC 1.4 §5.2 knows no such exception.
#[cold]
pub(crate) fn unserved(offered: bool, x: &Arguments, reason: Refusal) -> Answer {
    if !offered {
        return refused!(UnknownFunction, x[0], unknown(x));
    }
    event!(Refused { reason, value: x[7] });
    only(ReturnCode::ENotAvail)
}
