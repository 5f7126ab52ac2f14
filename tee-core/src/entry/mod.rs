//! Where calls enter: registers in, registers out.

pub mod call;
#[cfg_attr(as_reported, path = "../as_reported/caller.rs")]
pub mod caller;
pub mod fast;
pub mod rpc;
pub mod yielding;

use shared_abi::optee_smc::ReturnCode;
use shared_abi::smccc;

/// The caller's x0 to x7.
pub type Arguments = [u64; 8];
/// The caller's x0 to x3; what a call does not use is 0.
pub type Answer = [u64; 4];

/// Just a return code.
pub(crate) const fn only(code: ReturnCode) -> Answer {
    [code as u64, 0, 0, 0]
}

/// The function does not exist (SMCCC 1.4 §5.2). It has no results, so x1 to x3 are as the caller had them, as OP-TEE
/// leaves them.
pub(crate) const fn unknown(x: &Arguments) -> Answer {
    const ARGUMENT: u64 = 0xFFFF_FFFF;
    [smccc::in_x0(smccc::NOT_SUPPORTED), x[1] & ARGUMENT, x[2] & ARGUMENT, x[3] & ARGUMENT]
}
