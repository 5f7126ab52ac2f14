//! The token that a partition is selected on this CPU.
#![expect(unsafe_code, reason = "the one place where a partition becomes reachable")]

use super::space::Space;
use super::vms::{Life, SlotIndex};
use crate::partition::Partition;
use crate::tee::Tee;
use crate::trace::event;
use core::marker::PhantomData;
use shared_abi::client::VmId;

/// VM `id`'s partition is mapped on this CPU for as long as the token lives, and it is the only way to reach it. It
/// cannot be sent to another CPU.
pub struct Current<'t> {
    tee: &'t Tee,
    slot: SlotIndex,
    here: PhantomData<*const ()>,
}

/// No VM of this id can be entered: it is absent, or being destroyed.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAvailable;

/// Whether the VM still is when a CPU has left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It exists; what was suspended can be resumed.
    Alive,
    /// It was destroyed in the meantime; calls of its that were suspended are dead.
    Destroyed,
}

impl Tee {
    /// Selects VM `id`'s partition. A yielding call (`run`) also initialises its runtime if it is the first.
    pub fn select(&self, id: VmId, run: bool) -> Result<Current<'_>, NotAvailable> {
        let entered = self.vms.with(id, |slot, state| {
            if !matches!(state.life, Life::Created | Life::Ready) {
                return None;
            }
            let space = &self.vms.slot(slot).space;
            space.select(&self.machine, slot);
            event!(id => PartitionSelect { slot });
            if run && state.life == Life::Created {
                // SAFETY: the space was built when the VM was created. It is selected, and its heap's first memory given away
                // once: the VM is Ready then.
                unsafe { (*space.partition(&self.machine)).start(space.heap(&self.machine)) };
                state.life = Life::Ready;
            }
            state.inside += 1;
            Some(Current { tee: self, slot, here: PhantomData })
        });
        entered.flatten().ok_or(NotAvailable)
    }
}

impl<'t> Current<'t> {
    /// The partition.
    pub fn partition(&self) -> &Partition {
        // SAFETY: the space was built when the VM was created and is selected here; it is not torn down while
        // `inside` counts this CPU.
        unsafe { &*self.space().partition(&self.tee.machine) }
    }

    /// Number of the VM's slot.
    pub fn slot(&self) -> SlotIndex {
        self.slot
    }

    fn space(&self) -> &'t Space {
        &self.tee.vms.slot(self.slot).space
    }

    /// Leaves the partition. The last CPU to leave a destroyed VM reclaims it.
    pub fn leave(self) -> Departure {
        let departure = self.depart();
        core::mem::forget(self);
        departure
    }

    fn depart(&self) -> Departure {
        Space::deselect(&self.tee.machine);
        event!(PartitionLeave { slot: self.slot });
        let (life, last) = self.tee.vms.slot(self.slot).state.with(|state| {
            state.inside -= 1;
            let last = state.life == Life::Draining && state.inside == 0;
            let life = state.life;
            if last {
                state.life = Life::Building;
            }
            (life, last)
        });
        if last {
            self.tee.reclaim(self.slot);
        }
        if life == Life::Draining { Departure::Destroyed } else { Departure::Alive }
    }
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        self.depart();
    }
}
