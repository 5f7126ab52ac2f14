// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is told of calls, and of what is refused.

use super::*;
use crate::dispatch::Monitor;
use crate::world::next::{Next, Step};
use crate::world::tee::VectorTable;
use shared_abi::opteed::{TEESMC_OPTEED_RETURN_CALL_DONE, Vector};
use shared_abi::{layout, optee_smc, psci, smccc, trace};

/// What the handlers in `monitor.rs` do around a call, which the host does not have.
fn smc(monitor: &Monitor, cpu: &mut Cpu, from: World, x: [u64; 8]) -> Vec<(u16, Event)> {
    cpu.context(from).gpr[..8].copy_from_slice(&x);
    let came = Came::by_call(cpu, from);
    match monitor.smc(cpu, from) {
        Next::Enter(to) => came.leave(cpu, Some(from), to, || 0x4000),
        next => panic!("{next:?}"),
    }
    tape::take()
}

fn monitor() -> (Monitor, Cpu) {
    let mut cpu = Cpu::ZERO;
    cpu.tee.ready(VectorTable::new(layout::TEE.base).unwrap());
    (Monitor::new(|_| {}), cpu)
}

#[test]
fn a_call_of_the_tee_is_four_records_and_the_third_has_the_answer() {
    let (monitor, mut cpu) = monitor();
    cpu.normal.elr = 0x6000_0000;
    let x = [optee_smc::OPTEE_SMC_CALLS_UID.0.into(), 1, 2, 3, 4, 5, 6, 0xFFFF_0007];
    let pc = layout::TEE.base + Vector::Fast.offset();
    let told = smc(&monitor, &mut cpu, World::Normal, x);
    let call = Event::Call { conduit: Conduit::Smc, from: trace::World::Normal, vcpu: 0, x };
    let errand = Errand::Call.number();
    assert_eq!(told, [(7, call), (7, Event::WorldSwitch { to: trace::World::Secure, errand, pc })]);
    let x = [TEESMC_OPTEED_RETURN_CALL_DONE.0.into(), 11, 22, 33, 44, 0, 0, 0];
    let [x0, x1, x2, x3, x4, ..] = x;
    let told = smc(&monitor, &mut cpu, World::Secure, [x0, x1, x2, x3, x4, 0x5EC, 0x5EC, 0x5EC]);
    let call = Event::Call { conduit: Conduit::Smc, from: trace::World::Secure, vcpu: 0, x };
    let switch = Event::WorldSwitch { to: trace::World::Normal, errand, pc: 0x6000_0000 };
    assert_eq!(told, [(7, call), (7, switch)]);
}

#[test]
fn a_call_of_the_monitor_has_its_answer_and_no_client() {
    let (monitor, mut cpu) = monitor();
    let told = smc(&monitor, &mut cpu, World::Normal, [smccc::SMCCC_VERSION.0.into(), 0, 0, 0, 0, 0, 0, 9]);
    let answer = Event::Answer { to: trace::World::Normal, vcpu: 0, x: [0x1_0004, 0, 0, 0], pc: 0x4000 };
    assert_eq!((told.len(), told[1]), (2, (0, answer)));
}

#[test]
fn a_refusal_stands_between_call_and_answer_with_its_reason() {
    for (from, id, with_tee, reason) in [
        (World::Normal, 0x8800_0000, true, Refusal::UnknownFunction),
        (World::Normal, 0x8012_0000, true, Refusal::UnknownFunction),
        (World::Normal, 0x8400_001F, true, Refusal::UnknownFunction),
        (World::Normal, TEESMC_OPTEED_RETURN_CALL_DONE.0, true, Refusal::NotForCaller),
        (World::Normal, optee_smc::OPTEE_SMC_CALLS_UID.0, false, Refusal::NoTee),
        (World::Normal, 0xF200_0001, true, Refusal::UnknownFunction),
        (World::Normal, 0x8000_7777, true, Refusal::UnknownFunction),
        (World::Secure, psci::PSCI_SYSTEM_OFF.0, true, Refusal::NotForCaller),
        (World::Secure, 0xB200_0001, true, Refusal::UnknownFunction),
        (World::Secure, 0x8800_0000, true, Refusal::UnknownFunction),
    ] {
        let (monitor, mut cpu) = monitor();
        if !with_tee {
            cpu.tee.gone();
        }
        let told = smc(&monitor, &mut cpu, from, [id.into(), 0, 0, 0, 0, 0, 0, 0]);
        let [(_, Event::Call { .. }), refused, (_, Event::Answer { x: [u64::MAX, 0, 0, 0], .. })] = told[..] else {
            panic!("{id:#x}: {told:?}")
        };
        assert_eq!(refused.1, Event::Refused { reason, value: id.into() });
    }
}

