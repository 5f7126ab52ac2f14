// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose memory is whose, over time.

use lab_trace::Entry;
use shared_abi::trace::{Event, Layer, Owner};

/// Changes that are kept.
const MOST_CHANGES: usize = 20_000;

/// Memory changed hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handover {
    /// When.
    pub time: u64,
    /// Whose it is now.
    pub owner: Owner,
    /// Which VM's, where the owner has to do with one.
    pub vm: u16,
    /// Physical address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
    /// Where the VM sees it.
    pub ipa: u64,
}

/// Every change, in the order of time.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// As they came.
    pub changes: Vec<Handover>,
    /// How many came after those that are kept.
    pub more: u64,
}

impl Memory {
    /// Takes note of a record.
    pub(super) fn hear(&mut self, entry: &Entry) {
        let (time, vm) = (entry.record.time, entry.record.client);
        let change = match entry.record.event {
            Event::Memory { owner, base, size, ipa } => Handover { time, owner, vm, base, size, ipa },
            Event::Start { base, size } => {
                let owner = match entry.layer {
                    Layer::Monitor => Owner::Monitor,
                    Layer::Tee => Owner::Tee,
                    Layer::Hypervisor => Owner::Hypervisor,
                };
                // Every CPU says so for itself.
                let known = |change: &Handover| change.owner == owner && change.base == base && change.size == size;
                if self.changes.iter().any(known) {
                    return;
                }
                Handover { time, owner, vm: 0, base, size, ipa: 0 }
            }
            _ => return,
        };
        // An end beyond the address space is nonsense.
        if change.size == 0 || change.base.checked_add(change.size).is_none() {
            return;
        }
        if self.changes.len() < MOST_CHANGES {
            self.changes.push(change);
        } else {
            self.more += 1;
        }
    }
}
