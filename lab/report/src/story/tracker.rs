// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which records belong to which call.
//!
//! On each CPU at most one call is under way. It begins where somebody asks: a VM at EL2, the hypervisor itself by SMC,
//! at EL3 whoever is in the hypervisor's place, or the monitor that has an errand. It ends where that somebody goes on.
//! A VM's exit for which nobody asked is followed in the same way, from the exception to the next entry.

use super::call::{Call, Caller, Outcome, Request, Step};
use super::level;
use super::place::{Follower, Place};
use lab_trace::Entry;
use shared_abi::smccc::FunctionId;
use shared_abi::trace::{Event, Layer, World};

/// Steps that are kept of one call. More come only from a call that never ends.
const MOST_STEPS: usize = 4096;

/// One CPU's records on their way into calls.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    follower: Follower,
    /// The record before, whose step isn't over.
    last: Option<Entry>,
    /// First and last time at which another CPU wrote a record since then.
    foreign: Option<(u64, u64)>,
    /// The call under way.
    call: Option<Call>,
    /// Calls whose vCPU left the CPU before they were over.
    parked: Vec<Call>,
}

/// What executed between two records.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// On which CPU.
    pub cpu: u8,
    /// Who.
    pub place: Place,
    /// Time of the record that began it.
    pub begin: u64,
    /// Ticks without what writing that record took.
    pub ticks: u64,
    /// Ticks in between during which another CPU executed.
    pub elsewhere: u64,
    /// Ticks from record to record.
    pub whole: u64,
}

/// What a record finished.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The stretch before it.
    pub stretch: Option<Stretch>,
    /// Calls that are over.
    pub calls: Vec<Call>,
}

impl Tracker {
    /// Takes note that another CPU wrote a record.
    pub(super) fn elsewhere(&mut self, time: u64) {
        self.foreign = Some(self.foreign.map_or((time, time), |(first, _)| (first, time)));
    }

    /// Says who wrote the record before.
    pub(super) fn last_layer(&self) -> Option<Layer> {
        self.last.map(|entry| entry.layer)
    }

    /// Lists every call that isn't over.
    pub(super) fn open(&self) -> impl Iterator<Item = &Call> {
        self.parked.iter().chain(&self.call)
    }

    /// Takes note of a record. `cost` is what writing the one before took; `gap` that records are missing before this
    /// one.
    pub(super) fn hear(&mut self, entry: &Entry, cost: u64, gap: bool) -> Heard {
        let mut heard = Heard { stretch: self.stretch(entry, cost), calls: Vec::new() };
        if let (Some(stretch), Some(call)) = (heard.stretch, self.call.as_mut()) {
            if let Some(index) = level(stretch.place) {
                call.ticks[index] = call.ticks[index].saturating_add(stretch.ticks);
            }
            if let Some(step) = call.steps.last_mut().filter(|_| call.more == 0) {
                let waited = stretch.elsewhere.saturating_add(stretch.ticks);
                let (ticks, elsewhere) =
                    if level(stretch.place).is_some() { (stretch.ticks, stretch.elsewhere) } else { (0, waited) };
                step.place = stretch.place;
                step.ticks = step.ticks.saturating_add(ticks);
                step.elsewhere = step.elsewhere.saturating_add(elsewhere);
            }
        }
        if gap {
            heard.calls.extend(self.parked.drain(..).chain(self.call.take()).map(|call| ended(call, Outcome::Cut)));
        }
        let over = self.place(entry);
        if let Some(call) = &mut self.call {
            call.learn(entry);
            call.end = entry.record.time;
            if matches!(entry.record.event, Event::Calibration { .. }) {
                // Nothing happened, and what it took is off: the step before goes on.
            } else if call.steps.len() < MOST_STEPS {
                let place = Place::of(entry.layer);
                call.steps.push(Step { entry: *entry, place, ticks: 0, elsewhere: 0 });
            } else {
                call.more += 1;
            }
        }
        if let Some(outcome) = over
            && let Some(call) = self.call.take()
        {
            heard.calls.push(ended(call, outcome));
        }
        self.follower.hear(entry);
        self.last = Some(*entry);
        self.foreign = None;
        heard
    }

    fn stretch(&self, next: &Entry, cost: u64) -> Option<Stretch> {
        let last = self.last?;
        let begin = last.record.time;
        let whole = next.record.time.saturating_sub(begin);
        let own = whole.saturating_sub(cost);
        let elsewhere = self.foreign.map_or(0, |(first, end)| end.saturating_sub(first)).min(own);
        let place = self.follower.until(next);
        Some(Stretch { cpu: next.cpu, place, begin, ticks: own - elsewhere, elsewhere, whole })
    }

