// SPDX-License-Identifier: MIT OR Apache-2.0
//! The VM table: who exists, in which state, and which pages it owns.
//!
//! ```text
//! Absent ──VM_CREATED──▶ Building ──▶ Created ──first yielding call──▶ Ready
//!    ▲                                   │                               │
//!    └── the last CPU has left ── Draining ◀──────── VM_DESTROYED ───────┘
//! ```
//!
//! Order of locks: index, slot, page pool. A call takes its own VM's slot, and the index only to read and only if the
//! VM isn't in its home slot, so calls of different VMs do not wait for each other.

use super::space::Space;
use crate::memory::pages::Page;
use crate::partition::layout::QUOTA;
use crate::sync::{Lock, ReadLock, Waits};
use core::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use firmware_support::lines::Lines;
use heapless::Vec;
use heapless::index_map::FnvIndexMap;
use shared_abi::client::VmId;

/// VMs the table has room for; the memory is gone first.
pub const MAX_VMS: usize = 128;
/// Places of the index: twice as many, so that looking up stays short when the table is full.
const PLACES: usize = 2 * MAX_VMS;

/// Where a VM is in its life. An id that is not in the index is Absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The slot is nobody's, or on its way to or from that.
    Building,
    /// VM_CREATED has been answered; no yielding call yet.
    Created,
    /// Its runtime is initialised.
    Ready,
    /// VM_DESTROYED has been answered; CPUs are still inside.
    Draining,
}

/// Pages of one VM: the translation table's first, then those it maps, in the order of their addresses.
pub type Pages = Vec<Page, QUOTA, u16>;

/// The part of a slot that changes.
pub struct State {
    /// Whose the slot is.
    pub(super) id: Option<VmId>,
    /// Where the VM is in its life.
    pub(super) life: Life,
    /// CPUs that have the partition selected.
    pub(super) inside: u16,
    /// What the VM owns.
    pub(super) pages: Pages,
}

impl State {
    /// Returns whose the slot is.
    pub fn id(&self) -> Option<VmId> {
        self.id
    }

    /// Returns where the VM is in its life.
    pub fn life(&self) -> Life {
        self.life
    }

    /// Counts the CPUs that have the partition selected.
    pub fn inside(&self) -> u16 {
        self.inside
    }

    /// Lists what the VM owns.
    pub fn pages(&self) -> &[Page] {
        &self.pages
    }
}

/// A place for a VM.
pub struct Slot {
    /// The number of the VM whose place it is, as long as the VM can be entered; else 0. Written with the state
    /// locked.
    live: AtomicU16,
    /// Its state.
    pub(super) state: Lock<State>,
    /// How often calls of the VM waited for what all VMs share: the index and the page pool.
    pub(super) shared_waits: Waits,
    /// Its partition's address space.
    pub(super) space: Space,
    /// What may still be logged of VMs that come to this place. A hypervisor's ids are small, and each VM comes to its
    /// own.
    pub(super) created: Lines<LINES>,
    /// And of those that go.
    pub(super) destroyed: Lines<LINES>,
}

/// How often a VM's coming is logged, and its going.
const LINES: u32 = 8;

impl Slot {
    const fn new() -> Self {
        let state = State { id: None, life: Life::Building, inside: 0, pages: Vec::new() };
        Self {
            live: AtomicU16::new(0),
            state: Lock::new(state),
            shared_waits: Waits::new(),
            space: Space::new(),
            created: Lines::new(),
            destroyed: Lines::new(),
        }
    }

    /// Counts how often calls of the VM waited: for its state, and for what all VMs share.
    pub fn waits(&self) -> (&Waits, &Waits) {
        (self.state.waits(), &self.shared_waits)
    }

    /// Lets the VM be entered from now on, or not any more.
    pub(super) fn set_live(&self, id: Option<VmId>) {
        self.live.store(id.map_or(0, VmId::get), Ordering::Release);
    }
}

/// Number of a slot.
pub type SlotIndex = u8;

/// Returns the slot where a VM is looked for first, without the index: its own if the slot was free when the VM came.
/// With ids that are small and dense, as hypervisors hand them out, it always is.
const fn home(id: VmId) -> SlotIndex {
    (id.get() as usize % MAX_VMS) as SlotIndex
}

struct Index {
    slots: FnvIndexMap<VmId, SlotIndex, PLACES>,
    /// Bit n: slot n is in use.
    used: u128,
}

