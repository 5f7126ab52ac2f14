// SPDX-License-Identifier: MIT OR Apache-2.0
//! The monitor's conversation with a TEE, step by step.

use super::*;
use crate::dispatch::Monitor;
use crate::handoff::Ram;
use crate::services::psci::Cpus;
use crate::world::context::Context;
use crate::world::cpu::Entry;
use crate::world::predictor::Predictor;
use shared_abi::layout::{DRAM_BASE, Range};
use shared_abi::opteed::*;
use shared_abi::psci::{
    PSCI_AFFINITY_INFO_64, PSCI_CPU_OFF, PSCI_CPU_ON_64, PSCI_CPU_SUSPEND_64, PSCI_SYSTEM_OFF, PSCI_SYSTEM_RESET,
    PSCI_SYSTEM_RESET2_64,
};

const TABLE: u64 = layout::TEE.base + 0x1000;
const ENTRY: u64 = DRAM_BASE + 0x20_0000;

fn monitor() -> Monitor {
    let monitor = Monitor::new(|_| {});
    let ram: Ram = [Range::new(DRAM_BASE, 1 << 30)].into_iter().collect();
    monitor.power().set_cpus(Cpus::new([0, 1].into_iter().collect(), ram, 0));
    monitor
}

/// A monitor and its boot CPU, with a TEE that has answered.
fn ready() -> (Monitor, Cpu) {
    let (monitor, mut cpu) = (monitor(), Cpu::default());
    Opteed::prepare(&mut cpu, layout::TEE.base, DRAM_BASE);
    assert_eq!(tee_says(&monitor, &mut cpu, TEESMC_OPTEED_RETURN_ENTRY_DONE, &[TABLE]), Next::Boot);
    assert!(monitor.tee().is_ready());
    (monitor, cpu)
}

/// Says it, and lets PSCI go on with what came of it, as the runtime does.
fn says(monitor: &Monitor, cpu: &mut Cpu, from: World, id: FunctionId, arguments: &[u64]) -> Next {
    let context = cpu.context(from);
    context.gpr[0] = id.0.into();
    context.gpr[1..=arguments.len()].copy_from_slice(arguments);
    match monitor.smc(cpu, from) {
        Next::Power(step, verdict) => monitor.power().go_on(cpu, step, verdict),
        next => next,
    }
}

fn tee_says(monitor: &Monitor, cpu: &mut Cpu, id: FunctionId, arguments: &[u64]) -> Next {
    says(monitor, cpu, World::Secure, id, arguments)
}

fn normal_says(monitor: &Monitor, cpu: &mut Cpu, id: FunctionId, arguments: &[u64]) -> Next {
    says(monitor, cpu, World::Normal, id, arguments)
}

const FAST: FunctionId = FunctionId(0xB200_0001);
const YIELDING: FunctionId = FunctionId(0x3200_0004);

#[test]
fn the_first_entry_has_no_pageable_part_the_size_of_the_memory_and_the_device_tree() {
    let mut cpu = Cpu::default();
    Opteed::prepare(&mut cpu, layout::TEE.base, DRAM_BASE);
    assert_eq!(cpu.secure.gpr[..4], [0, layout::TEE.size, DRAM_BASE, 0]);
    assert_eq!(cpu.secure.elr, layout::TEE.base);
    assert_eq!(cpu.secure.el1.sctlr, 0x30D0_0800);
}

#[test]
fn an_smc64_id_of_the_trusted_os_is_nobodys_and_the_answer_is_minus_one_in_all_of_x0() {
    let (monitor, mut cpu) = ready();
    for id in [FAST, YIELDING].map(|id| FunctionId(id.0 | 1 << 30)) {
        assert_eq!(normal_says(&monitor, &mut cpu, id, &[1, 2, 3]), Next::Enter(World::Normal));
        assert_eq!(cpu.normal.gpr[..4], [u64::MAX, 1, 2, 3]);
    }
    // The TEE can still be called.
    assert_eq!(normal_says(&monitor, &mut cpu, FAST, &[]), Next::Enter(World::Secure));
}

#[test]
fn before_the_tee_is_ready_its_calls_answer_minus_one() {
    let (monitor, mut cpu) = (monitor(), Cpu::default());
    for id in [FAST, YIELDING] {
        assert_eq!(normal_says(&monitor, &mut cpu, id, &[1, 2, 3]), Next::Enter(World::Normal));
        assert_eq!(cpu.normal.gpr[..4], [u64::MAX, 1, 2, 3]);
    }
}

