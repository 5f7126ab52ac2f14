// SPDX-License-Identifier: MIT OR Apache-2.0
//! A VM, as the layers told of it.

use super::call::interrupt_exit;
use super::esr::{self, Esr};
use lab_trace::Entry;
use shared_abi::trace::event::{Conduit, VmState};
use shared_abi::trace::{Event, Layer};
use std::collections::BTreeMap;

/// Changes that are kept of one kind; a trace that makes sense has fewer.
const MOST_CHANGES: usize = 20_000;

/// What became of a VM, or of its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmChange {
    /// For the hypervisor.
    State(VmState),
    /// The TEE has a partition for it, of so many pages.
    PartitionMade(u64),
    /// The TEE was told that it is no more; whether it goes later.
    PartitionEnds(bool),
    /// The TEE has taken back so many pages.
    PartitionGone(u64),
}

impl VmChange {
    /// Says it in words.
    pub fn words(self) -> String {
        match self {
            Self::State(VmState::Made) => "made".into(),
            Self::State(VmState::Running) => "running".into(),
            Self::State(VmState::Off) => "switched off".into(),
            Self::State(VmState::Reset) => "reset".into(),
            Self::State(VmState::Crashed) => "crashed".into(),
            Self::PartitionMade(pages) => format!("partition of {pages} pages"),
            Self::PartitionEnds(true) => "VM_DESTROYED, a call is still inside".into(),
            Self::PartitionEnds(false) => "VM_DESTROYED".into(),
            Self::PartitionGone(pages) => format!("{pages} pages taken back"),
        }
    }
}

/// The heap of its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heap {
    /// Bytes in use.
    pub used: u64,
    /// The most that ever were.
    pub peak: u64,
    /// Bytes that it has.
    pub size: u64,
}

/// How often something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How often.
    pub times: u64,
    /// Ticks of EL2 from there to the next entry of a VM.
    pub ticks: u64,
}

/// A VM. The id 0 stands for the hypervisor, which the reported TEE makes a VM of.
#[derive(Clone, Debug, Default)]
pub struct Vm {
    /// What became of it, and when.
    pub changes: Vec<(u64, VmChange)>,
    /// The heap of its partition, whenever that was another one than before; `None` where it goes with the partition.
    pub heap: Vec<(u64, Option<Heap>)>,
    /// Why it left the CPU.
    pub exits: BTreeMap<String, Count>,
    /// The interrupts it was given, by INTID.
    pub interrupts: BTreeMap<u32, u64>,
    /// Pages of shared memory that it registered and not unregistered, whenever they changed: buffers and pages.
    pub shared: Vec<(u64, u64, u64)>,
    /// Ticks that it executed.
    pub ticks: u64,
    /// Calls it made.
    pub calls: u64,
    /// Refusals that it met.
    pub refusals: u64,
    buffers: BTreeMap<u64, u64>,
}

impl Vm {
    /// Takes note of a record about the VM.
    pub(super) fn hear(&mut self, entry: &Entry) {
        let time = entry.record.time;
        let mut change = |change| {
            if self.changes.len() < MOST_CHANGES {
                self.changes.push((time, change));
            }
        };
        match entry.record.event {
            Event::VmState { state } => change(VmChange::State(state)),
            Event::VmCreated { pages, .. } => change(VmChange::PartitionMade(pages)),
            Event::VmDestroyed { draining } => change(VmChange::PartitionEnds(draining)),
            Event::VmReclaimed { pages, .. } => {
                change(VmChange::PartitionGone(pages));
                self.heap_is(time, None);
            }
            Event::Heap { used, peak, size } => self.heap_is(time, Some(Heap { used, peak, size })),
            Event::VirtualInterrupt { intid, .. } => *self.interrupts.entry(intid).or_default() += 1,
            Event::Refused { .. } => self.refusals += 1,
            // The hypervisor and the TEE both register; one of them counts.
            Event::ShmRegister { cookie, pages, .. } if entry.layer == Layer::Tee => {
                self.buffers.insert(cookie, pages);
                self.share(time);
            }
            Event::ShmUnregister { cookie } if entry.layer == Layer::Tee => {
                self.buffers.remove(&cookie);
                self.share(time);
            }
            _ => {}
        }
    }

    fn heap_is(&mut self, time: u64, heap: Option<Heap>) {
        let known = self.heap.last().and_then(|(_, last)| *last);
        if known != heap && self.heap.len() < MOST_CHANGES {
            self.heap.push((time, heap));
        }
    }

    fn share(&mut self, time: u64) {
        if self.shared.len() < MOST_CHANGES {
            let pages = self.buffers.values().fold(0, |sum: u64, pages| sum.saturating_add(*pages));
            self.shared.push((time, self.buffers.len() as u64, pages));
        }
    }
}

/// Says why EL2 has been entered from a VM, if the record says that it has.
pub(super) fn exit(entry: &Entry) -> Option<String> {
    if entry.layer != Layer::Hypervisor {
        return None;
    }
    match entry.record.event {
        Event::Call { conduit: Conduit::Smc, .. } => Some("SMC".into()),
        Event::Call { conduit: Conduit::Hvc, .. } => Some("HVC".into()),
        Event::Exit { esr, .. } => Some(esr::exit(Esr(esr))),
        Event::Interrupt { intid, .. } => Some(interrupt_exit(intid)),
        _ => None,
    }
}
