//! Where the monitor enters, and how the TEE returns to it (`shared_abi::opteed`).
//!
//! The `smccc` crate is not used: its calls return to where they were made, while the TEE's SMCs end what the CPU did
//! and the monitor enters anew at the vector table.

use crate::entry::{Arguments, caller};
use crate::platform;
use crate::tee::Tee;
use crate::trace;
use core::arch::global_asm;
use shared_abi::opteed;

/// The TEE.
pub static TEE: Tee = Tee::new(super::machine::Machine);

global_asm!(
    include_str!("smc.S"),
    ON_DONE = const opteed::TEESMC_OPTEED_RETURN_ON_DONE.0,
    OFF_DONE = const opteed::TEESMC_OPTEED_RETURN_OFF_DONE.0,
    SUSPEND_DONE = const opteed::TEESMC_OPTEED_RETURN_SUSPEND_DONE.0,
    RESUME_DONE = const opteed::TEESMC_OPTEED_RETURN_RESUME_DONE.0,
    CALL_DONE = const opteed::TEESMC_OPTEED_RETURN_CALL_DONE.0,
    FIQ_DONE = const opteed::TEESMC_OPTEED_RETURN_FIQ_DONE.0,
    SYSTEM_OFF_DONE = const opteed::TEESMC_OPTEED_RETURN_SYSTEM_OFF_DONE.0,
    SYSTEM_RESET_DONE = const opteed::TEESMC_OPTEED_RETURN_SYSTEM_RESET_DONE.0,
);

unsafe extern "C" {
    static monitor_vectors: u8;
}

/// Address of the table that ENTRY_DONE tells the monitor.
pub fn vectors() -> u64 {
    // Only the symbol's address is used.
    (&raw const monitor_vectors) as u64
}

/// A fast call; the answer replaces the first four arguments.
#[unsafe(no_mangle)]
extern "C" fn fast_call(x: &mut Arguments) {
    trace::called(x);
    // SAFETY: the monitor enters on this CPU's empty stack.
    let answer = unsafe { caller::fast(&TEE, x) };
    trace::answered(&answer);
    x[..4].copy_from_slice(&answer);
}

/// A yielding call; the answer replaces the first four arguments.
#[unsafe(no_mangle)]
extern "C" fn yielding_call(x: &mut Arguments) {
    trace::called(x);
    // SAFETY: the monitor enters on this CPU's empty stack.
    let answer = unsafe { caller::yielding(&TEE, x) };
    trace::answered(&answer);
    x[..4].copy_from_slice(&answer);
}

/// This CPU was switched on.
#[unsafe(no_mangle)]
extern "C" fn cpu_on() {
    platform::init_cpu();
    if trace::ON {
        super::trace::begin();
    }
}

/// This CPU wakes up: what the monitor does not keep across a suspension is set again.
#[unsafe(no_mangle)]
extern "C" fn cpu_resume() {
    platform::init_cpu();
}
