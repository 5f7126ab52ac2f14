// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a guest left, and what is done about it.
//!
//! Everything of the vCPU that was running but its x0 to x30 is still in the CPU.
//!
//! | file | what |
//! |---|---|
//! | [`syndrome`] | what ESR_EL2 says |
//! | [`exception`] | exceptions that a guest is given |
//! | [`call`] | SMC and HVC |
//! | [`instruction`] | loads and stores that a syndrome does not describe |
//! | [`mmio`] | accesses to devices |
//! | [`system`] | trapped system registers |
#![forbid(unsafe_code)]

pub mod call;
pub mod exception;
pub mod instruction;
pub mod mmio;
pub mod syndrome;
pub mod system;

use crate::arch::{guest, pstate};
use crate::cpu::ThisCpu;
use crate::lifecycle;
use crate::power::StopReason;
use crate::trace::{Client, record, refuse};
use crate::vcpu::Vcpu;
use exception::Exception;
use mmio::Served;
use shared_abi::trace::{Event, Refusal};
use syndrome::Class;

/// What a handler leaves to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The guest goes on.
    Resume,
    /// The guest goes on, and its VM's devices have to be looked at by then.
    Due(u64),
    /// The vCPU waits for an interrupt.
    Wait,
    /// The vCPU waits until others have looked whom it asked.
    Block,
    /// The vCPU goes off.
    Off,
    /// The VM ends.
    Stop,
}

/// Serves a synchronous exception.
#[inline(always)]
pub fn sync(mut cpu: ThisCpu) -> ThisCpu {
    let vcpu = cpu.vcpu();
    let esr = guest::esr();
    let next = match Class::of(esr) {
        class @ (Class::Hvc | Class::Smc) => {
            if class == Class::Smc {
                skip(esr);
            }
            call::serve(vcpu, esr)
        }
        Class::DataAbort => data_abort(vcpu, esr),
        Class::SystemRegister => match system::emulate(vcpu, esr) {
            system::Done::Next => {
                skip(esr);
                Next::Resume
            }
            system::Done::NextLater => {
                skip(esr);
                Next::Block
            }
            system::Done::Again => Next::Resume,
            system::Done::Undefined => give(refused(vcpu, esr), esr),
        },
        Class::Wfi => {
            skip(esr);
            Next::Wait
        }
        Class::InstructionAbort => instruction_abort(vcpu, esr),
        Class::Other => give(refused(vcpu, esr), esr),
    };
    match next {
        Next::Resume => cpu,
        Next::Due(time) => {
            cpu.look_at_devices_by(time);
            cpu
        }
        Next::Wait => cpu.wait(),
        Next::Block => cpu.block(),
        Next::Off => cpu.switch_off_loaded(),
        Next::Stop => cpu.schedule(),
    }
}

/// Serves an asynchronous external abort.
pub fn serror(mut cpu: ThisCpu) -> ThisCpu {
    lifecycle::stop(&cpu.vcpu().vm, StopReason::Crash("asynchronous external abort"));
    cpu.schedule()
}

/// Lets the guest go on behind the instruction that trapped.
#[inline(always)]
fn skip(esr: u64) {
    guest::set_elr(guest::elr().wrapping_add(syndrome::instruction_length(esr)));
    let before = guest::spsr();
    if pstate::may_change(before) {
        guest::set_spsr(pstate::after_instruction(before));
    }
}

#[inline]
fn data_abort(vcpu: &mut Vcpu, esr: u64) -> Next {
    let far = guest::far();
    let ipa = syndrome::fault_address(guest::hpfar(), far);
    let (outcome, done) = match syndrome::Access::of(esr) {
        _ if is_walk(esr) => (Served::Nobody, 0),
        Some(access) => (mmio::emulate(vcpu, ipa, access), 0),
        None => mmio::emulate_undescribed(vcpu, ipa, far, esr),
    };
    match outcome {
        Served::Done => {
            skip(esr);
            Next::Resume
        }
        Served::Due(time) => {
            skip(esr);
            Next::Due(time)
        }
        Served::Held => Next::Block,
        Served::DoneLater => {
            skip(esr);
            Next::Block
        }
        Served::Nobody => refused_access(vcpu, ipa + done, far.wrapping_add(done), esr),
    }
}

#[cold]
fn refused_access(vcpu: &mut Vcpu, ipa: u64, far: u64, esr: u64) -> Next {
    let write = esr & 1 << 6 != 0;
    let what = if is_walk(esr) {
        "its page tables"
    } else if write {
        "a write"
    } else {
        "a read"
    };
    fault(vcpu, ipa, esr);
    let pc = guest::elr();
    if !is_walk(esr) && syndrome::Access::of(esr).is_none() && mmio::is_device(vcpu, ipa) {
        let registers =
            if pstate::is_aarch32(guest::spsr()) { "one register, without write-back" } else { "one or two registers" };
        vcpu.vm.complain(format_args!(
            "{what} at IPA {ipa:#x} by an instruction that devices are not accessed with (pc {pc:#x}): use a load \
             or store of {registers}"
        ));
    } else {
        vcpu.vm.complain(format_args!("nothing at IPA {ipa:#x} for {what} (pc {pc:#x})"));
    }
    give(Exception::DataAbort { far, write, walk: is_walk(esr) }, esr)
}

fn instruction_abort(vcpu: &mut Vcpu, esr: u64) -> Next {
    let far = guest::far();
    let ipa = syndrome::fault_address(guest::hpfar(), far);
    fault(vcpu, ipa, esr);
    vcpu.vm.complain(format_args!("nothing at IPA {ipa:#x} to run (pc {:#x})", guest::elr()));
    give(Exception::InstructionAbort { far, walk: is_walk(esr) }, esr)
}

/// Answers an access that is nobody's.
#[inline(always)]
fn fault(vcpu: &Vcpu, ipa: u64, esr: u64) {
    let event = || Event::Stage2Fault { vcpu: vcpu.index as u8, ipa, pc: guest::elr(), esr };
    record(Client::of(vcpu.vm.config.id), event);
}

/// Answers an instruction that the guest does not have.
#[inline(always)]
fn refused(vcpu: &Vcpu, esr: u64) -> Exception {
    refuse(Client::of(vcpu.vm.config.id), Refusal::Undefined, esr, Exception::Undefined)
}

/// Says whether the guest's MMU met the fault, on its way through the guest's tables (S1PTW).
fn is_walk(esr: u64) -> bool {
    esr & 1 << 7 != 0
}

/// Makes the guest take an exception at EL1.
fn give(exception: Exception, esr: u64) -> Next {
    let registers = exception::take(exception, guest::elr(), guest::spsr(), esr, guest::vbar(), guest::sctlr());
    guest::set_elr(registers.pc);
    guest::set_spsr(registers.pstate);
    guest::set_exception(registers.elr, registers.spsr, registers.esr, registers.far);
    Next::Resume
}
