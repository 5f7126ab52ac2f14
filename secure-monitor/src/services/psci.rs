//! Power State Coordination Interface 1.1 (Arm DEN 0022): who is on, who may be switched on, and where it begins.

mod cpus;

use crate::context::{Answer, Cpu, Errand, World};
use crate::dispatch::{Monitor, Next, Service, UNKNOWN, arguments};
use crate::trace::{Refusal, refused};
use arm_psci::{
    ErrorCode, FeatureFlagsCpuSuspend, Function, FunctionId as PsciId, MigrateInfoType, PowerState, PsciFeature,
    ResetType,
};
pub use cpus::{Cpus, Entry, MAX_RAM, Ram};
use shared_abi::smccc::{FunctionId, Owner};
use spin::Once;

/// PSTATE where the normal world begins: EL2 with its own stack pointer, all interrupts masked (PSCI 1.1 §6.4).
const SPSR_EL2H: u64 = 0x3C9;

/// What PSCI_VERSION answers: 1.1.
pub const VERSION: u64 = 1 << 16 | 1;

/// The family, and the state of every CPU.
pub struct Psci {
    cpus: Once<Cpus>,
    wake: fn(u64),
}

impl Service for Psci {
    /// The standard services' first numbers; what follows (SDEI, TRNG, …) is not PSCI's to refuse.
    #[inline(always)]
    fn owns(id: FunctionId) -> bool {
        id.is_fast() && id.owner() == Owner::Standard && id.number() < 0x20
    }
}

impl Psci {
    /// Knows no CPU yet.
    pub const fn new(wake: fn(u64)) -> Self {
        Self { cpus: Once::new(), wake }
    }

    /// Gives it the machine's CPUs and memory, once at boot.
    pub fn set_cpus(&self, cpus: Cpus) -> &Cpus {
        self.cpus.call_once(|| cpus)
    }

    /// AFFINITY_INFO of a CPU, if there is one of these affinities.
    #[inline(always)]
    pub(crate) fn affinity_info(&self, mpidr: u64) -> Option<u64> {
        self.cpus.get()?.affinity_info(mpidr).ok()
    }

    /// The machine's CPUs.
    ///
    /// # Panics
    ///
    /// Before [`Psci::set_cpus`]; no world runs before it.
    pub fn cpus(&self) -> &Cpus {
        self.cpus.get().expect("the CPUs are known before anything runs")
    }

    /// The normal world begins on this CPU, where CPU_ON said.
    pub(crate) fn started(&self, cpu: &mut Cpu) -> Next {
        self.cpus().set_on(cpu.index);
        self.begin(cpu);
        Next::BeginNormal
    }

    /// The normal world begins again on this CPU, where CPU_SUSPEND said.
    pub(crate) fn resumed(&self, cpu: &mut Cpu) -> Next {
        self.begin(cpu);
        Next::ResumeNormal
    }

    /// Points the normal world of this CPU to [`Cpu::resume`].
    pub fn begin(&self, cpu: &mut Cpu) {
        let (entry, x0) = cpu.resume;
        cpu.normal.start(entry, SPSR_EL2H, &[x0]);
    }

    /// This CPU is off.
    pub(crate) fn stopped(&self, cpu: &mut Cpu) -> Next {
        self.cpus().set_off(cpu.index);
        Next::Park
    }

    /// The TEE would not let this CPU go.
    pub(crate) fn denied(&self, cpu: &mut Cpu) -> Next {
        cpu.normal.answer(refused!(Refusal::BadState, 0, Answer::One(ErrorCode::Denied.into())));
        Next::Enter(World::Normal)
    }

    /// The functions that this monitor has (PSCI 1.1 §5.1, "optional" functions that a machine without the means does
    /// not have are not there).
    pub(crate) const FUNCTIONS: [PsciId; 14] = [
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

    fn has(id: PsciId) -> bool {
        Self::FUNCTIONS.contains(&id)
    }

    fn features(asked: PsciFeature) -> Result<u64, ErrorCode> {
        match asked {
            PsciFeature::SmcccVersion => Ok(0),
            // The extended StateID format; platform-coordinated mode only.
            PsciFeature::PsciFunction(PsciId::CpuSuspend32 | PsciId::CpuSuspend64) => {
                Ok(u32::from(FeatureFlagsCpuSuspend::EXTENDED_POWER_STATE).into())
            }
            PsciFeature::PsciFunction(id) if Self::has(id) => Ok(0),
            PsciFeature::PsciFunction(_) => Err(ErrorCode::NotSupported),
        }
    }
}

impl Monitor {
    /// A call of PSCI's range, from the normal world.
    pub(crate) fn power(&self, cpu: &mut Cpu, id: FunctionId) -> Next {
        let known = PsciId::try_from(id.0).is_ok_and(Psci::has);
        if !known {
            cpu.normal.answer(refused!(Refusal::UnknownFunction, id.0.into(), UNKNOWN));
            return Next::Enter(World::Normal);
        }
        let [x0, x1, x2, x3, ..] = arguments(id, &cpu.normal);
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
        let cpus = self.psci.cpus();
        match function {
            Function::Version => Ok(Effect::Answer(VERSION)),
            Function::Features { psci_func_id } => Psci::features(psci_func_id).map(Effect::Answer),
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
                (self.psci.wake)(target);
                Ok(Effect::Answer(0))
            }
            Function::CpuOff => Ok(Effect::Next(self.tell_tee(cpu, Errand::CpuOff))),
            Function::CpuSuspend { state, entry } => match Depth::of(state).ok_or(ErrorCode::InvalidParameters)? {
                Depth::Standby => {
                    cpu.normal.answer(Answer::One(0));
                    Ok(Effect::Next(Next::Standby))
                }
                Depth::PowerDown => {
                    cpus.check_entry(entry.entry_point_address())?;
                    cpu.resume = (entry.entry_point_address(), entry.context_id());
                    Ok(Effect::Next(self.tell_tee(cpu, Errand::Suspend)))
                }
            },
            Function::SystemOff => Ok(Effect::Next(self.tell_tee(cpu, Errand::SystemOff))),
            Function::SystemReset => Ok(Effect::Next(self.tell_tee(cpu, Errand::SystemReset))),
            Function::SystemReset2 { reset_type: ResetType::Architectural(_), .. } => {
                // The one architectural type is a warm reset: the machine's reset keeps memory, so it is one.
                Ok(Effect::Next(self.tell_tee(cpu, Errand::SystemReset)))
            }
            Function::SystemReset2 { reset_type: ResetType::VendorSpecific(_), .. } => {
                Err(ErrorCode::InvalidParameters)
            }
            _ => Err(ErrorCode::NotSupported),
        }
    }
}

/// What CPU_SUSPEND comes to. There is one state of each kind, at the level of the CPU: a deeper one that is asked for
/// is a permission, which a platform that decides for itself need not use (PSCI 1.1 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// Waiting for an interrupt.
    Standby,
    /// The same with the context lost.
    PowerDown,
}

impl Depth {
    /// By the StateIDs of TF-A's port to this machine: a digit for each level from the CPU's up, 1 for retention, 2 for
    /// power down. 0 is taken as well.
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

/// What an error says, in the words of the trace.
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
