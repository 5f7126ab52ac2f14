// SPDX-License-Identifier: MIT OR Apache-2.0
//! Applications: what answers a session. Today pseudo-TAs, which are part of the TEE core.
//!
//! A new one is a file in `pseudo/` with a type that is an [`Application`], and a line in [`registry`].

pub mod pseudo;
pub mod reach;
pub mod registry;
#[cfg(test)]
pub(crate) mod witness;

use crate::arch::Machine;
use crate::msg::params::Parameters;
use reach::Reach;
use shared_abi::tee::TeeResult;
use uuid::Uuid;

/// What answers a session. It touches what [`Reach`] lets it touch, and the parameters.
pub trait Application {
    /// By which clients ask for it.
    const UUID: Uuid;

    /// Says whether this machine has what it takes.
    fn is_there(&self, _machine: &Machine) -> bool {
        true
    }

    /// Says whether Linux shall make a device of it.
    fn is_device(&self) -> bool {
        false
    }

    /// Agrees to a session that a client wants to open with these parameters.
    fn open(&self, _reach: Reach<'_, '_>, _params: &Parameters<'_>) -> Result<(), TeeResult> {
        Ok(())
    }

    /// Calls function `function` in a session, and leaves in the parameters what goes back.
    fn invoke(&self, reach: Reach<'_, '_>, function: u32, params: &mut Parameters<'_>) -> Result<(), TeeResult>;

    /// Notices that a session is closed. Not called when its VM is destroyed.
    fn close(&self, _reach: Reach<'_, '_>) {}
}
