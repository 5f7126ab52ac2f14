// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the layers and VMs are doing, from the records alone: small enough to be kept at many points of time.

use lab_report::story::place::{Follower, Place};
use lab_report::story::vm::Heap;
use lab_trace::Entry;
use shared_abi::smccc::{FunctionId, OwningEntity};
use shared_abi::trace::event::VmState;
use shared_abi::trace::{Event, Layer};
use std::collections::BTreeMap;

/// A VM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vm {
    /// What the hypervisor says of it.
    pub state: Option<VmState>,
    /// Pages of its partition, if the TEE has one for it.
    pub partition: Option<u64>,
    /// Its partition's heap, at the end of the last call.
    pub heap: Option<Heap>,
    /// Calls to the TEE that it made.
    pub calls: u64,
    /// Refusals that it met.
    pub refusals: u64,
    /// How often it left its CPU for EL2.
    pub exits: u64,
    /// Exits in the second of machine time that runs, and in the one before.
    recent: [u64; 2],
}

/// All that the records tell of now.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// By client id.
    pub vms: BTreeMap<u16, Vm>,
    cpus: BTreeMap<u8, Follower>,
    /// World switches so far.
    pub switches: u64,
    /// Of a layer that panicked: its first words.
    pub panic: Option<(Layer, String)>,
    /// The second of machine time that runs.
    second: u64,
}

impl Status {
    /// Takes note of a record; `frequency` ticks are a second.
    pub fn hear(&mut self, entry: &Entry, frequency: u64) {
        self.tick(entry.record.time, frequency);
        self.cpus.entry(entry.cpu).or_default().hear(entry);
        match entry.record.event {
            Event::WorldSwitch { .. } => self.switches += 1,
            Event::Panic { text } => {
                let text = String::from_utf8_lossy(&text).trim_end_matches('\0').escape_debug().to_string();
                self.panic = Some((entry.layer, text));
            }
            _ => {}
        }
        if entry.record.client == 0 {
            return;
        }
        let vm = self.vms.entry(entry.record.client).or_default();
        match entry.record.event {
            Event::Call { .. } | Event::Exit { .. } | Event::Interrupt { .. } if entry.layer == Layer::Hypervisor => {
                vm.exits += 1;
                vm.recent[0] += 1;
                if let Event::Call { x, .. } = entry.record.event
                    && FunctionId(x[0] as u32).owner() == OwningEntity::TrustedOs
                {
                    vm.calls += 1;
                }
            }
            Event::VmState { state } => vm.state = Some(state),
            Event::VmCreated { pages, .. } => vm.partition = Some(pages),
            Event::VmReclaimed { .. } => (vm.partition, vm.heap) = (None, None),
            Event::Heap { used, peak, size } => vm.heap = Some(Heap { used, peak, size }),
            Event::Refused { .. } => vm.refusals += 1,
            _ => {}
        }
    }

    /// Takes note of the time: a second of machine time may have ended.
    fn tick(&mut self, time: u64, frequency: u64) {
        let second = time / frequency.max(1);
        if second <= self.second {
            return;
        }
        let next = second == self.second + 1;
        for vm in self.vms.values_mut() {
            vm.recent = [0, if next { vm.recent[0] } else { 0 }];
        }
        self.second = second;
    }

    /// Says where each CPU executes.
    pub fn cpus(&self) -> impl Iterator<Item = (u8, Place)> {
        self.cpus.iter().map(|(cpu, follower)| (*cpu, follower.now()))
    }
}

impl Vm {
    /// Counts the exits in the last whole second of machine time.
    pub const fn exits_per_second(&self) -> u64 {
        self.recent[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_report::sample::Sample;

    #[test]
    fn a_guest_s_call_is_counted_and_its_partition_is_seen() {
        let mut sample = Sample::new();
        sample.guest_call(1);
        sample.guest_call(1);
        let mut status = Status::default();
        sample.trace().entries.iter().for_each(|entry| status.hear(entry, 1_000_000_000));
        let vm = &status.vms[&1];
        assert_eq!((vm.calls, vm.exits), (2, 2));
        assert!(status.switches >= 4);
        assert_eq!(status.cpus().next(), Some((0, Place::Vm(1))));
    }

    #[test]
    fn exits_are_counted_by_seconds_of_the_machine() {
        let exit = |time| Entry {
            layer: Layer::Hypervisor,
            cpu: 0,
            record: shared_abi::trace::Record {
                time,
                sequence: 0,
                client: 3,
                event: Event::Interrupt { vcpu: 0, intid: 27, pc: 0 },
            },
        };
        let mut status = Status::default();
        [100, 110, 120, 205].iter().for_each(|time| status.hear(&exit(*time), 100));
        assert_eq!((status.vms[&3].exits, status.vms[&3].exits_per_second()), (4, 3));
        status.hear(&exit(900), 100);
        assert_eq!(status.vms[&3].exits_per_second(), 0);
        // A counter that nobody believes in divides nothing by zero.
        status.hear(&exit(u64::MAX), 0);
    }
}