/// The table. Who is in it, and with which state, the nexus alone decides:
///
/// ```compile_fail,E0624
/// # use tee_core::nexus::vms::VmTable;
/// # use shared_abi::client::VmId;
/// fn forget(vms: &VmTable, id: VmId) {
///     vms.remove(id);
/// }
/// ```
///
/// ```compile_fail,E0616
/// # use tee_core::nexus::vms::VmTable;
/// fn leave(vms: &VmTable) {
///     vms.for_each(|state| state.inside = 0);
/// }
/// ```
pub struct VmTable {
    index: ReadLock<Index>,
    /// Whether a VM ever came to another slot than its home. Until then whoever isn't at home isn't there at all.
    /// Written with the index locked.
    strays: AtomicBool,
    slots: [Slot; MAX_VMS],
}

impl VmTable {
    /// Makes a table without VMs.
    pub const fn new() -> Self {
        Self {
            index: ReadLock::new(Index { slots: FnvIndexMap::new(), used: 0 }),
            strays: AtomicBool::new(false),
            slots: [const { Slot::new() }; MAX_VMS],
        }
    }

    /// Gives the slot of this number.
    pub(crate) fn slot(&self, index: SlotIndex) -> &Slot {
        // A number of more than MAX_VMS is never handed out; the mask says so to the compiler.
        &self.slots[usize::from(index) % MAX_VMS]
    }

    /// Says whether VM `id` can be entered.
    pub fn is_live(&self, id: VmId) -> bool {
        let live = |slot| self.slot(slot).live.load(Ordering::Acquire) == id.get();
        live(home(id))
            || self.has_strays() && self.index.read(|index, _| index.slots.get(&id).is_some_and(|slot| live(*slot)))
    }

    /// Runs `f` on the state of VM `id`, as it is, if it is in the table.
    pub fn look<R>(&self, id: VmId, f: impl FnOnce(&State) -> R) -> Option<R> {
        self.with(id, |_, state| f(state))
    }

    /// Runs `f` on the state of each slot.
    pub fn for_each(&self, mut f: impl FnMut(&State)) {
        self.slots.iter().for_each(|slot| slot.state.with(|state| f(state)));
    }

    /// Runs `f` on the state of VM `id`, if it is in the table.
    pub(super) fn with<R>(&self, id: VmId, f: impl FnOnce(SlotIndex, &mut State) -> R) -> Option<R> {
        let home = home(id);
        let mut f = Some(f);
        let found = self.slot(home).state.with(|state| match state.id {
            Some(owner) if owner == id => f.take().map(|f| f(home, state)),
            _ => None,
        });
        // Given away only if the VM is at home.
        let Some(f) = f else { return found };
        if !self.has_strays() {
            return None;
        }
        self.index.read(|index, waited| {
            let number = *index.slots.get(&id)?;
            let slot = self.slot(number);
            waited.count(&slot.shared_waits);
            Some(slot.state.with(|state| f(number, state)))
        })
    }

    /// Says whether a VM may be in another slot than its home.
    fn has_strays(&self) -> bool {
        self.strays.load(Ordering::Acquire)
    }

    /// Enters a new id. `None` if it is there already, in whatever state, or if the table is full.
    pub(super) fn insert(&self, id: VmId) -> Option<SlotIndex> {
        self.index.write(|index| {
            let free = !index.used;
            let home = home(id);
            let at_home = free & (1 << home) != 0;
            if (!at_home || self.has_strays()) && index.slots.contains_key(&id) {
                return None;
            }
            let slot = if at_home { home } else { free.trailing_zeros() as SlotIndex };
            if usize::from(slot) >= MAX_VMS {
                return None;
            }
            if !at_home {
                self.strays.store(true, Ordering::Release);
            }
            index.slots.insert(id, slot).ok()?;
            index.used |= 1 << slot;
            Some(slot)
        })
    }

    /// Forgets an id. Its slot is empty again.
    pub(super) fn remove(&self, id: VmId) {
        self.index.write(|index| {
            if let Some(slot) = index.slots.swap_remove(&id) {
                index.used &= !(1 << slot);
            }
        });
    }

    /// Counts the ids in the table.
    pub fn len(&self) -> usize {
        self.index.read(|index, _| index.slots.len())
    }

