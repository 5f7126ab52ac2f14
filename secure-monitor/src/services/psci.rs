//! Power State Coordination Interface 1.1 (Arm DEN 0022): who is on, who may be switched on, and where it begins.

mod cpus;

use crate::context::{Cpu, Errand, World};
use crate::dispatch::{Monitor, Next, Service, UNKNOWN, arguments};
use crate::trace::{Refusal, refused};
use arm_psci::{
    AffinityInfo, ErrorCode, FeatureFlagsCpuSuspend, Function, FunctionId as PsciId, MigrateInfoType, PowerState,
    PsciFeature, ResetType,
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
        self.begin(cpu)
    }

    /// The normal world begins again on this CPU, where CPU_SUSPEND said.
    pub(crate) fn resumed(&self, cpu: &mut Cpu) -> Next {
        self.begin(cpu)
    }

    /// Points the normal world of this CPU to [`Cpu::resume`].
    pub fn begin(&self, cpu: &mut Cpu) -> Next {
        let (entry, x0) = cpu.resume;
        cpu.normal.start(entry, SPSR_EL2H, &[x0]);
        Next::BeginNormal
    }

    /// This CPU is off.
    pub(crate) fn stopped(&self, cpu: &mut Cpu) -> Next {
        self.cpus().set_off(cpu.index);
        Next::Park
    }

    /// The TEE would not let this CPU go.
    pub(crate) fn denied(&self, cpu: &mut Cpu) -> Next {
        cpu.normal.answer(refused!(Refusal::BadState, 0, [ErrorCode::Denied.into(), 0, 0, 0]));
        Next::Enter(World::Normal)
    }

    /// Whether this monitor has the function (PSCI 1.1 §5.1, "optional" functions that a machine without the means does
    /// not have are not there).
    fn has(id: PsciId) -> bool {
        matches!(
            id,
            PsciId::PsciVersion
                | PsciId::PsciFeatures
                | PsciId::CpuOn32
                | PsciId::CpuOn64
                | PsciId::CpuOff
                | PsciId::CpuSuspend32
                | PsciId::CpuSuspend64
                | PsciId::AffinityInfo32
                | PsciId::AffinityInfo64
                | PsciId::MigrateInfoType
                | PsciId::SystemOff
                | PsciId::SystemReset
                | PsciId::SystemReset232
                | PsciId::SystemReset264
        )
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
                cpu.normal.answer([value, 0, 0, 0]);
                Next::Enter(World::Normal)
            }
            Ok(Effect::Next(next)) => next,
            Err(error) => {
                cpu.normal.answer(refused!(reason(error), x1, [error.into(), 0, 0, 0]));
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
                let info: AffinityInfo = cpus.affinity_info(mpidr.into())?;
                Ok(Effect::Answer(u32::from(info).into()))
            }
            Function::CpuOn { target_cpu, entry } => {
                let target = target_cpu.into();
                let entry = Entry { address: entry.entry_point_address(), argument: entry.context_id() };
                cpus.request_on(target, entry)?;
                (self.psci.wake)(target);
                Ok(Effect::Answer(0))
            }
            Function::CpuOff => Ok(Effect::Next(self.tell_tee(cpu, Errand::CpuOff))),
            Function::CpuSuspend { state, entry } => match state {
                // One state of each kind: waiting for an interrupt, and the same with the context lost.
                PowerState::StandbyOrRetention(0) => {
                    cpu.normal.answer([0; 4]);
                    Ok(Effect::Next(Next::Standby))
                }
                PowerState::PowerDown(0) => {
                    cpus.check_entry(entry.entry_point_address())?;
                    cpu.resume = (entry.entry_point_address(), entry.context_id());
                    Ok(Effect::Next(self.tell_tee(cpu, Errand::Suspend)))
                }
                _ => Err(ErrorCode::InvalidParameters),
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
