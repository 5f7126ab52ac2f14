// SPDX-License-Identifier: MIT OR Apache-2.0
//! Power State Coordination Interface 1.1 (Arm DEN 0022): who is on, who may be switched on, and where it begins.

mod cpus;

use super::payload::SecurePayload;
use super::{Service, refuse};
use crate::trace::{Refusal, refused};
use crate::world::call::Answer;
use crate::world::context::{Level, World};
use crate::world::cpu::{Cpu, Entry};
use crate::world::next::{Next, Step, Verdict};
use arm_psci::{
    ErrorCode, FeatureFlagsCpuSuspend, Function, FunctionId as PsciId, MigrateInfoType, PowerState, PsciFeature,
    ResetType,
};
pub use cpus::Cpus;
use shared_abi::psci as abi;
use shared_abi::smccc::{FunctionId, OwningEntity};
use spin::Once;

/// What PSCI_VERSION answers: 1.1.
const VERSION: u64 = 1 << 16 | 1;

/// The functions that this monitor has (PSCI 1.1 §5.1, "optional" functions that a machine without the means does
/// not have are not there).
pub(super) const FUNCTIONS: [PsciId; 14] = [
    PsciId::PsciVersion,
    PsciId::PsciFeatures,
    PsciId::CpuOn32,
    PsciId::CpuOn64,
    PsciId::CpuOff,
    PsciId::CpuSuspend32,
    PsciId::CpuSuspend64,
    PsciId::AffinityInfo32,
    PsciId::AffinityInfo64,
    PsciId::MigrateInfoType,
    PsciId::SystemOff,
    PsciId::SystemReset,
    PsciId::SystemReset232,
    PsciId::SystemReset264,
];

/// The family, the state of every CPU, and whom it shares them with.
pub struct Psci<P> {
    cpus: Once<Cpus>,
    wake: fn(u64),
    payload: P,
}

impl<P: SecurePayload> Service for Psci<P> {
    /// Takes the standard services' first numbers; what follows (SDEI, TRNG, …) is not PSCI's to refuse.
    #[inline(always)]
    fn owns(id: FunctionId) -> bool {
        id.is_fast() && id.owner() == OwningEntity::Standard && id.number() < 0x20
    }

    /// Answers the version, by which everybody measures a monitor.
    #[inline(always)]
    fn frequent(&self, cpu: &mut Cpu, id: FunctionId) -> Option<World> {
        if id != abi::PSCI_VERSION {
            return None;
        }
        cpu.normal.answer(Answer::One(VERSION));
        Some(World::Normal)
    }

    /// Answers AFFINITY_INFO: who waits for a CPU asks for its state again and again.
    #[inline(always)]
    fn less_frequent(&self, cpu: &mut Cpu, id: FunctionId) -> bool {
        // Both forms, whose ids differ in one bit.
        const FORM: u32 = abi::PSCI_AFFINITY_INFO_64.0 & !abi::PSCI_AFFINITY_INFO_32.0;
        if id.0 | FORM != abi::PSCI_AFFINITY_INFO_64.0 {
            return false;
        }
        let [_, target, 0, ..] = cpu.normal.arguments(id) else { return false };
        let Some(Ok(info)) = self.cpus.get().map(|cpus| cpus.affinity_info(target)) else { return false };
        cpu.normal.answer(Answer::One(info));
        true
    }

    fn handle(&self, cpu: &mut Cpu, from: World, id: FunctionId) -> Next {
        match from {
            World::Normal => self.call(cpu, id),
            // Power is the normal world's to switch.
            World::Secure => refuse(cpu, from, Refusal::NotForCaller),
        }
    }
}

impl<P: SecurePayload> Psci<P> {
    /// Makes one that knows no CPU yet. `wake` is how a waiting CPU is told to look.
    pub const fn new(wake: fn(u64), payload: P) -> Self {
        Self { cpus: Once::new(), wake, payload }
    }

    /// Takes the machine's CPUs and memory, once at boot.
    pub fn set_cpus(&self, cpus: Cpus) -> &Cpus {
        self.cpus.call_once(|| cpus)
    }

