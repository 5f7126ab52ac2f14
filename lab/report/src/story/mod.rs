// SPDX-License-Identifier: MIT OR Apache-2.0
//! From records to what a person wants to know: who asked whom for what, what each step took, what became of it.
//!
//! A [`Teller`] hears records in their order, all at once or as they come, and its [`Story`] is what they tell so far.
//! It believes nothing: records may be missing, or be nonsense that the normal world wrote into a ring.
//!
//! | module | what |
//! |---|---|
//! | [`place`] | who executes after a record |
//! | [`call`], `tracker` | calls, and which records belong to which |
//! | [`vm`] | VMs: states, exits, interrupts, the heap of the partition |
//! | [`memory`] | whose memory is whose, over time |
//! | [`crash`] | panics, and the free list that one is about |
//! | [`cost`] | what writing a record takes |
//! | [`esr`] | exception syndromes by field |
//! | [`names`] | records in words |

pub mod call;
pub mod cost;
pub mod crash;
pub mod esr;
pub mod memory;
pub mod names;
pub mod place;
mod tracker;
pub mod vm;

pub use call::{Call, Caller, Mood, Outcome, Request, Step};
pub use cost::Costs;
pub use place::Place;
pub use tracker::Stretch;

use lab_trace::{Entry, Trace};
use shared_abi::trace::{Event, Layer};
use std::collections::BTreeMap;
use tracker::Tracker;
use vm::Vm;

/// Calls that never leave EL2 of which all records are kept, for each VM and function; of the others only their number.
const MOST_MINOR: u64 = 64;
/// Records of calls that are kept; after that calls keep only what they took and came to.
const MOST_STEPS: usize = 80_000;
/// Exits that are no calls of which all records are kept, for each VM and reason.
const MOST_EXITS: u64 = 3;
/// Calls that are kept.
const MOST_CALLS: usize = 20_000;

/// The levels that are drawn, from the least trusted on.
pub const LEVELS: [&str; 4] = ["EL1", "EL2", "EL3", "S-EL1"];

/// Returns the index of a place in [`LEVELS`].
pub const fn level(place: Place) -> Option<usize> {
    match place {
        Place::Unknown | Place::Idle => None,
        Place::Vm(_) => Some(0),
        Place::El2 => Some(1),
        Place::El3 => Some(2),
        Place::Tee => Some(3),
    }
}

/// Calls that were counted and not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// How many.
    pub calls: u64,
    /// Ticks of all of them.
    pub ticks: u64,
}

/// What the records tell so far.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Calls in the order in which they ended.
    pub calls: Vec<Call>,
    /// The first exits of each VM and reason that were no calls.
    pub exits: Vec<Call>,
    /// Calls that are only counted: who, function's name.
    pub minor: BTreeMap<(Caller, String), Left>,
    /// By client id.
    pub vms: BTreeMap<u16, Vm>,
    /// Who owns which memory.
    pub memory: memory::Memory,
    /// Panics.
    pub crash: crash::Crash,
    /// What a record takes.
    pub costs: Costs,
    /// How many records, by layer.
    pub records: BTreeMap<Layer, u64>,
    /// How many records, by kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Ticks by level.
    pub ticks: [u64; 4],
    /// Records that are missing in the sequences.
    pub missing: u64,
    /// Steps that calls kept no record of.
    pub dropped: u64,
    /// Time of the first record that is no calibration, and of the last one.
    pub span: Option<(u64, u64)>,
}

/// Hears records and makes a story of them.
#[derive(Debug, Default)]
pub struct Teller {
    story: Story,
    cpus: BTreeMap<u8, Tracker>,
    /// Sequence number that the next record of each layer on each CPU must have.
    next: BTreeMap<(Layer, u8), u32>,
    /// Why EL2 is at work on each CPU, and for which VM.
    exits: BTreeMap<u8, (u16, String)>,
    counts: BTreeMap<(Caller, String), u64>,
    steps: usize,
}

impl Story {
    /// Tells the story of a whole trace. Every stretch of execution is handed to `each`.
    pub fn of(trace: &Trace, mut each: impl FnMut(&Stretch)) -> Self {
        let mut teller = Teller::with(Costs::of(trace));
        for entry in &trace.entries {
            if let Some(stretch) = teller.hear(entry) {
                each(&stretch);
            }
        }
        teller.finish()
    }

    /// Traces the path to a panic: what was asked on that CPU before it, and the call it happened in, newest last. The
    /// monitor's errands are not among them, unless one is that call.
    pub fn path_to(&self, panic: &crash::Panic, most: usize) -> Vec<usize> {
        let before = |call: &Call| {
            let asked = call.caller != Caller::Monitor || call.mood() == Mood::Fatal;
            asked && call.cpu == panic.cpu && call.begin <= panic.time
        };
        let mut path: Vec<_> = (0..self.calls.len()).filter(|index| before(&self.calls[*index])).collect();
        path.sort_by_key(|index| self.calls[*index].begin);
        path.split_off(path.len().saturating_sub(most))
    }
}

