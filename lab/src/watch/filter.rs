// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which records are shown.

use lab_trace::Entry;
use shared_abi::smccc::{FunctionId, OwningEntity};
use shared_abi::trace::{Event, Layer};
use std::collections::BTreeMap;

/// A choice of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// By layer, as [`Layer`] numbers them.
    pub layers: [bool; 3],
    /// Only what is about this VM.
    pub vm: Option<u16>,
    /// Also what happens all the time: exits for interrupts and devices, entries, memory.
    pub all: bool,
}

impl Default for Filter {
    fn default() -> Self {
        Self { layers: [true; 3], vm: None, all: false }
    }
}

impl Filter {
    /// Says whether it shows a record; `news` is what [`News`] says of it.
    pub fn shows(&self, entry: &Entry, news: bool) -> bool {
        self.layers[entry.layer as usize] && self.vm.is_none_or(|vm| entry.record.client == vm) && (self.all || news)
    }

    /// Goes to the next VM of these, then to all again.
    pub fn next_vm(&mut self, vms: impl Iterator<Item = u16>) {
        self.vm = vms.filter(|vm| self.vm.is_none_or(|now| *vm > now)).min();
    }

    /// Says it in words.
    pub fn words(&self) -> String {
        let layers: Vec<_> =
            Layer::ALL.iter().filter(|layer| self.layers[**layer as usize]).map(|layer| layer.name()).collect();
        let vm = self.vm.map_or_else(|| "all VMs".to_owned(), |vm| format!("vm{vm}"));
        let kinds = if self.all { "every record" } else { "calls, switches, lives" };
        format!("{} · {vm} · {kinds}", layers.join("+"))
    }
}

/// Tells what is part of the way to the TEE and back, or of something's life or death, from what happens all the time.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// Whether the last call that came to a layer on a CPU was: its answer is, too.
    calls: BTreeMap<(Layer, u8), bool>,
}

impl News {
    /// Takes note of the next record; says whether it is news.
    pub fn hear(&mut self, entry: &Entry) -> bool {
        let place = (entry.layer, entry.cpu);
        match entry.record.event {
            Event::Calibration { .. }
            | Event::Enter { .. }
            | Event::Exit { .. }
            | Event::Interrupt { .. }
            | Event::Resume { .. }
            | Event::VirtualInterrupt { .. }
            | Event::VcpuSwitch { .. }
            | Event::Memory { .. }
            | Event::FreeBlock { .. }
            | Event::Idle
            | Event::Wake { .. } => false,
            // Of a VM's calls those to the TEE and to PSCI; of those that reach EL3, every one.
            Event::Call { x, .. } => {
                let news = entry.layer != Layer::Hypervisor || is_news(FunctionId(x[0] as u32));
                self.calls.insert(place, news);
                news
            }
            Event::Answer { .. } => self.calls.get(&place).copied().unwrap_or(true),
            _ => true,
        }
    }
}

fn is_news(function: FunctionId) -> bool {
    matches!(function.owner(), OwningEntity::TrustedOs | OwningEntity::TrustedApp | OwningEntity::Standard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_report::sample::Sample;
    use shared_abi::trace::World;
    use shared_abi::trace::event::Conduit;

    #[test]
    fn every_choice_narrows() {
        let mut sample = Sample::new();
        sample.guest_call(1);
        sample.guest_call(2);
        let entries = sample.trace().entries;
        let count = |filter: Filter| {
            let mut news = News::default();
            entries.iter().filter(|entry| filter.shows(entry, news.hear(entry))).count()
        };
        let usual = count(Filter::default());
        assert!(count(Filter { all: true, ..Filter::default() }) > usual);
        let vm = count(Filter { vm: Some(1), ..Filter::default() });
        assert!(vm > 0 && vm < usual);
        let layer = count(Filter { layers: [false, true, false], ..Filter::default() });
        assert!(layer > 0 && layer < usual);
        assert_eq!(count(Filter { layers: [false; 3], ..Filter::default() }), 0);
    }

    #[test]
    fn an_answer_is_news_if_its_call_was() {
        let mut sample = Sample::new();
        let x = |id: FunctionId| core::array::from_fn(|n| if n == 0 { u64::from(id.0) } else { 0 });
        for id in [shared_abi::smccc::SMCCC_VERSION, shared_abi::psci::PSCI_VERSION] {
            let call = Event::Call { conduit: Conduit::Hvc, from: World::Normal, vcpu: 0, x: x(id) };
            sample.record(Layer::Hypervisor, 10, 1, call);
            sample.record(Layer::Hypervisor, 10, 1, Event::Answer { to: World::Normal, vcpu: 0, x: [1; 4], pc: 0 });
        }
        let mut news = News::default();
        let told: Vec<_> = sample.trace().entries.iter().map(|entry| news.hear(entry)).collect();
        assert!(told.ends_with(&[false, false, true, true]), "{told:?}");
    }

    #[test]
    fn vms_come_in_turn_and_then_all() {
        let mut filter = Filter::default();
        let mut seen = Vec::new();
        for _ in 0..4 {
            filter.next_vm([2, 7, 1].into_iter());
            seen.push(filter.vm);
        }
        assert_eq!(seen, [Some(1), Some(2), Some(7), None]);
    }
}