    /// Returns the machine's CPUs.
    ///
    /// # Panics
    ///
    /// Before [`Psci::set_cpus`]; no world runs before it.
    pub fn cpus(&self) -> &Cpus {
        self.cpus.get().expect("the CPUs are known before anything runs")
    }

    /// Returns whom PSCI shares the CPUs with.
    pub const fn payload(&self) -> &P {
        &self.payload
    }

    /// Says how a CPU begins that was switched on.
    pub fn switched_on(&self, cpu: &mut Cpu) -> Next {
        self.take(cpu, Step::On)
    }

    /// Says how a CPU goes on that was suspended and woke up.
    pub fn woken(&self, cpu: &mut Cpu) -> Next {
        self.take(cpu, Step::Resume)
    }

    /// Takes a step: the payload first, if there is one to be told.
    fn take(&self, cpu: &mut Cpu, step: Step) -> Next {
        self.payload.tell(cpu, step).unwrap_or_else(|| self.go_on(cpu, step, Verdict::Done))
    }

    /// Goes on with a step to which the payload has said this, or of which nobody was to be told.
    pub fn go_on(&self, cpu: &mut Cpu, step: Step, verdict: Verdict) -> Next {
        match (step, verdict) {
            (Step::Off | Step::Suspend, Verdict::Failed) => {
                cpu.normal.answer(refused!(Refusal::BadState, 0, Answer::One(ErrorCode::Denied.into())));
                Next::Enter(World::Normal)
            }
            (Step::Off, Verdict::Done) => {
                self.cpus().set_off(cpu.index());
                Next::Park
            }
            (Step::Suspend, Verdict::Done) => Next::PowerDown,
            // Calls to the TEE would fail on this CPU and on no other, which nobody reckons with.
            (Step::On, Verdict::Failed) => {
                self.cpus().set_lost(cpu.index());
                Next::Park
            }
            // Nobody can be refused any more that a CPU goes on, or that the machine ends.
            (Step::On, Verdict::Done) => {
                self.cpus().set_on(cpu.index());
                Self::begin(cpu);
                Next::BeginNormal
            }
            (Step::Resume, _) => {
                Self::begin(cpu);
                Next::ResumeNormal
            }
            (Step::SystemOff, _) => Next::SystemOff,
            (Step::SystemReset, _) => Next::SystemReset,
        }
    }

    /// Points the normal world of this CPU to where it is to begin.
    pub fn begin(cpu: &mut Cpu) {
        let Entry { address, argument } = cpu.entry;
        cpu.normal.start(address, Level::El2, &[argument]);
    }

    /// Answers a call of the normal world.
    fn call(&self, cpu: &mut Cpu, id: FunctionId) -> Next {
        if !PsciId::try_from(id.0).is_ok_and(|id| FUNCTIONS.contains(&id)) {
            return refuse(cpu, World::Normal, Refusal::UnknownFunction);
        }
        let [x0, x1, x2, x3, ..] = cpu.normal.arguments(id);
        let result = match Function::try_from(&[x0, x1, x2, x3]) {
            Ok(function) => self.perform(cpu, function),
            Err(error) => Err(error.into()),
        };
        match result {
            Ok(Effect::Answer(value)) => {
                cpu.normal.answer(Answer::One(value));
                Next::Enter(World::Normal)
            }
            Ok(Effect::Next(next)) => next,
            Err(error) => {
                cpu.normal.answer(refused!(reason(error), x1, Answer::One(error.into())));
                Next::Enter(World::Normal)
            }
        }
    }