    /// Says whether the table holds no id.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm(id: u16) -> VmId {
        VmId::new(id).unwrap()
    }

    #[test]
    fn an_id_is_in_the_table_once_and_its_slot_is_used_again() {
        let table = Box::new(VmTable::new());
        assert!(table.is_empty());
        let slot = table.insert(vm(7)).unwrap();
        assert!(!table.is_empty());
        table.slot(slot).state.with(|state| state.id = Some(vm(7)));
        assert_eq!(table.insert(vm(7)), None);
        assert_eq!(table.with(vm(7), |s, _| s), Some(slot));
        assert_eq!(table.with(vm(8), |s, _| s), None);
        table.slot(slot).state.with(|state| state.id = None);
        table.remove(vm(7));
        assert_eq!(table.with(vm(7), |s, _| s), None);
        assert_eq!(table.insert(vm(7 + MAX_VMS as u16)), Some(slot));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_vm_at_home_is_found_without_the_index() {
        let table = Box::new(VmTable::new());
        assert_eq!(table.insert(vm(7)), Some(7));
        table.slot(7).state.with(|state| state.id = Some(vm(7)));
        table.index.write(|_| assert_eq!(table.with(vm(7), |slot, _| slot), Some(7)));
    }

    #[test]
    fn who_is_not_at_home_is_looked_for_elsewhere_once_somebody_may_be_there() {
        let table = Box::new(VmTable::new());
        table.insert(vm(7)).unwrap();
        assert_eq!(table.insert(vm(7)), None);
        table.index.write(|_| {
            assert_eq!(table.with(vm(8), |slot, _| slot), None);
            assert!(!table.is_live(vm(8)));
        });
        let stray = vm(7 + MAX_VMS as u16);
        let slot = table.insert(stray).unwrap();
        assert_eq!(table.with(stray, |slot, _| slot), Some(slot));
        table.slot(slot).set_live(Some(stray));
        table.remove(vm(7));
        assert!(table.is_live(stray), "there still is one");
        assert_eq!(table.insert(stray), None, "although its home is free now");
    }

    #[test]
    fn a_state_says_whose_it_is_and_how_many_cpus_are_inside() {
        let table = Box::new(VmTable::new());
        assert_eq!(table.slot(0).state.with(|state| (state.id(), state.inside())), (None, 0));
        let used = table.slot(0).state.with(|state| {
            (state.id, state.inside) = (Some(vm(7)), 2);
            (state.id(), state.inside())
        });
        assert_eq!(used, (Some(vm(7)), 2));
    }

    #[test]
    fn a_vm_that_is_not_at_home_can_be_entered_as_well() {
        let table = Box::new(VmTable::new());
        let (first, second) = (vm(7), vm(7 + MAX_VMS as u16));
        assert_eq!(table.insert(first), Some(7));
        let slot = table.insert(second).unwrap();
        table.slot(slot).set_live(Some(second));
        assert!(table.is_live(second) && !table.is_live(first));
        table.slot(7).set_live(Some(first));
        assert!(table.is_live(second) && table.is_live(first));
        table.slot(slot).set_live(None);
        assert!(!table.is_live(second) && table.is_live(first));
    }

    #[test]
    fn the_table_takes_as_many_vms_as_it_says_whatever_their_ids() {
        let table = Box::new(VmTable::new());
        // All have one home.
        let ids = |n: usize| vm(1 + 512 * n as u16);
        let slots: Vec<_, MAX_VMS> = (0..MAX_VMS).map(|n| table.insert(ids(n)).unwrap()).collect();
        assert_eq!(table.insert(vm(2)), None);
        assert!(table.has_strays());
        for (n, slot) in slots.iter().enumerate() {
            assert_eq!(table.with(ids(n), |s, _| s), Some(*slot));
            table.remove(ids(n));
        }
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_vm_that_is_refused_makes_nobody_look_further_than_home() {
        let table = Box::new(VmTable::new());
        for n in 1..=MAX_VMS as u16 {
            table.insert(vm(n)).unwrap();
        }
        assert_eq!(table.insert(vm(MAX_VMS as u16 + 1)), None);
        assert!(!table.has_strays());
    }

    #[test]
    fn each_slot_is_looked_at_once() {
        let table = Box::new(VmTable::new());
        table.slot(5).state.with(|state| state.id = Some(vm(5)));
        let mut ids = std::vec::Vec::new();
        table.for_each(|state| ids.push(state.id));
        assert_eq!((ids.len(), ids[5], ids.iter().flatten().count()), (MAX_VMS, Some(vm(5)), 1));
    }
}
