// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whom the TEE serves. Chosen at boot by the chain (`shared_abi::chosen`), and never changed.

use shared_abi::client::VmId;

/// Whom the TEE serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// VMs that a hypervisor creates, which is itself client 0 and has no partition: OP-TEE with
    /// `CFG_NS_VIRTUALIZATION`.
    #[default]
    Virtualized,
    /// Whoever calls, by one partition that is there from boot on. Nobody creates or destroys any: OP-TEE without
    /// `CFG_NS_VIRTUALIZATION`, whose `thread_handle_fast_smc` and `thread_handle_std_smc` do not look at x7.
    Single,
}

/// The id under which the one partition is in the table of VMs: VM 1, as a hypervisor with one VM would have it.
pub const ONE: VmId = VmId::new(1).unwrap();

impl Mode {
    /// Says it in words, for the log.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Virtualized => "virtualized",
            Self::Single => "single, one partition for client 0",
        }
    }

    /// Says in x7 who makes a call that has arrived.
    #[inline(always)]
    pub fn admit(self, x: &mut [u64; 8]) {
        match self {
            Self::Virtualized => {}
            Self::Single => x[7] = ONE.get().into(),
        }
    }
}