#[test]
fn a_vector_table_outside_of_the_tees_memory_is_no_tee() {
    let outside = [0, 0x0E00_0000, DRAM_BASE, layout::TEE.base - 4, layout::TEE.end() - 32, TABLE + 2, u64::MAX - 3];
    for table in outside {
        let (monitor, mut cpu) = (monitor(), Cpu::default());
        Opteed::prepare(&mut cpu, layout::TEE.base, DRAM_BASE);
        assert_eq!(tee_says(&monitor, &mut cpu, TEESMC_OPTEED_RETURN_ENTRY_DONE, &[table]), Next::Boot, "{table:#x}");
        assert!(!monitor.tee().is_ready());
        normal_says(&monitor, &mut cpu, FAST, &[]);
        assert_eq!(cpu.normal.gpr[0], u64::MAX);
    }
}

#[test]
fn a_call_enters_the_tee_at_its_kind_with_x0_to_x7() {
    for (id, vector) in [(FAST, Vector::Fast), (YIELDING, Vector::Yield)] {
        let (monitor, mut cpu) = ready();
        assert_eq!(normal_says(&monitor, &mut cpu, id, &[1, 2, 3, 4, 5, 6, 7]), Next::Enter(World::Secure));
        assert_eq!(cpu.secure.gpr[..8], [u64::from(id.0), 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(cpu.secure.elr, TABLE + vector.offset());
    }
}

#[test]
fn the_tee_sees_32_bits_of_a_32_bit_calls_arguments_and_the_caller_keeps_its_64() {
    let (monitor, mut cpu) = ready();
    let wide = [0xAAAA_AAAA_0000_0001; 7];
    normal_says(&monitor, &mut cpu, FAST, &wide);
    assert_eq!(cpu.secure.gpr[1..8], [1; 7]);
    assert_eq!(cpu.normal.gpr[1..8], wide);
}

#[test]
fn a_call_returns_four_results_and_no_other_register() {
    let (monitor, mut cpu) = ready();
    for (n, register) in cpu.normal.gpr.iter_mut().enumerate() {
        *register = 0x4E00 + n as u64;
    }
    let but_for_gpr = |context: Context| {
        let mut context = context;
        context.gpr = [0; 31];
        context
    };
    let before = cpu.normal;
    normal_says(&monitor, &mut cpu, FunctionId(before.gpr[0] as u32 | 0xB200_0000), &[]);
    cpu.secure.gpr = [0x5EC_0000; 31];
    let next = tee_says(&monitor, &mut cpu, TEESMC_OPTEED_RETURN_CALL_DONE, &[10, 11, 12, 13, 14, 15, 16, 17]);
    assert_eq!(next, Next::Enter(World::Normal));
    assert_eq!(cpu.normal.gpr[..4], [10, 11, 12, 13]);
    assert_eq!(cpu.normal.gpr[4..], before.gpr[4..]);
    assert_eq!(but_for_gpr(cpu.normal), but_for_gpr(before));
}

#[test]
fn what_the_tee_says_to_the_monitor_is_refused_from_the_normal_world() {
    for (id, _) in NAMES {
        let (monitor, mut cpu) = ready();
        let before = cpu.secure;
        assert_eq!(normal_says(&monitor, &mut cpu, *id, &[TABLE, 0, 0, 0]), Next::Enter(World::Normal));
        assert_eq!(cpu.normal.gpr[..4], [u64::MAX, TABLE, 0, 0], "{id}");
        assert_eq!(cpu.secure, before, "{id}");
        assert_eq!(cpu.tee.errand(), Errand::None);
    }
}

#[test]
fn owners_50_to_63_are_the_tees_and_no_others() {
    for owner in 0..64u32 {
        for kind in [0xC000_0000u32, 0x8000_0000, 0x4000_0000, 0] {
            let id = FunctionId(kind | owner << 24 | 0x5555);
            assert_eq!(Opteed::owns(id), owner >= 50, "{id}");
        }
    }
}

#[test]
fn a_return_out_of_turn_is_the_tees_last_on_that_cpu() {
    for (id, _) in NAMES.iter().filter(|(id, _)| *id != TEESMC_OPTEED_RETURN_CALL_DONE) {
        let (monitor, mut cpu) = ready();
        normal_says(&monitor, &mut cpu, FAST, &[]);
        assert_eq!(tee_says(&monitor, &mut cpu, *id, &[0xBAD, 0xBAD]), Next::Enter(World::Normal), "{id}");
        assert_eq!(cpu.normal.gpr[..4], [u64::MAX, 0, 0, 0]);
        assert_eq!(normal_says(&monitor, &mut cpu, FAST, &[]), Next::Enter(World::Normal));
        assert_eq!(cpu.normal.gpr[0], u64::MAX);
    }
}

#[test]
fn an_unknown_call_of_the_tee_is_answered_and_the_errand_goes_on() {
    let (monitor, mut cpu) = ready();
    normal_says(&monitor, &mut cpu, FAST, &[]);
    assert_eq!(tee_says(&monitor, &mut cpu, FunctionId(0xBE00_0009), &[]), Next::Enter(World::Secure));
    assert_eq!(cpu.secure.gpr[..4], [u64::MAX, 0, 0, 0]);
    assert_eq!(tee_says(&monitor, &mut cpu, TEESMC_OPTEED_RETURN_CALL_DONE, &[0]), Next::Enter(World::Normal));
}

#[test]
fn a_secure_interrupt_changes_no_register_of_the_normal_world() {
    let (monitor, mut cpu) = ready();
    cpu.normal.gpr = [0x4E; 31];
    let before = cpu.normal;
    assert_eq!(Opteed::interrupt(&mut cpu), Some(Next::Enter(World::Secure)));
    assert_eq!(cpu.secure.elr, TABLE + Vector::Fiq.offset());
    cpu.secure.gpr = [0x5EC; 31];
    assert_eq!(tee_says(&monitor, &mut cpu, TEESMC_OPTEED_RETURN_FIQ_DONE, &[7, 7, 7, 7]), Next::Enter(World::Normal));
    assert_eq!(cpu.normal, before);
}

#[test]
fn without_a_tee_a_secure_interrupt_is_the_monitors() {
    let mut cpu = Cpu::default();
    assert_eq!(Opteed::interrupt(&mut cpu), None);
}

#[test]
fn the_machine_goes_off_after_the_tee_was_told_and_at_once_without_one() {
    let (monitor, mut cpu) = ready();
    assert_eq!(normal_says(&monitor, &mut cpu, PSCI_SYSTEM_OFF, &[]), Next::Enter(World::Secure));
    assert_eq!(cpu.secure.elr, TABLE + Vector::SystemOff.offset());
    assert_eq!(tee_says(&monitor, &mut cpu, TEESMC_OPTEED_RETURN_SYSTEM_OFF_DONE, &[]), Next::SystemOff);
    for id in [PSCI_SYSTEM_RESET, PSCI_SYSTEM_RESET2_64] {
        let (monitor, mut cpu) = ready();
        assert_eq!(normal_says(&monitor, &mut cpu, id, &[0, 0]), Next::Enter(World::Secure));
        assert_eq!(cpu.secure.elr, TABLE + Vector::SystemReset.offset());
        assert_eq!(tee_says(&monitor, &mut cpu, TEESMC_OPTEED_RETURN_SYSTEM_RESET_DONE, &[]), Next::SystemReset);
    }
    let mut cpu = Cpu::default();
    assert_eq!(normal_says(&super::tests::monitor(), &mut cpu, PSCI_SYSTEM_OFF, &[]), Next::SystemOff);
}

#[test]
fn a_cpu_goes_off_and_comes_on_through_the_tee() {
    let (monitor, mut cpu) = ready();
    assert_eq!(normal_says(&monitor, &mut cpu, PSCI_CPU_OFF, &[]), Next::Enter(World::Secure));
    assert_eq!(cpu.secure.elr, TABLE + Vector::CpuOff.offset());
    assert_eq!(tee_says(&monitor, &mut cpu, TEESMC_OPTEED_RETURN_OFF_DONE, &[0]), Next::Park);

    cpu.entry = Entry { address: ENTRY, argument: 0x77 };
    cpu.secure.gpr = [0x5EC; 31];
    cpu.secure.el1.ttbr0 = 0x5EC;
    assert_eq!(monitor.power().switched_on(&mut cpu), Next::BeginSecure);
    assert_eq!(cpu.secure.elr, TABLE + Vector::CpuOn.offset());
    assert_eq!(cpu.secure.gpr, [0; 31]);
    assert_eq!((cpu.secure.el1.sctlr, cpu.secure.el1.ttbr0), (0x30D0_0800, 0), "the MMU is off");
    assert_eq!(tee_says(&monitor, &mut cpu, TEESMC_OPTEED_RETURN_ON_DONE, &[0]), Next::BeginNormal);
    assert_eq!((cpu.normal.elr, cpu.normal.gpr[0]), (ENTRY, 0x77));
    assert_eq!(cpu.normal.gpr[1..], [0; 30]);
    assert_eq!(normal_says(&monitor, &mut cpu, FAST, &[]), Next::Enter(World::Secure));
}

#[test]
fn a_tee_that_does_not_let_a_cpu_go_keeps_it_on() {
    let (monitor, mut cpu) = ready();
    normal_says(&monitor, &mut cpu, PSCI_CPU_OFF, &[]);
    assert_eq!(tee_says(&monitor, &mut cpu, TEESMC_OPTEED_RETURN_OFF_DONE, &[1]), Next::Enter(World::Normal));
    assert_eq!(cpu.normal.gpr[0] as i64, -3);
    assert_eq!(normal_says(&monitor, &mut cpu, FAST, &[]), Next::Enter(World::Secure), "and the TEE with it");
}

/// A CPU that CPU 0 has switched on, and on which the TEE is about to begin.
fn second(monitor: &Monitor, cpu: &mut Cpu) -> Cpu {
    assert_eq!(normal_says(monitor, cpu, PSCI_CPU_ON_64, &[1, ENTRY, 1]), Next::Enter(World::Normal));
    assert_eq!(cpu.normal.gpr[0], 0);
    let mut second = Cpu::new(1, 0, Predictor::Unknown);
    second.entry = monitor.power().cpus().requested(1).unwrap();
    assert_eq!(monitor.power().switched_on(&mut second), Next::BeginSecure);
    second
}

/// What CPU 0 is told of the second one: its state, and what another CPU_ON answers.
fn about_second(monitor: &Monitor, cpu: &mut Cpu) -> (u64, i64) {
    normal_says(monitor, cpu, PSCI_AFFINITY_INFO_64, &[1, 0]);
    let state = cpu.normal.gpr[0];
    normal_says(monitor, cpu, PSCI_CPU_ON_64, &[1, ENTRY, 1]);
    (state, cpu.normal.gpr[0] as i64)
}

const OFF: u64 = 1;
const PENDING: u64 = 2;
const ON_PENDING: i64 = -5;
const INTERNAL_FAILURE: i64 = -6;

#[test]
fn a_cpu_on_which_the_tee_does_not_begin_is_off_for_good() {
    // It refuses, says something else, or never comes back.
    for id in [Some(TEESMC_OPTEED_RETURN_ON_DONE), Some(TEESMC_OPTEED_RETURN_OFF_DONE), None] {
        let (monitor, mut cpu) = ready();
        let mut second = second(&monitor, &mut cpu);
        assert_eq!(about_second(&monitor, &mut cpu), (PENDING, ON_PENDING), "{id:?}");
        let next = match id {
            Some(id) => tee_says(&monitor, &mut second, id, &[5]),
            None => match monitor.tee().overdue(&mut second, TABLE + 0x200) {
                Next::Power(step, verdict) => monitor.power().go_on(&mut second, step, verdict),
                next => next,
            },
        };
        assert_eq!(next, Next::Park, "{id:?}");
        assert_eq!(about_second(&monitor, &mut cpu), (OFF, INTERNAL_FAILURE), "{id:?}");
        assert_eq!(monitor.power().cpus().requested(1), None, "it is not asked to begin again");
        assert_eq!((second.tee.errand(), into_tee(&mut second, FAST)), (Errand::None, false), "{id:?}");
        assert!(into_tee(&mut cpu, FAST), "the TEE of other CPUs is there");
    }
}

#[test]
fn a_tee_that_never_answers_its_first_entry_is_no_tee() {
    let (monitor, mut cpu) = (monitor(), Cpu::default());
    Opteed::prepare(&mut cpu, layout::TEE.base, DRAM_BASE);
    assert_eq!(monitor.tee().overdue(&mut cpu, layout::TEE.base + 8), Next::Boot);
    assert!(!monitor.tee().is_ready());
    assert_eq!(normal_says(&monitor, &mut cpu, FAST, &[]), Next::Enter(World::Normal));
    assert_eq!(cpu.normal.gpr[0], u64::MAX);
    // It is told of nothing: CPUs come on without it.
    let mut second = Cpu::new(1, 0, Predictor::Unknown);
    assert_eq!(monitor.power().switched_on(&mut second), Next::BeginNormal);
}

#[test]
fn the_tee_has_its_time_and_a_cpu_that_is_waited_for_less() {
    // Linux gives a CPU five seconds to come.
    assert!(Errand::Power(Step::On).patience() < 5);
    assert!(Errand::Entry.patience() > Errand::Power(Step::On).patience());
}

#[test]
fn a_suspension_with_loss_of_context_goes_through_the_tee_both_ways() {
    let (monitor, mut cpu) = ready();
    let down = 1 << 30;
    assert_eq!(normal_says(&monitor, &mut cpu, PSCI_CPU_SUSPEND_64, &[down, ENTRY, 9]), Next::Enter(World::Secure));
    assert_eq!(cpu.secure.elr, TABLE + Vector::CpuSuspend.offset());
    assert_eq!(tee_says(&monitor, &mut cpu, TEESMC_OPTEED_RETURN_SUSPEND_DONE, &[0]), Next::PowerDown);
    assert_eq!(monitor.power().woken(&mut cpu), Next::Redirect);
    assert_eq!(cpu.secure.elr, TABLE + Vector::CpuResume.offset());
    assert_eq!(tee_says(&monitor, &mut cpu, TEESMC_OPTEED_RETURN_RESUME_DONE, &[0]), Next::ResumeNormal);
    assert_eq!((cpu.normal.elr, cpu.normal.gpr[0]), (ENTRY, 9));
}

#[test]
fn the_tee_is_told_of_each_step_at_its_entry_and_says_something_to_it() {
    for (step, vector, next, done) in [
        (Step::On, Vector::CpuOn, Next::BeginSecure, TEESMC_OPTEED_RETURN_ON_DONE),
        (Step::Off, Vector::CpuOff, Next::Enter(World::Secure), TEESMC_OPTEED_RETURN_OFF_DONE),
        (Step::Suspend, Vector::CpuSuspend, Next::Enter(World::Secure), TEESMC_OPTEED_RETURN_SUSPEND_DONE),
        (Step::Resume, Vector::CpuResume, Next::Redirect, TEESMC_OPTEED_RETURN_RESUME_DONE),
        (Step::SystemOff, Vector::SystemOff, Next::Enter(World::Secure), TEESMC_OPTEED_RETURN_SYSTEM_OFF_DONE),
        (Step::SystemReset, Vector::SystemReset, Next::Enter(World::Secure), TEESMC_OPTEED_RETURN_SYSTEM_RESET_DONE),
    ] {
        for (x1, verdict) in [(0, Verdict::Done), (1, Verdict::Failed)] {
            let (monitor, mut cpu) = ready();
            cpu.secure.gpr = [0x5EC; 31];
            assert_eq!(monitor.tee().tell(&mut cpu, step), Some(next));
            assert_eq!((cpu.secure.elr, cpu.tee.errand()), (TABLE + vector.offset(), Errand::Power(step)));
            assert_eq!(cpu.secure.gpr[..8], [0; 8], "{step:?}");
            cpu.secure.gpr[..2].copy_from_slice(&[done.0.into(), x1]);
            // The machine's end is not the TEE's to refuse: the ABI has no result there.
            let verdict = if matches!(step, Step::SystemOff | Step::SystemReset) { Verdict::Done } else { verdict };
            assert_eq!(monitor.smc(&mut cpu, World::Secure), Next::Power(step, verdict));
            assert_eq!(cpu.tee.errand(), Errand::None);
            // Where it can be called afterwards.
            let there = match (step, verdict) {
                (Step::On | Step::Resume, verdict) => verdict == Verdict::Done,
                (Step::Off, verdict) => verdict == Verdict::Failed,
                _ => true,
            };
            assert_eq!(into_tee(&mut cpu, FAST), there, "{step:?} {verdict:?}");
        }
    }
}

#[test]
fn a_tee_that_is_not_there_is_told_of_nothing() {
    let (monitor, mut cpu) = (monitor(), Cpu::default());
    for step in [Step::On, Step::Off, Step::Suspend, Step::Resume, Step::SystemOff, Step::SystemReset] {
        assert_eq!(monitor.tee().tell(&mut cpu, step), None);
        assert_eq!(cpu, Cpu::default(), "{step:?}");
    }
}

#[test]
fn returns_are_called_what_the_abi_calls_them() {
    assert_eq!(name(TEESMC_OPTEED_RETURN_CALL_DONE), "TEESMC_OPTEED_RETURN_CALL_DONE");
    assert_eq!(name(TEESMC_OPTEED_RETURN_ENTRY_DONE), "TEESMC_OPTEED_RETURN_ENTRY_DONE");
    assert_eq!(name(FAST), "an unknown return");
}
