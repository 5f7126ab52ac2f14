// SPDX-License-Identifier: MIT OR Apache-2.0
//! PSCI 1.1 for a VM (Arm DEN 0022): which of its vCPUs are on.
#![forbid(unsafe_code)]

use crate::address::Ipa;
use crate::vgic::MAX_VCPUS;
use arm_psci::{
    AffinityInfo, EntryPoint, ErrorCode, Function, FunctionId, MigrateInfoType, Mpidr, PsciFeature, ResetType,
};
use heapless::Vec;

/// The version that guests see: 1.1.
const VERSION: i32 = 0x1_0001;

/// Where a vCPU starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The address of its first instruction.
    pub entry: Ipa,
    /// Its x0.
    pub context: u64,
}

/// A vCPU's power state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PowerState {
    Off,
    OnPending(Start),
    On,
}

/// What a call leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The caller goes on with this in x0.
    Return(i32),
    /// The caller goes on with success in x0 once an interrupt is pending.
    Suspend,
    /// The caller is to be off: [`Psci::switch_off`] when its CPU has let go of it.
    Off,
    /// The caller goes on with success in x0, and this vCPU is to start.
    Started(usize),
    /// The VM wants to be off.
    SystemOff,
    /// The VM wants to start again.
    SystemReset,
}

/// What a call asks about other vCPUs. All other calls are served without looking at them, so nobody waits for the lock
/// that they are behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// CPU_ON.
    Start {
        /// Which.
        target: Mpidr,
        /// Where, and with what.
        entry: EntryPoint,
    },
    /// AFFINITY_INFO.
    State {
        /// Which.
        target: Mpidr,
        /// The affinity level.
        level: u32,
    },
}

/// Serves a call: x0 to x3, with bits 63:32 of an SMC32's arguments already cleared. `answer` is for
/// [`Psci::answer`].
#[inline]
pub fn call(regs: &[u64; 4], answer: impl FnOnce(Question) -> Result<Outcome, ErrorCode>) -> Outcome {
    // What is not there is not supported, whatever its arguments.
    let known = FunctionId::try_from(regs[0] as u32).map_err(ErrorCode::from);
    if known == Ok(FunctionId::PsciVersion) {
        // What is asked most often has no arguments to look at.
        return Outcome::Return(VERSION);
    }
    if let Ok(FunctionId::CpuSuspend32 | FunctionId::CpuSuspend64) = known {
        return suspend(regs[1] as u32);
    }
    let known = known.and_then(|function| features(PsciFeature::PsciFunction(function)));
    let function = known.and_then(|_| Function::try_from(regs).map_err(ErrorCode::from));
    let outcome = function.and_then(|function| serve(function, answer));
    outcome.unwrap_or_else(|code| Outcome::Return(code as i32))
}

/// Serves CPU_SUSPEND, with a power state in the original format, as PSCI_FEATURES says (§5.4.2); the crate knows the
/// extended one. Every state is a standby state: the vCPU waits and keeps everything, which is allowed (§5.4.1). There
/// is no level above it.
fn suspend(state: u32) -> Outcome {
    const STATE_ID_AND_TYPE: u32 = 0x1_FFFF;
    if state & !STATE_ID_AND_TYPE != 0 {
        return Outcome::Return(ErrorCode::InvalidParameters as i32);
    }
    Outcome::Suspend
}

fn serve(
    function: Function,
    answer: impl FnOnce(Question) -> Result<Outcome, ErrorCode>,
) -> Result<Outcome, ErrorCode> {
    Ok(match function {
        Function::Version => Outcome::Return(VERSION),
        Function::Features { psci_func_id } => Outcome::Return(features(psci_func_id)?),
        Function::CpuOff => Outcome::Off,
        Function::CpuOn { target_cpu: target, entry } => answer(Question::Start { target, entry })?,
        Function::AffinityInfo { mpidr: target, lowest_affinity_level: level } => {
            answer(Question::State { target, level })?
        }
        // The TEE, where there is one, runs wherever it is called.
        Function::MigrateInfoType => Outcome::Return(MigrateInfoType::MigrationNotRequired as i32),
        Function::SystemOff => Outcome::SystemOff,
        Function::SystemReset => Outcome::SystemReset,
        Function::SystemReset2 { reset_type: ResetType::Architectural(_), .. } => Outcome::SystemReset,
        Function::SystemReset2 { .. } => return Err(ErrorCode::InvalidParameters),
        _ => return Err(ErrorCode::NotSupported),
    })
}

/// The power states of a VM's vCPUs.
pub struct Psci {
    power: Vec<PowerState, MAX_VCPUS>,
}

impl Psci {
    /// Makes the first vCPU about to start, and the others off.
    pub fn new(vcpus: usize, first: Start) -> Self {
        let states = (0..vcpus.min(MAX_VCPUS))
            .map(|vcpu| if vcpu == 0 { PowerState::OnPending(first) } else { PowerState::Off });
        Self { power: states.collect() }
    }