#[test]
fn an_answer_is_no_refusal_even_if_it_is_that_something_is_not_there() {
    for (from, x) in [
        (World::Secure, [smccc::SMCCC_VERSION.0, 0]),
        (World::Normal, [smccc::SMCCC_ARCH_FEATURES.0, smccc::SMCCC_ARCH_WORKAROUND_2.0]),
    ] {
        let (monitor, mut cpu) = monitor();
        let told = smc(&monitor, &mut cpu, from, [x[0].into(), x[1].into(), 0, 0, 0, 0, 0, 0]);
        assert!(matches!(told[..], [(_, Event::Call { .. }), (_, Event::Answer { .. })]), "{told:?}");
    }
}

#[test]
fn what_is_no_answer_is_a_switch_or_a_resumption() {
    let (_, mut cpu) = monitor();
    (cpu.normal.elr, cpu.secure.elr) = (0x6000_0000, 0x0E10_0000);
    let (normal, secure) = (trace::World::Normal, trace::World::Secure);
    let switch = |to, errand: Errand, pc| Event::WorldSwitch { to, errand: errand.number(), pc };
    let mut left = |came: fn(&mut Cpu) -> Came, leave: fn(Came, &mut Cpu), errand| {
        cpu.tee.begin(errand);
        let came = came(&mut cpu);
        tape::take();
        leave(came, &mut cpu);
        tape::take().pop().unwrap().1
    };
    let interrupt: fn(&mut Cpu) -> Came = |cpu| Came::by_interrupt(cpu, World::Normal, || 1023, || 8);
    let trap: fn(&mut Cpu) -> Came = |cpu| Came::by_trap(cpu, World::Secure, 0, || 8, || 0);
    let call: fn(&mut Cpu) -> Came = |cpu| Came::by_call(cpu, World::Secure);

    let to_normal: fn(Came, &mut Cpu) = |came, cpu| came.leave(cpu, Some(World::Normal), World::Normal, || 16);
    assert_eq!(left(interrupt, to_normal, Errand::None), Event::Resume { to: normal, pc: 16 });
    let to_tee: fn(Came, &mut Cpu) = |came, cpu| {
        cpu.tee.begin(Errand::Interrupt);
        came.leave(cpu, Some(World::Normal), World::Secure, || 16);
    };
    assert_eq!(left(interrupt, to_tee, Errand::None), switch(secure, Errand::Interrupt, 0x0E10_0000));
    let to_same: fn(Came, &mut Cpu) = |came, cpu| came.leave(cpu, Some(World::Secure), World::Secure, || 16);
    assert_eq!(left(trap, to_same, Errand::Call), Event::Resume { to: secure, pc: 16 });

    // A CPU that wakes up goes on in the TEE; one that comes back from there, or from being off, begins.
    let redirected: fn(Came, &mut Cpu) = |came, cpu| came.begin(cpu, Some(World::Secure), World::Secure);
    assert_eq!(left(call, redirected, Errand::Power(Step::Suspend)), Event::Resume { to: secure, pc: 0x0E10_0000 });
    let begins: fn(Came, &mut Cpu) = |came, cpu| {
        cpu.tee.begin(Errand::None);
        came.begin(cpu, Some(World::Secure), World::Normal);
    };
    assert_eq!(
        left(call, begins, Errand::Power(Step::Resume)),
        switch(normal, Errand::Power(Step::Resume), 0x6000_0000)
    );
    let was_off: fn(Came, &mut Cpu) = |came, cpu| {
        cpu.tee.begin(Errand::Power(Step::On));
        came.begin(cpu, None, World::Secure);
    };
    assert_eq!(left(call, was_off, Errand::Power(Step::Off)), switch(secure, Errand::Power(Step::On), 0x0E10_0000));
}
