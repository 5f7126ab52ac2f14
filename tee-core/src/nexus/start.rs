// SPDX-License-Identifier: MIT OR Apache-2.0
//! When the runtime of a partition is initialised: in its VM's first yielding call.

use super::vms::{Life, Slot, SlotIndex};
use crate::arch::Machine;
use crate::heap::Damaged;
use shared_abi::client::VmId;

/// Says in which state a VM is whose partition was built. Never refused.
///
/// # Safety
///
/// The partition must be built, and nobody may use it yet. None is current afterwards.
#[expect(unsafe_code, reason = "another start than this one may use the partition")]
#[inline(always)]
pub(crate) unsafe fn begin(_slot: &Slot, _machine: &Machine, _index: SlotIndex, _id: VmId) -> Result<Life, Damaged> {
    Ok(Life::Created)
}

/// Logs that a VM was created.
pub(crate) fn announce(slot: &Slot, id: VmId) {
    if let Some(line) = slot.created.take() {
        log::info!("{id} created{line}");
    }
}
