// SPDX-License-Identifier: MIT OR Apache-2.0
//! A call, from the first record of it to the last.

use super::esr::{self, Esr};
use super::names::{self, answers_with_words};
use super::place::Place;
use lab_trace::Entry;
use shared_abi::optee_msg::Cmd;
use shared_abi::optee_smc::{ReturnCode, Rpc};
use shared_abi::smccc::{FunctionId, OwningEntity};
use shared_abi::tee::TeeResult;
use shared_abi::trace::event::ERRANDS;
use shared_abi::trace::{Event, Layer, Refusal};

/// Returns the name of the monitor's errand.
pub fn errand(number: u8) -> &'static str {
    ERRANDS.get(usize::from(number)).copied().unwrap_or("unknown errand")
}

/// Who began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Caller {
    /// A VM, as the hypervisor says.
    Vm(u16),
    /// The hypervisor.
    Hypervisor,
    /// The normal world, where no hypervisor says who: the client id that it alleges.
    NormalWorld(u16),
    /// The monitor.
    Monitor,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A function by its id.
    Function(FunctionId),
    /// The monitor's errand to the TEE.
    Errand(u8),
    /// Nothing: a VM left its CPU by an exception with this ESR_EL2.
    Exit(u64),
    /// Nothing: a VM left its CPU by this interrupt.
    Interrupt(u32),
}

impl Request {
    /// Returns its name.
    pub fn name(self) -> String {
        match self {
            Self::Function(id) => id.to_string(),
            Self::Errand(number) => format!("errand: {}", errand(number)),
            Self::Exit(esr) => esr::exit(Esr(esr)),
            Self::Interrupt(intid) => interrupt_exit(intid),
        }
    }

    /// Says whether it is the TEE's business.
    pub(crate) const fn is_for_tee(self) -> bool {
        match self {
            Self::Function(id) => matches!(id.owner(), OwningEntity::TrustedOs | OwningEntity::TrustedApp),
            Self::Errand(_) => true,
            Self::Exit(_) | Self::Interrupt(_) => false,
        }
    }

    /// Says whether nobody asked for anything: an exit that is no call.
    pub(crate) const fn is_exit(self) -> bool {
        matches!(self, Self::Exit(_) | Self::Interrupt(_))
    }
}

/// Makes an interrupt the reason to leave a CPU.
pub(crate) fn interrupt_exit(intid: u32) -> String {
    match intid {
        1020.. => "interrupt that was gone".into(),
        _ => format!("interrupt {intid}, {}", names::interrupt(intid)),
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is under way, or the trace ends before it does.
    Open,
    /// The caller has its answer.
    Answered([u64; 4]),
    /// The caller goes on without one.
    Left,
    /// A layer panicked in it.
    Panicked(Layer),
    /// Records are missing, and with them its end.
    Cut,
}

/// Whether an outcome is what the caller hoped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It is.
    Good,
    /// It isn't over: the TEE asks for something, or nobody has answered.
    Waiting,
    /// It was refused.
    Bad,
    /// A layer died of it.
    Fatal,
}

/// A record within a call, and what was executed from it to the next one.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The record.
    pub entry: Entry,
    /// Where the CPU executed after it.
    pub place: Place,
    /// Ticks until the next record, without what writing this one took, and without [`Self::elsewhere`].
    pub ticks: u64,
    /// Ticks in between during which this CPU waited, or another one executed: under `-icount` CPUs take turns, and
    /// their counter is one.
    pub elsewhere: u64,
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    /// The CPU it is on; one that moves is on the one where it began.
    pub cpu: u8,
    /// Who began it.
    pub caller: Caller,
    /// Of the caller's vCPUs, if that is a VM.
    pub vcpu: u8,
    /// What was asked for.
    pub request: Request,
    /// Of a function called by message: what the message asks.
    pub message: Option<Cmd>,
    /// What the message was answered.
    pub reply: Option<TeeResult>,
    /// How it ended.
    pub outcome: Outcome,
    /// What was refused within it, and by whom.
    pub refusals: Vec<(Layer, Refusal, u64)>,
    /// Its records, in their order.
    pub steps: Vec<Step>,
    /// Records of it that are not kept among its steps.
    pub more: u64,
    /// Ticks by [level](super::LEVELS), all records counted.
    pub ticks: [u64; 4],
    /// Time of its first record.
    pub begin: u64,
    /// Time of its last record.
    pub end: u64,
}

impl Call {
    /// Counts the ticks from the first record to the last, the cost of tracing taken off.
    pub fn total(&self) -> u64 {
        self.ticks.iter().sum()
    }

    /// Says whether a record of the layer is in it.
    pub fn touches(&self, layer: Layer) -> bool {
        self.steps.iter().any(|step| step.entry.layer == layer)
    }

    /// Says whether the call is worth every one of its records: it reached the TEE, or was meant to, or went wrong.
    pub(crate) fn is_notable(&self) -> bool {
        self.request.is_for_tee() || self.touches(Layer::Tee) || self.mood() == Mood::Fatal
    }

    /// Names the function, and the message's command if it is one.
    pub fn title(&self) -> String {
        match self.message {
            Some(command) => format!("{} {command}", self.request.name()),
            None => self.request.name(),
        }
    }

    /// Says how it went for the caller.
    pub(crate) fn mood(&self) -> Mood {
        match self.outcome {
            Outcome::Panicked(_) => Mood::Fatal,
            Outcome::Open | Outcome::Cut => Mood::Waiting,
            Outcome::Left => Mood::Good,
            Outcome::Answered(x) => match self.request {
                _ if self.reply.is_some_and(|result| result != TeeResult::SUCCESS) => Mood::Bad,
                Request::Errand(_) | Request::Exit(_) | Request::Interrupt(_) => Mood::Good,
                Request::Function(id) if answers_with_words(id) => Mood::Good,
                Request::Function(id) if id.owner() == OwningEntity::TrustedOs => match ReturnCode::from_x0(x[0]) {
                    Some(ReturnCode::Ok) => Mood::Good,
                    Some(_) => Mood::Bad,
                    None if Rpc::from_x0(x[0]).is_some() => Mood::Waiting,
                    None => Mood::Good,
                },
                Request::Function(_) if (x[0] as i32) < 0 && x[0] as u32 >= 0xFFFF_FF00 => Mood::Bad,
                Request::Function(_) => Mood::Good,
            },
        }
    }

    /// Says in words how it ended.
    pub fn outcome_words(&self) -> String {
        match self.outcome {
            Outcome::Open => "no answer in this trace".into(),
            Outcome::Cut => "records lost before its end".into(),
            Outcome::Left if self.request.is_exit() => "the VM goes on".into(),
            Outcome::Left => "the caller goes on".into(),
            Outcome::Panicked(layer) => format!("{} panicked", layer.name()),
            Outcome::Answered(_) if matches!(self.request, Request::Errand(_)) => "done".into(),
            Outcome::Answered(x) => {
                let code = names::answer(self.request, x[0]);
                match self.reply {
                    Some(result) if x[0] == 0 => result.to_string(),
                    _ => code,
                }
            }
        }
    }

    /// Takes note of what a record says about the call as a whole.
    pub(super) fn learn(&mut self, entry: &Entry) {
        match entry.record.event {
            Event::Message { command, .. } => self.message = Some(Cmd(command)),
            Event::Reply { result, .. } => self.reply = Some(TeeResult(result)),
            Event::Refused { reason, value } if self.refusals.len() < 16 => {
                self.refusals.push((entry.layer, reason, value));
            }
            Event::Panic { .. } => self.outcome = Outcome::Panicked(entry.layer),
            _ => {}
        }
    }
}
