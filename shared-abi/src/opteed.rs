// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the monitor and the TEE say to each other: TF-A's OP-TEE dispatcher ABI ("opteed").
//!
//! The monitor enters the TEE once at its first byte with x0 = start of the pageable part (0: none), x1 = size of its
//! memory in bytes, x2 = physical address of the device tree (0: none). The TEE answers by SMC with
//! [`TEESMC_OPTEED_RETURN_ENTRY_DONE`] and in x1 the address of its [`Vector`] table. From then on the monitor enters
//! it at one of the table's branches, and the TEE returns by an SMC with the id that belongs to it. For
//! [`TEESMC_OPTEED_RETURN_CALL_DONE`] x1 to x4 become the caller's x0 to x3.

use crate::smccc::function_ids;

function_ids! {
    /// Initialised; x1 is the vector table, or 0 if there is no TEE to talk to after all.
    TEESMC_OPTEED_RETURN_ENTRY_DONE = 0xBE00_0000;
    /// The CPU that was switched on is ready; x1 is 0.
    TEESMC_OPTEED_RETURN_ON_DONE = 0xBE00_0001;
    /// The CPU may be switched off; x1 is 0.
    TEESMC_OPTEED_RETURN_OFF_DONE = 0xBE00_0002;
    /// The CPU may be suspended; x1 is 0.
    TEESMC_OPTEED_RETURN_SUSPEND_DONE = 0xBE00_0003;
    /// The CPU is ready again; x1 is 0.
    TEESMC_OPTEED_RETURN_RESUME_DONE = 0xBE00_0004;
    /// A fast or yielding call returns; x1 to x4 are the caller's x0 to x3.
    TEESMC_OPTEED_RETURN_CALL_DONE = 0xBE00_0005;
    /// A secure interrupt that came while the normal world ran has been handled.
    TEESMC_OPTEED_RETURN_FIQ_DONE = 0xBE00_0006;
    /// The machine may be switched off.
    TEESMC_OPTEED_RETURN_SYSTEM_OFF_DONE = 0xBE00_0007;
    /// The machine may be reset.
    TEESMC_OPTEED_RETURN_SYSTEM_RESET_DONE = 0xBE00_0008;
}

/// The entries of the TEE's vector table, in their order: one 4-byte branch instruction each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Vector {
    /// A yielding call.
    Yield = 0,
    /// A fast call.
    Fast = 1,
    /// This CPU was switched on. The one entry that is taken with the MMU off.
    CpuOn = 2,
    /// This CPU is about to be switched off.
    CpuOff = 3,
    /// This CPU woke up.
    CpuResume = 4,
    /// This CPU is about to be suspended.
    CpuSuspend = 5,
    /// A secure group 1 interrupt came while the normal world ran.
    Fiq = 6,
    /// The machine is about to be switched off.
    SystemOff = 7,
    /// The machine is about to be reset.
    SystemReset = 8,
}

impl Vector {
    /// Says how far into the table the entry stands, in bytes.
    pub const fn offset(self) -> u64 {
        self as u64 * 4
    }

    /// Length of the table in bytes.
    pub const TABLE_SIZE: u64 = 9 * 4;
}
