// SPDX-License-Identifier: MIT OR Apache-2.0
//! When the report's TEE initialises the runtime of a partition: as soon as the VM is created.
#![expect(unsafe_code, reason = "reaches a partition that is not handed out yet")]

use crate::arch::Machine;
use crate::heap::Damaged;
use crate::ids;
use crate::nexus::space::Space;
use crate::nexus::vms::{Life, Slot, SlotIndex};
use crate::trace::event;
use shared_abi::client::VmId;

/// Gives a new partition its heap, as the report's TEE does in VM_CREATED, and says so if a line is left for it.
///
/// # Safety
///
/// The partition must be built, and nobody may use it yet. None is current afterwards.
pub(crate) unsafe fn begin(slot: &Slot, machine: &Machine, index: SlotIndex, id: VmId) -> Result<Life, Damaged> {
    if let Some(line) = slot.created.take() {
        log::info!("I/TC: Added guest {}{line}", ids::number(id));
    }
    // SAFETY: it is the slot's; nobody refers to another one here.
    unsafe { slot.space.select(machine, index) };
    event!(id => PartitionSelect { slot: index });
    // SAFETY: the partition is mapped now; its memory is given to its heap here alone.
    let started = unsafe { (*Space::partition(machine)).start(Space::heap(machine)) };
    // SAFETY: nobody refers to it.
    unsafe { Space::deselect(machine) };
    event!(id => PartitionLeave { slot: index });
    started.map(|()| Life::Ready)
}

/// Logs nothing more.
pub(crate) fn announce(_slot: &Slot, _id: VmId) {}