    /// Finds the call that the record belongs to, or begins one; says how that call ends with this record, if it does.
    fn place(&mut self, entry: &Entry) -> Option<Outcome> {
        let client = entry.record.client;
        let by_vm = |call: &Call, vcpu: u8| call.caller == Caller::Vm(client) && call.vcpu == vcpu;
        match (entry.layer, entry.record.event) {
            (Layer::Hypervisor, Event::Call { vcpu, x, .. }) => {
                // Whatever that vCPU had asked before, it has gone on since.
                self.parked.retain(|call| !by_vm(call, vcpu));
                self.park();
                self.call = Some(begun(entry, Caller::Vm(client), vcpu, function(x[0])));
                None
            }
            (Layer::Hypervisor, Event::Answer { vcpu, x, .. }) => {
                if !self.call.as_ref().is_some_and(|call| by_vm(call, vcpu)) {
                    let index = self.parked.iter().position(|call| by_vm(call, vcpu))?;
                    self.park();
                    self.call = Some(self.parked.remove(index));
                }
                Some(Outcome::Answered(x))
            }
            (Layer::Hypervisor, Event::Exit { vcpu, .. } | Event::Interrupt { vcpu, .. }) => {
                self.park();
                let request = match entry.record.event {
                    Event::Exit { esr, .. } => Request::Exit(esr),
                    Event::Interrupt { intid, .. } => Request::Interrupt(intid),
                    _ => return None,
                };
                self.call = Some(begun(entry, Caller::Vm(client), vcpu, request));
                None
            }
            (Layer::Hypervisor, Event::Enter { vcpu, .. }) => {
                if !self.call.as_ref().is_some_and(|call| by_vm(call, vcpu)) {
                    self.park();
                    // A vCPU that had left for another one goes on.
                    let left = |call: &Call| by_vm(call, vcpu) && call.request.is_exit();
                    let index = self.parked.iter().position(left)?;
                    self.call = Some(self.parked.remove(index));
                }
                Some(Outcome::Left)
            }
            (Layer::Hypervisor, Event::Send { x }) => {
                if self.call.is_none() {
                    self.call = Some(begun(entry, Caller::Hypervisor, 0, function(x[0])));
                }
                None
            }
            (Layer::Hypervisor, Event::Receive { x }) => {
                (self.call.as_ref()?.caller == Caller::Hypervisor).then_some(Outcome::Answered(x))
            }
            (Layer::Monitor, Event::Call { from: World::Normal, x, .. }) => {
                if self.call.is_none() {
                    self.call = Some(begun(entry, Caller::NormalWorld(client), 0, function(x[0])));
                }
                None
            }
            (Layer::Monitor, Event::WorldSwitch { to: World::Secure, errand, .. }) => {
                if self.call.is_none() {
                    self.call = Some(begun(entry, Caller::Monitor, 0, Request::Errand(errand)));
                }
                None
            }
            (
                Layer::Monitor,
                event @ (Event::Answer { to: World::Normal, .. }
                | Event::WorldSwitch { to: World::Normal, .. }
                | Event::Resume { to: World::Normal, .. }),
            ) => match self.call.as_ref()?.caller {
                Caller::NormalWorld(_) | Caller::Monitor => Some(match event {
                    Event::Answer { x, .. } => Outcome::Answered(x),
                    _ => self.done().map_or(Outcome::Left, Outcome::Answered),
                }),
                Caller::Vm(_) | Caller::Hypervisor => None,
            },
            _ => None,
        }
    }

    /// Returns what the TEE has just told the monitor to answer.
    fn done(&self) -> Option<[u64; 4]> {
        let done = shared_abi::opteed::TEESMC_OPTEED_RETURN_CALL_DONE.0;
        let answers = self.call.as_ref()?.steps.iter().rev().filter(|step| step.entry.layer == Layer::Monitor);
        answers.take(1).find_map(|step| match step.entry.record.event {
            Event::Call { from: World::Secure, x, .. } if x[0] as u32 == done => Some([x[1], x[2], x[3], x[4]]),
            _ => None,
        })
    }

    /// Lays the call under way aside. Only so many are: more would be those of a trace that makes no sense.
    fn park(&mut self) {
        if let Some(call) = self.call.take() {
            if self.parked.len() >= 64 {
                self.parked.remove(0);
            }
            self.parked.push(call);
        }
    }
}

fn function(x0: u64) -> Request {
    Request::Function(FunctionId(x0 as u32))
}

fn begun(entry: &Entry, caller: Caller, vcpu: u8, request: Request) -> Call {
    Call {
        cpu: entry.cpu,
        caller,
        vcpu,
        request,
        message: None,
        reply: None,
        outcome: Outcome::Open,
        refusals: Vec::new(),
        steps: Vec::new(),
        more: 0,
        ticks: [0; 4],
        begin: entry.record.time,
        end: entry.record.time,
    }
}

/// Returns a call with its outcome; a panic stays the worst that can have come of it.
fn ended(mut call: Call, outcome: Outcome) -> Call {
    if !matches!(call.outcome, Outcome::Panicked(_)) {
        call.outcome = outcome;
    }
    call
}
