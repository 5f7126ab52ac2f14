// SPDX-License-Identifier: MIT OR Apache-2.0
//! SMC and HVC: who answers which function (SMCCC 1.4 §6).
#![forbid(unsafe_code)]

use super::Next;
use crate::lifecycle;
use crate::power::StopReason;
use crate::predictor;
use crate::tee::{Mediator, Smc, Tee};
use crate::trace::{Client, ON, record, refusal};
use crate::vcpu::Vcpu;
use crate::vpsci::{self, Outcome};
use crate::wake;
use shared_abi::smccc::{
    self, FunctionId, NOT_SUPPORTED, OwningEntity, SMCCC_ARCH_FEATURES, SMCCC_ARCH_WORKAROUND_1, SMCCC_VERSION,
    SUCCESS, in_x0,
};
use shared_abi::trace::{Event, Refusal};

/// Serves a call. Its registers are x0 to x7; what it does not return in x0 to x3 stays as it was.
#[inline]
pub fn serve(vcpu: &mut Vcpu, esr: u64) -> Next {
    let function = FunctionId(vcpu.frame.x[0] as u32);
    // An immediate other than 0 is none of SMCCC's (§2.9).
    if esr & 0xFFFF != 0 {
        unknown(vcpu, function);
        vcpu.frame.x[0] = in_x0(NOT_SUPPORTED);
        return Next::Resume;
    }
    match function.owner() {
        OwningEntity::Standard if is_psci(function) => psci(vcpu, function),
        OwningEntity::TrustedApp | OwningEntity::TrustedOs => {
            trusted_os(vcpu);
            Next::Resume
        }
        OwningEntity::Arch => {
            let code = arch(function, vcpu.frame.x[1]);
            if ON && code == NOT_SUPPORTED && function != SMCCC_ARCH_FEATURES {
                unknown(vcpu, function);
            }
            vcpu.frame.x[0] = in_x0(code);
            Next::Resume
        }
        _ => {
            unknown(vcpu, function);
            vcpu.frame.x[0] = in_x0(NOT_SUPPORTED);
            Next::Resume
        }
    }
}

/// Records a call that nobody serves.
#[inline(always)]
fn unknown(vcpu: &Vcpu, function: FunctionId) {
    let event = || Event::Refused { reason: Refusal::UnknownFunction, value: function.0.into() };
    record(Client::of(vcpu.vm.config.id), event);
}

/// Says whether PSCI owns a call: of the standard service calls it has 0 to 0x1F, of both widths (DEN 0022 §5.1.1).
fn is_psci(function: FunctionId) -> bool {
    function.is_fast() && function.number() < 0x20
}

fn arch(function: FunctionId, argument: u64) -> i32 {
    match function {
        SMCCC_VERSION => smccc::VERSION as i32,
        SMCCC_ARCH_FEATURES => match FunctionId(argument as u32) {
            SMCCC_VERSION | SMCCC_ARCH_FEATURES => SUCCESS,
            SMCCC_ARCH_WORKAROUND_1 if predictor::is_in_use() => SUCCESS,
            _ => NOT_SUPPORTED,
        },
        // The exit has done it.
        SMCCC_ARCH_WORKAROUND_1 if predictor::is_in_use() => SUCCESS,
        _ => NOT_SUPPORTED,
    }
}

#[inline]
fn psci(vcpu: &mut Vcpu, function: FunctionId) -> Next {
    let mask = if function.is_64() { u64::MAX } else { 0xFFFF_FFFF };
    let regs = [u64::from(function.0), vcpu.frame.x[1] & mask, vcpu.frame.x[2] & mask, vcpu.frame.x[3] & mask];
    let vm = &vcpu.vm;
    let is_ram = |ipa| vm.ram.translate(ipa).is_some();
    let outcome = vpsci::call(&regs, |question| vm.power.lock().psci.answer(question, is_ram));
    match outcome {
        Outcome::Return(code) => {
            refusal::psci(Client::of(vm.config.id), &regs, code);
            vcpu.frame.x[0] = in_x0(code);
        }
        Outcome::Suspend => {
            vcpu.frame.x[0] = in_x0(SUCCESS);
            return Next::Wait;
        }
        Outcome::Started(other) => {
            vcpu.frame.x[0] = in_x0(SUCCESS);
            if let Some(place) = vm.places.get(other) {
                wake::wake(**place);
            }
        }
        Outcome::Off => return Next::Off,
        Outcome::SystemOff => {
            lifecycle::stop(vm, StopReason::Off);
            return Next::Stop;
        }
        Outcome::SystemReset => {
            lifecycle::stop(vm, StopReason::Reset);
            return Next::Stop;
        }
    }
    Next::Resume
}

#[inline]
fn trusted_os(vcpu: &mut Vcpu) {
    let vm = &vcpu.vm;
    let tee = vm.tee.read();
    let Some(tee) = tee.as_ref() else {
        let value = vcpu.frame.x[0];
        record(Client::of(vm.config.id), || Event::Refused { reason: Refusal::NoTee, value });
        vcpu.frame.x[0] = in_x0(NOT_SUPPORTED);
        return;
    };
    if let Some(regs) = vcpu.frame.x.first_chunk_mut::<8>() {
        Tee::call(tee, regs, &*vm.ram, &mut Smc);
    }
}