    /// Takes a vCPU's start, as its CPU asks, which turns it on.
    pub fn take_start(&mut self, vcpu: usize) -> Option<Start> {
        let power = self.power.get_mut(vcpu)?;
        let PowerState::OnPending(start) = *power else { return None };
        *power = PowerState::On;
        Some(start)
    }

    /// Switches a vCPU off. Whether none is left.
    pub fn switch_off(&mut self, vcpu: usize) -> bool {
        if let Some(power) = self.power.get_mut(vcpu) {
            *power = PowerState::Off;
        }
        self.power.iter().all(|power| *power == PowerState::Off)
    }

    /// Forgets the vCPUs that have not started yet: the VM ends.
    pub fn cancel_starts(&mut self) {
        for power in &mut self.power {
            if matches!(power, PowerState::OnPending(_)) {
                *power = PowerState::Off;
            }
        }
    }

    /// Answers a question about other vCPUs. `is_ram` tells whether an address is RAM of the VM.
    pub fn answer(&mut self, question: Question, is_ram: impl Fn(Ipa) -> bool) -> Result<Outcome, ErrorCode> {
        match question {
            Question::Start { target, entry } => self.cpu_on(target, entry, is_ram),
            Question::State { target, level } => {
                self.affinity_info(target, level).map(|info| Outcome::Return(info as i32))
            }
        }
    }

    fn cpu_on(&mut self, target: Mpidr, entry: EntryPoint, is_ram: impl Fn(Ipa) -> bool) -> Result<Outcome, ErrorCode> {
        let vcpu = self.vcpu(target).ok_or(ErrorCode::InvalidParameters)?;
        let start = Start { entry: Ipa(entry.entry_point_address()), context: entry.context_id() };
        if !start.entry.is_aligned(4) || !is_ram(start.entry) {
            return Err(ErrorCode::InvalidAddress);
        }
        match self.power[vcpu] {
            PowerState::On => Err(ErrorCode::AlreadyOn),
            PowerState::OnPending(_) => Err(ErrorCode::OnPending),
            PowerState::Off => {
                self.power[vcpu] = PowerState::OnPending(start);
                Ok(Outcome::Started(vcpu))
            }
        }
    }

    fn affinity_info(&self, target: Mpidr, level: u32) -> Result<AffinityInfo, ErrorCode> {
        // Levels above 0 are optional from PSCI 1.0 on (§5.7.2).
        if level != 0 {
            return Err(ErrorCode::InvalidParameters);
        }
        let vcpu = self.vcpu(target).ok_or(ErrorCode::InvalidParameters)?;
        Ok(match self.power[vcpu] {
            PowerState::On => AffinityInfo::On,
            PowerState::OnPending(_) => AffinityInfo::OnPending,
            PowerState::Off => AffinityInfo::Off,
        })
    }

    fn vcpu(&self, mpidr: Mpidr) -> Option<usize> {
        usize::try_from(u64::from(mpidr)).ok().filter(|vcpu| *vcpu < self.power.len())
    }
}

