// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who executes on a CPU after a record.

use lab_trace::Entry;
use shared_abi::trace::{Event, Layer, World};

/// Where a CPU executes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// No record has told yet.
    #[default]
    Unknown,
    /// A VM: EL1 and EL0.
    Vm(u16),
    /// The hypervisor, or what stands in its place: NS-EL2.
    El2,
    /// The monitor: EL3.
    El3,
    /// The TEE: S-EL1.
    Tee,
    /// Nowhere: the hypervisor waits for an interrupt.
    Idle,
}

impl Place {
    /// Names its exception level.
    pub const fn exception_level(self) -> &'static str {
        match self {
            Self::Unknown => "?",
            Self::Vm(_) => "EL1",
            Self::El2 => "EL2",
            Self::El3 => "EL3",
            Self::Tee => "S-EL1",
            Self::Idle => "idle",
        }
    }

    /// Says where a layer executes.
    pub const fn of(layer: Layer) -> Self {
        match layer {
            Layer::Monitor => Self::El3,
            Layer::Tee => Self::Tee,
            Layer::Hypervisor => Self::El2,
        }
    }
}

/// Follows one CPU from record to record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Follower {
    now: Place,
    /// Where the normal world was when EL3 came in.
    normal: Place,
}

impl Follower {
    /// Says where the CPU has executed since the last record, now that the next one is known: only that tells whether
    /// EL2 went on for a while after it had answered a VM.
    pub fn until(&self, next: &Entry) -> Place {
        match (self.now, next.layer) {
            (Place::Vm(_), Layer::Hypervisor) if !arrives(&next.record.event) => Place::El2,
            (now, _) => now,
        }
    }

    /// Takes note of a record.
    pub fn hear(&mut self, entry: &Entry) {
        let before = self.until(entry);
        if entry.layer == Layer::Monitor && self.now != Place::El3 && self.now != Place::Tee {
            self.normal = match before {
                Place::Unknown => Place::El2,
                place => place,
            };
        }
        self.now = match (entry.layer, entry.record.event) {
            (Layer::Monitor, Event::WorldSwitch { to, .. } | Event::Resume { to, .. } | Event::Answer { to, .. }) => {
                match (to, self.normal) {
                    (World::Secure, _) => Place::Tee,
                    (World::Normal, Place::Unknown) => Place::El2,
                    (World::Normal, place) => place,
                }
            }
            (Layer::Hypervisor, Event::Enter { .. } | Event::Answer { .. }) => Place::Vm(entry.record.client),
            (Layer::Hypervisor, Event::Idle) => Place::Idle,
            (layer, _) => Place::of(layer),
        };
    }

    /// Says where the CPU executes after the last record, as far as that one tells.
    pub const fn now(&self) -> Place {
        self.now
    }
}

/// Says whether the event is a layer's first of those that it writes after it was entered.
const fn arrives(event: &Event) -> bool {
    matches!(event, Event::Call { .. } | Event::Exit { .. } | Event::Interrupt { .. } | Event::Stage2Fault { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;

    #[test]
    fn a_call_is_followed_through_every_level_and_back() {
        let mut sample = Sample::new();
        sample.guest_call(1);
        let mut follower = Follower::default();
        let mut places = Vec::new();
        for entry in &sample.trace().entries {
            let place = follower.until(entry);
            if places.last() != Some(&place) {
                places.push(place);
            }
            follower.hear(entry);
        }
        let vm = Place::Vm(1);
        let expected = [Place::Unknown, Place::El2, vm, Place::El2, Place::El3, Place::Tee, Place::El3, Place::El2];
        assert!(places.ends_with(&expected[1..]), "{places:?}");
        assert_eq!(follower.now(), vm);
    }
}