    fn perform(&self, cpu: &mut Cpu, function: Function) -> Result<Effect, ErrorCode> {
        let cpus = self.cpus();
        match function {
            Function::Version => Ok(Effect::Answer(VERSION)),
            Function::Features { psci_func_id } => features(psci_func_id).map(Effect::Answer),
            // The TEE runs on every CPU and never needs to move.
            Function::MigrateInfoType => Ok(Effect::Answer(u32::from(MigrateInfoType::MigrationNotRequired).into())),
            Function::AffinityInfo { mpidr, lowest_affinity_level } => {
                // Only CPUs have a state of their own; clusters are not described (PSCI 1.1 §5.7.3 leaves that open).
                if lowest_affinity_level != 0 {
                    return Err(ErrorCode::InvalidParameters);
                }
                cpus.affinity_info(mpidr.into()).map(Effect::Answer)
            }
            Function::CpuOn { target_cpu, entry } => {
                let target = target_cpu.into();
                let entry = Entry { address: entry.entry_point_address(), argument: entry.context_id() };
                cpus.request_on(target, entry)?;
                (self.wake)(target);
                Ok(Effect::Answer(0))
            }
            Function::CpuOff => Ok(Effect::Next(self.take(cpu, Step::Off))),
            Function::CpuSuspend { state, entry } => match Depth::of(state).ok_or(ErrorCode::InvalidParameters)? {
                Depth::Standby => {
                    cpu.normal.answer(Answer::One(0));
                    Ok(Effect::Next(Next::Standby))
                }
                Depth::PowerDown => {
                    cpus.check_entry(entry.entry_point_address())?;
                    cpu.entry = Entry { address: entry.entry_point_address(), argument: entry.context_id() };
                    Ok(Effect::Next(self.take(cpu, Step::Suspend)))
                }
            },
            Function::SystemOff => Ok(Effect::Next(self.take(cpu, Step::SystemOff))),
            Function::SystemReset => Ok(Effect::Next(self.take(cpu, Step::SystemReset))),
            Function::SystemReset2 { reset_type: ResetType::Architectural(_), .. } => {
                // The one architectural type is a warm reset: the machine's reset keeps memory, so it is one.
                Ok(Effect::Next(self.take(cpu, Step::SystemReset)))
            }
            Function::SystemReset2 { reset_type: ResetType::VendorSpecific(_), .. } => {
                Err(ErrorCode::InvalidParameters)
            }
            _ => Err(ErrorCode::NotSupported),
        }
    }
}

/// Says what PSCI_FEATURES answers about a function.
fn features(asked: PsciFeature) -> Result<u64, ErrorCode> {
    match asked {
        PsciFeature::SmcccVersion => Ok(0),
        // The extended StateID format; platform-coordinated mode only.
        PsciFeature::PsciFunction(PsciId::CpuSuspend32 | PsciId::CpuSuspend64) => {
            Ok(u32::from(FeatureFlagsCpuSuspend::EXTENDED_POWER_STATE).into())
        }
        PsciFeature::PsciFunction(id) if FUNCTIONS.contains(&id) => Ok(0),
        PsciFeature::PsciFunction(_) => Err(ErrorCode::NotSupported),
    }
}

/// What CPU_SUSPEND comes to. There is one state of each kind, at the level of the CPU: a deeper one that is asked for
/// is a permission, which a platform that decides for itself need not use (PSCI 1.1 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// Waiting for an interrupt.
    Standby,
    /// Waiting for an interrupt, with the context lost.
    PowerDown,
}

impl Depth {
    /// Decodes the StateIDs of TF-A's port to this machine: a digit for each level from the CPU's up, 1 for retention,
    /// 2 for power down. 0 is taken as well.
    ///
    /// PSCI_FEATURES says that the format is the extended one, whose kind of state is bit 30. TF-A is built with the
    /// original one unless told otherwise: there it is bit 16, and bits 25:24 are the level. Its values mean nothing in
    /// the extended format, so whoever was made for that firmware is understood, too.
    fn of(state: PowerState) -> Option<Self> {
        match state {
            PowerState::StandbyOrRetention(0 | 0x01) => Some(Self::Standby),
            PowerState::PowerDown(0 | 0x02 | 0x22) => Some(Self::PowerDown),
            PowerState::StandbyOrRetention(0x0001_0002 | 0x0101_0022) => Some(Self::PowerDown),
            _ => None,
        }
    }
}

/// Says in the words of the trace what an error says.
fn reason(error: ErrorCode) -> Refusal {
    match error {
        ErrorCode::NotSupported => Refusal::UnknownFunction,
        ErrorCode::InvalidParameters => Refusal::BadParameter,
        ErrorCode::InvalidAddress => Refusal::BadAddress,
        _ => Refusal::BadState,
    }
}

/// What a function comes to.
enum Effect {
    /// A value in x0.
    Answer(u64),
    /// Something else than a return.
    Next(Next),
}

#[cfg(test)]
mod tests;
