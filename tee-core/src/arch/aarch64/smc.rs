// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the monitor enters, and how the TEE returns to it (`shared_abi::opteed`). What is done in between is in
//! [`crate::entry::monitor`].
//!
//! The `smccc` crate is not used: its calls return to where they were made, while the TEE's SMCs end what the CPU did
//! and the monitor enters anew at the vector table.

use crate::mode::ONE;
use core::arch::global_asm;
use shared_abi::opteed;

global_asm!(
    include_str!("smc.S"),
    ONE = const ONE.get(),
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
    static monitor_vectors_of_one: u8;
}

/// Address of the table that ENTRY_DONE tells the monitor: that of a TEE that serves VMs, or of one that serves one.
pub fn vectors(of_one: bool) -> u64 {
    // Only the symbols' addresses are used.
    let table = if of_one { &raw const monitor_vectors_of_one } else { &raw const monitor_vectors };
    table as u64
}
