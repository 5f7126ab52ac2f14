//! Which records are shown.

use crate::trace::Entry;
use shared_abi::smccc::{FunctionId, Owner};
use shared_abi::trace::{Event, Layer};

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
    /// Whether it shows a record.
    pub fn shows(&self, entry: &Entry) -> bool {
        self.layers[entry.layer as usize]
            && self.vm.is_none_or(|vm| entry.record.client == vm)
            && (self.all || is_notable(entry))
    }

    /// The next VM of these, then all again.
    pub fn next_vm(&mut self, vms: impl Iterator<Item = u16>) {
        self.vm = vms.filter(|vm| self.vm.is_none_or(|now| *vm > now)).min();
    }

    /// In words.
    pub fn words(&self) -> String {
        let layers: Vec<_> =
            Layer::ALL.iter().filter(|layer| self.layers[**layer as usize]).map(|layer| layer.name()).collect();
        let vm = self.vm.map_or_else(|| "all VMs".to_owned(), |vm| format!("vm{vm}"));
        let kinds = if self.all { "every record" } else { "calls, switches, lives" };
        format!("{} · {vm} · {kinds}", layers.join("+"))
    }
}

/// Whether a record is part of the way to the TEE and back, or of something's life or death.
pub fn is_notable(entry: &Entry) -> bool {
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
        // A VM's own power calls are news, its console's traffic isn't; every call that reaches EL3 is.
        Event::Call { x, .. } => entry.layer != Layer::Hypervisor || is_news(FunctionId(x[0] as u32)),
        Event::Answer { .. } => true,
        _ => true,
    }
}

fn is_news(function: FunctionId) -> bool {
    matches!(function.owner(), Owner::TrustedOs | Owner::TrustedApp | Owner::Standard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::Sample;

    #[test]
    fn every_choice_narrows() {
        let mut sample = Sample::new();
        sample.guest_call(1);
        sample.guest_call(2);
        let entries = sample.trace().entries;
        let count = |filter: Filter| entries.iter().filter(|entry| filter.shows(entry)).count();
        let usual = count(Filter::default());
        assert!(count(Filter { all: true, ..Filter::default() }) > usual);
        let vm = count(Filter { vm: Some(1), ..Filter::default() });
        assert!(vm > 0 && vm < usual);
        let layer = count(Filter { layers: [false, true, false], ..Filter::default() });
        assert!(layer > 0 && layer < usual);
        assert_eq!(count(Filter { layers: [false; 3], ..Filter::default() }), 0);
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