impl Teller {
    /// Makes one who learns the costs from the records themselves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes one who knows what records take.
    pub fn with(costs: Costs) -> Self {
        Self { story: Story { costs, ..Story::default() }, ..Self::default() }
    }

    /// Tells the story so far, without the calls that are under way.
    pub const fn story(&self) -> &Story {
        &self.story
    }

    /// Lists the calls that are under way.
    pub fn open(&self) -> impl Iterator<Item = &Call> {
        self.cpus.values().flat_map(Tracker::open)
    }

    /// Takes note of a record; returns what the CPU has executed since the one before.
    pub fn hear(&mut self, entry: &Entry) -> Option<Stretch> {
        let story = &mut self.story;
        let (record, key) = (&entry.record, (entry.layer, entry.cpu));
        *story.records.entry(entry.layer).or_default() += 1;
        *story.kinds.entry(names::kind(&record.event)).or_default() += 1;
        story.costs.hear(entry);
        let expected = self.next.insert(key, record.sequence.wrapping_add(1));
        let missing = expected.map_or(0, |expected| record.sequence.wrapping_sub(expected));
        // A number that goes back is a layer that began again, or nonsense.
        let gap = missing != 0;
        if missing < 1 << 31 {
            story.missing += u64::from(missing);
        }
        if !matches!(record.event, Event::Calibration { .. }) {
            story.span = Some(story.span.map_or((record.time, record.time), |(begin, _)| (begin, record.time)));
        }
        for (cpu, tracker) in &mut self.cpus {
            if *cpu != entry.cpu {
                tracker.elsewhere(record.time);
            }
        }
        let tracker = self.cpus.entry(entry.cpu).or_default();
        let cost = tracker.last_layer().map_or(0, |layer| story.costs.get(layer, entry.cpu));
        let heard = tracker.hear(entry, cost, gap);
        story.memory.hear(entry);
        story.crash.hear(entry);
        if record.client != 0 || is_about_vm(&record.event) {
            story.vms.entry(record.client).or_default().hear(entry);
        }
        if let Some(stretch) = &heard.stretch {
            self.account(entry.cpu, stretch);
        }
        if let Some(reason) = vm::exit(entry) {
            let vm = self.story.vms.entry(record.client).or_default();
            vm.exits.entry(reason.clone()).or_default().times += 1;
            self.exits.insert(entry.cpu, (record.client, reason));
        }
        for call in heard.calls {
            self.keep(call);
        }
        heard.stretch
    }

    /// Books a stretch to the level, the VM and the exit that it belongs to.
    fn account(&mut self, cpu: u8, stretch: &Stretch) {
        let story = &mut self.story;
        if let Some(index) = level(stretch.place) {
            story.ticks[index] = story.ticks[index].saturating_add(stretch.ticks);
        }
        match stretch.place {
            Place::Vm(id) => {
                self.exits.remove(&cpu);
                let vm = story.vms.entry(id).or_default();
                vm.ticks = vm.ticks.saturating_add(stretch.ticks);
            }
            Place::El2 => {
                if let Some((id, reason)) = self.exits.get(&cpu)
                    && let Some(count) = story.vms.get_mut(id).and_then(|vm| vm.exits.get_mut(reason))
                {
                    count.ticks = count.ticks.saturating_add(stretch.ticks);
                }
            }
            _ => {}
        }
    }

    /// Keeps a call that is over, whole if it is worth it.
    fn keep(&mut self, mut call: Call) {
        if call.request.is_exit() {
            let nth = self.counts.entry((call.caller, call.request.name())).or_insert(0);
            *nth += 1;
            if *nth <= MOST_EXITS {
                self.story.exits.push(call);
            }
            return;
        }
        if let Caller::Vm(id) = call.caller {
            self.story.vms.entry(id).or_default().calls += 1;
        }
        let key = (call.caller, call.request.name());
        let nth = self.counts.entry(key.clone()).or_insert(0);
        *nth += 1;
        if (!call.is_notable() && *nth > MOST_MINOR) || self.story.calls.len() >= MOST_CALLS {
            let left = self.story.minor.entry(key).or_default();
            left.calls += 1;
            left.ticks = left.ticks.saturating_add(call.total());
            return;
        }
        if self.steps + call.steps.len() > MOST_STEPS && call.mood() != Mood::Fatal {
            call.more += call.steps.len() as u64;
            call.steps.clear();
        }
        self.story.dropped += call.more;
        self.steps += call.steps.len();
        self.story.calls.push(call);
    }

    /// Tells the story, with the calls that were never answered.
    pub fn finish(mut self) -> Story {
        let open: Vec<_> = self.open().cloned().collect();
        for call in open {
            self.keep(call);
        }
        self.story.calls.sort_by_key(|call| call.begin);
        self.story
    }
}

/// Says whether an event is about a VM even if its id is 0.
const fn is_about_vm(event: &Event) -> bool {
    matches!(event, Event::VmCreated { .. } | Event::VmReclaimed { .. } | Event::VmDestroyed { .. })
}

#[cfg(test)]
mod tests;
