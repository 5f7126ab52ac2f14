//! The runtime of a partition, initialised as soon as the VM is created.
#![expect(unsafe_code, reason = "reaches a partition that is not handed out yet")]

use super::bget::Damaged;
use super::ids;
use crate::arch::Machine;
use crate::nexus::space::Space;
use crate::nexus::vms::SlotIndex;
use crate::trace::event;
use shared_abi::client::VmId;
use shared_abi::lines::Lines;

/// Gives a new partition its heap, as the report's TEE does in VM_CREATED, and says so if there is one of `lines` left.
///
/// # Safety
///
/// The partition must be built, and nobody may use it yet. None is current afterwards.
pub unsafe fn start<const MOST: u32>(
    space: &Space,
    machine: &Machine,
    slot: SlotIndex,
    id: VmId,
    lines: &Lines<MOST>,
) -> Result<(), Damaged> {
    if let Some(line) = lines.take() {
        log::info!("I/TC: Added guest {}{line}", ids::number(id));
    }
    // SAFETY: it is the slot's; nobody refers to another one here.
    unsafe { space.select(machine, slot) };
    event!(id => PartitionSelect { slot });
    // SAFETY: the partition is mapped now; its memory is given to its heap here alone.
    let started = unsafe { (*space.partition(machine)).heap.try_add(space.heap(machine)) };
    // SAFETY: nobody refers to it.
    unsafe { Space::deselect(machine) };
    event!(id => PartitionLeave { slot });
    started
}