fn features(function: PsciFeature) -> Result<i32, ErrorCode> {
    use FunctionId::*;
    match function {
        PsciFeature::SmcccVersion => Ok(0),
        PsciFeature::PsciFunction(
            PsciVersion | PsciFeatures | CpuSuspend32 | CpuSuspend64 | CpuOff | CpuOn32 | CpuOn64 | AffinityInfo32
            | AffinityInfo64 | MigrateInfoType | SystemOff | SystemReset | SystemReset232 | SystemReset264,
        ) => Ok(0),
        PsciFeature::PsciFunction(_) => Err(ErrorCode::NotSupported),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::psci::*;
    use shared_abi::smccc::FunctionId as Id;

    const FIRST: Start = Start { entry: Ipa(0x4020_0000), context: 0x4000_0000 };

    fn vm() -> Psci {
        let mut psci = Psci::new(2, FIRST);
        assert_eq!(psci.take_start(0), Some(FIRST));
        psci
    }

    fn call(psci: &mut Psci, id: Id, args: [u64; 3]) -> Outcome {
        let regs = [u64::from(id.0), args[0], args[1], args[2]];
        super::call(&regs, |question| psci.answer(question, |ipa| ipa >= Ipa(0x4000_0000)))
    }

    fn code(code: ErrorCode) -> Outcome {
        Outcome::Return(code as i32)
    }

    #[test]
    fn a_cpu_is_started_once() {
        let mut psci = vm();
        let on = [1, 0x4020_0000, 42];
        assert_eq!(call(&mut psci, PSCI_AFFINITY_INFO_64, [1, 0, 0]), Outcome::Return(1));
        assert_eq!(call(&mut psci, PSCI_CPU_ON_64, on), Outcome::Started(1));
        assert_eq!(call(&mut psci, PSCI_AFFINITY_INFO_64, [1, 0, 0]), Outcome::Return(2));
        assert_eq!(call(&mut psci, PSCI_CPU_ON_64, on), code(ErrorCode::OnPending));
        assert_eq!(psci.take_start(1), Some(Start { entry: Ipa(0x4020_0000), context: 42 }));
        assert_eq!(call(&mut psci, PSCI_CPU_ON_64, on), code(ErrorCode::AlreadyOn));
        assert_eq!(call(&mut psci, PSCI_AFFINITY_INFO_32, [1, 0, 0]), Outcome::Return(0));
    }

    #[test]
    fn a_cpu_that_is_not_there_or_starts_nowhere_is_refused() {
        let mut psci = vm();
        assert_eq!(call(&mut psci, PSCI_CPU_ON_64, [2, 0x4020_0000, 0]), code(ErrorCode::InvalidParameters));
        assert_eq!(
            call(&mut psci, PSCI_CPU_ON_64, [0x1_0000_0001, 0x4020_0000, 0]),
            code(ErrorCode::InvalidParameters)
        );
        assert_eq!(call(&mut psci, PSCI_CPU_ON_64, [u64::MAX, 0x4020_0000, 0]), code(ErrorCode::InvalidParameters));
        assert_eq!(call(&mut psci, PSCI_CPU_ON_64, [1, 0x1000, 0]), code(ErrorCode::InvalidAddress));
        assert_eq!(call(&mut psci, PSCI_CPU_ON_64, [1, 0x4020_0002, 0]), code(ErrorCode::InvalidAddress));
    }

    #[test]
    fn every_state_of_a_cpu_is_standby_and_a_level_above_it_is_refused() {
        let mut psci = vm();
        for state in [0, 1, 0x1234, 0xFFFF, 0x1_0000, 0x1_FFFF] {
            assert_eq!(call(&mut psci, PSCI_CPU_SUSPEND_64, [state, 0x4020_0000, 0]), Outcome::Suspend, "{state:#x}");
            assert_eq!(call(&mut psci, PSCI_CPU_SUSPEND_32, [state, 0, 0]), Outcome::Suspend, "{state:#x}");
        }
        for state in [0x2_0000, 0x100_0000, 0x300_0000, 0x8000_0000] {
            let refused = code(ErrorCode::InvalidParameters);
            assert_eq!(call(&mut psci, PSCI_CPU_SUSPEND_64, [state, 0x4020_0000, 0]), refused, "{state:#x}");
        }
    }

    #[test]
    fn the_last_cpu_that_goes_off_is_known() {
        let mut psci = vm();
        call(&mut psci, PSCI_CPU_ON_64, [1, 0x4020_0000, 0]);
        assert_eq!(call(&mut psci, PSCI_CPU_OFF, [0; 3]), Outcome::Off);
        assert!(!psci.switch_off(0), "the other is about to start");
        psci.take_start(1);
        assert!(psci.switch_off(1));
    }

    #[test]
    fn the_rest_is_as_the_features_say() {
        let mut psci = vm();
        assert_eq!(call(&mut psci, PSCI_VERSION, [0; 3]), Outcome::Return(0x1_0001));
        assert_eq!(call(&mut psci, PSCI_MIGRATE_INFO_TYPE, [0; 3]), Outcome::Return(2));
        assert_eq!(call(&mut psci, PSCI_SYSTEM_OFF, [0; 3]), Outcome::SystemOff);
        assert_eq!(call(&mut psci, PSCI_SYSTEM_RESET, [0; 3]), Outcome::SystemReset);
        assert_eq!(call(&mut psci, PSCI_SYSTEM_RESET2_64, [0; 3]), Outcome::SystemReset);
        assert_eq!(call(&mut psci, PSCI_SYSTEM_RESET2_64, [0x8000_0000, 0, 0]), code(ErrorCode::InvalidParameters));
        for (id, _) in NAMES {
            let there = call(&mut psci, PSCI_FEATURES, [u64::from(id.0), 0, 0]) == Outcome::Return(0);
            let mut other = vm();
            // What would itself answer NOT_SUPPORTED is asked about something that is there.
            let argument = if *id == PSCI_FEATURES { u64::from(PSCI_VERSION.0) } else { 0 };
            let refused = call(&mut other, *id, [argument, 0, 0]) == code(ErrorCode::NotSupported);
            assert_eq!(there, !refused, "{id}");
        }
        assert_eq!(call(&mut psci, PSCI_FEATURES, [0x8000_0000, 0, 0]), Outcome::Return(0));
        assert_eq!(call(&mut psci, PSCI_FEATURES, [0x8400_00FF, 0, 0]), code(ErrorCode::NotSupported));
    }
}
