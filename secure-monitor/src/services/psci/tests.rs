// SPDX-License-Identifier: MIT OR Apache-2.0
//! PSCI as the normal world sees it, without a secure payload and with one that says what it is told to.

use super::*;
use crate::handoff::Ram;
use crate::world::predictor::Predictor;
use core::sync::atomic::{AtomicU64, Ordering};
use shared_abi::layout::{DRAM_BASE, Range};
use shared_abi::psci::*;
use std::cell::RefCell;
use std::sync::Arc;
use std::vec::Vec;

const ENTRY: u64 = DRAM_BASE + 0x20_0000;

const SUCCESS: i64 = 0;
const NOT_SUPPORTED: i64 = -1;
const INVALID_PARAMETERS: i64 = -2;
const ALREADY_ON: i64 = -4;
const ON_PENDING: i64 = -5;
const INVALID_ADDRESS: i64 = -9;

/// No secure payload.
struct Nobody;

impl SecurePayload for Nobody {
    fn tell(&self, _: &mut Cpu, _: Step) -> Option<Next> {
        None
    }
}

/// A secure payload that notes what it is told.
#[derive(Default)]
struct Fake {
    told: RefCell<Vec<Step>>,
}

impl Fake {
    /// What the CPU does for it: something that PSCI itself never says.
    const RUNS: Next = Next::Enter(World::Secure);
}

impl SecurePayload for Fake {
    fn tell(&self, _: &mut Cpu, step: Step) -> Option<Next> {
        self.told.borrow_mut().push(step);
        Some(Self::RUNS)
    }
}

fn psci_with<P: SecurePayload>(wake: fn(u64), payload: P) -> Psci<P> {
    let psci = Psci::new(wake, payload);
    let ram: Ram = [Range::new(DRAM_BASE, 1 << 30)].into_iter().collect();
    psci.set_cpus(Cpus::new([0, 1, 0x102, 3].into_iter().collect(), ram, 0));
    psci
}

fn psci() -> Psci<Nobody> {
    psci_with(|_| {}, Nobody)
}

fn cpu_at(index: usize) -> Cpu {
    Cpu::new(index, 0, Predictor::Unknown)
}

/// Calls on the shortest way that takes the call.
fn call<P: SecurePayload>(psci: &Psci<P>, cpu: &mut Cpu, id: FunctionId, arguments: &[u64]) -> Next {
    cpu.normal.gpr[0] = id.0.into();
    cpu.normal.gpr[1..=arguments.len()].copy_from_slice(arguments);
    let quick = psci.frequent(cpu, id).or_else(|| psci.less_frequent(cpu, id).then_some(World::Normal));
    quick.map_or_else(|| psci.handle(cpu, World::Normal, id), Next::Enter)
}

/// x0 of a function that returns; all else must be as it was.
fn answer<P: SecurePayload>(psci: &Psci<P>, id: FunctionId, arguments: &[u64]) -> i64 {
    let mut cpu = Cpu::default();
    assert_eq!(call(psci, &mut cpu, id, arguments), Next::Enter(World::Normal), "{id}");
    let mut expected = [0; 31];
    expected[1..=arguments.len()].copy_from_slice(arguments);
    assert_eq!(cpu.normal.gpr[1..], expected[1..], "{id}");
    cpu.normal.gpr[0] as i64
}

#[test]
fn version_is_1_1() {
    assert_eq!(answer(&psci(), PSCI_VERSION, &[]), 0x1_0001);
}

#[test]
fn features_agree_with_what_is_answered() {
    let there = [
        (PSCI_VERSION, 0),
        (PSCI_FEATURES, 0),
        (PSCI_CPU_ON_32, 0),
        (PSCI_CPU_ON_64, 0),
        (PSCI_CPU_OFF, 0),
        (PSCI_CPU_SUSPEND_32, 2),
        (PSCI_CPU_SUSPEND_64, 2),
        (PSCI_AFFINITY_INFO_32, 0),
        (PSCI_AFFINITY_INFO_64, 0),
        (PSCI_MIGRATE_INFO_TYPE, 0),
        (PSCI_SYSTEM_OFF, 0),
        (PSCI_SYSTEM_RESET, 0),
        (PSCI_SYSTEM_RESET2_32, 0),
        (PSCI_SYSTEM_RESET2_64, 0),
    ];
    for (id, _) in NAMES {
        let expected = there.iter().find(|(there, _)| there == id).map_or(NOT_SUPPORTED, |(_, flags)| *flags);
        assert_eq!(answer(&psci(), PSCI_FEATURES, &[id.0.into()]), expected, "{id}");
        if expected == NOT_SUPPORTED {
            assert_eq!(answer(&psci(), *id, &[]), NOT_SUPPORTED, "{id}");
        }
    }
    assert_eq!(answer(&psci(), PSCI_FEATURES, &[0x8000_0000]), SUCCESS, "SMCCC_VERSION");
    for unknown in [0x8400_0016, 0x8000_0001, 0xC400_0000, 0, 0xB200_0001] {
        assert_eq!(answer(&psci(), PSCI_FEATURES, &[unknown]), NOT_SUPPORTED);
    }
}

#[test]
fn ids_of_its_range_that_psci_does_not_know_are_its_to_refuse_and_no_others() {
    for id in [0x8400_0016u32, 0x8400_001F, 0xC400_001F, 0xC400_0002].map(FunctionId) {
        assert!(Psci::<Nobody>::owns(id), "{id}");
        assert_eq!(answer(&psci(), id, &[]), NOT_SUPPORTED, "{id}");
    }
    for id in [0x8400_0050, 0x8400_0020, 0x8400_FF02, 0x0400_0000, 0x8500_0000].map(FunctionId) {
        assert!(!Psci::<Nobody>::owns(id), "{id}");
    }
}

#[test]
fn power_is_not_the_secure_worlds_to_switch() {
    for (id, _) in NAMES {
        let (psci, mut cpu) = (psci_with(|_| {}, Fake::default()), cpu_at(0));
        cpu.secure.gpr[0] = id.0.into();
        assert_eq!(psci.handle(&mut cpu, World::Secure, *id), Next::Enter(World::Secure), "{id}");
        assert_eq!((cpu.secure.gpr[0], cpu.normal), (u64::MAX, cpu_at(0).normal), "{id}");
        assert!(psci.payload().told.borrow().is_empty(), "{id}");
    }
}

#[test]
fn the_tee_need_not_migrate() {
    assert_eq!(answer(&psci(), PSCI_MIGRATE_INFO_TYPE, &[]), 2);
    assert_eq!(answer(&psci(), PSCI_MIGRATE_INFO_UP_CPU_64, &[]), NOT_SUPPORTED);
}

#[test]
fn a_cpu_is_off_then_pending_then_on() {
    let psci = psci();
    let affinity = |id| answer(&psci, id, &[0x102, 0]);
    assert_eq!(affinity(PSCI_AFFINITY_INFO_64), 1);
    assert_eq!(answer(&psci, PSCI_CPU_ON_64, &[0x102, ENTRY, 0x77]), SUCCESS);
    assert_eq!(affinity(PSCI_AFFINITY_INFO_32), 2);
    assert_eq!(answer(&psci, PSCI_CPU_ON_64, &[0x102, ENTRY, 0x77]), ON_PENDING);

    let entry = psci.cpus().requested(2).unwrap();
    assert_eq!(entry, Entry { address: ENTRY, argument: 0x77 });
    let mut cpu = cpu_at(2);
    cpu.entry = entry;
    assert_eq!(psci.switched_on(&mut cpu), Next::BeginNormal);
    assert_eq!((cpu.normal.elr, cpu.normal.gpr[0]), (ENTRY, 0x77));
    assert_eq!(affinity(PSCI_AFFINITY_INFO_64), 0);
    assert_eq!(answer(&psci, PSCI_CPU_ON_64, &[0x102, ENTRY, 0x77]), ALREADY_ON);
    assert_eq!(psci.cpus().requested(2), None);

    assert_eq!(call(&psci, &mut cpu, PSCI_CPU_OFF, &[]), Next::Park);
    assert_eq!(affinity(PSCI_AFFINITY_INFO_64), 1);
}

#[test]
fn only_a_cpu_of_the_machine_can_be_switched_on() {
    let psci = psci();
    for target in [2, 0x100, 0x8000_0001, 0x1_0000_0001, u64::MAX] {
        assert_eq!(answer(&psci, PSCI_CPU_ON_64, &[target, ENTRY, 0]), INVALID_PARAMETERS, "{target:#x}");
        assert_eq!(answer(&psci, PSCI_AFFINITY_INFO_64, &[target, 0]), INVALID_PARAMETERS, "{target:#x}");
    }
    assert_eq!(answer(&psci, PSCI_CPU_ON_64, &[0, ENTRY, 0]), ALREADY_ON);
}

#[test]
fn a_cpu_that_has_not_come_from_the_pen_is_off_and_begins_when_it_comes() {
    let psci = psci();
    let affinity = || answer(&psci, PSCI_AFFINITY_INFO_64, &[3, 0]);
    assert_eq!(affinity(), 1);
    assert_eq!(psci.cpus().requested(3), None);
    assert_eq!(answer(&psci, PSCI_CPU_ON_64, &[3, ENTRY, 9]), SUCCESS);
    assert_eq!(affinity(), 2);
    // It comes: that it is there changes nothing of what was asked for.
    let mut cpu = cpu_at(3);
    let entry = psci.cpus().requested(cpu.index()).unwrap();
    assert_eq!(entry, Entry { address: ENTRY, argument: 9 });
    cpu.entry = entry;
    assert_eq!(psci.switched_on(&mut cpu), Next::BeginNormal);
    assert_eq!(affinity(), 0);
}

#[test]
fn affinity_levels_above_cpus_are_not_described() {
    for level in [1, 2, 3, 4, u64::from(u32::MAX)] {
        assert_eq!(answer(&psci(), PSCI_AFFINITY_INFO_64, &[0, level]), INVALID_PARAMETERS);
    }
}

#[test]
fn an_entry_point_is_an_instruction_in_non_secure_ram() {
    let end = DRAM_BASE + (1 << 30);
    for entry in
        [0, 0x0E00_0000, 0x0E10_0000, 0x0900_0000, DRAM_BASE - 4, end, end - 2, ENTRY + 1, ENTRY + 2, u64::MAX, !3]
    {
        assert_eq!(answer(&psci(), PSCI_CPU_ON_64, &[1, entry, 0]), INVALID_ADDRESS, "{entry:#x}");
        assert_eq!(answer(&psci(), PSCI_CPU_SUSPEND_64, &[1 << 30, entry, 0]), INVALID_ADDRESS, "{entry:#x}");
    }
    assert_eq!(answer(&psci(), PSCI_CPU_ON_64, &[1, end - 4, 0]), SUCCESS);
}

#[test]
fn the_32_bit_forms_see_32_bits() {
    let psci = psci();
    let high = 0xFFFF_FFFF_0000_0000;
    assert_eq!(answer(&psci, PSCI_CPU_ON_32, &[high | 1, high | ENTRY, high | 5]), SUCCESS);
    assert_eq!(psci.cpus().requested(1), Some(Entry { address: ENTRY, argument: 5 }));
}

#[test]
fn a_cpu_is_woken_once_for_each_request_that_succeeds() {
    static WOKEN: AtomicU64 = AtomicU64::new(0);
    let wake = |mpidr| {
        WOKEN.fetch_add(mpidr, Ordering::Relaxed);
    };
    let psci = psci_with(wake, Nobody);
    answer(&psci, PSCI_CPU_ON_64, &[0x102, ENTRY, 0]);
    answer(&psci, PSCI_CPU_ON_64, &[0x102, ENTRY, 0]);
    answer(&psci, PSCI_CPU_ON_64, &[0, ENTRY, 0]);
    assert_eq!(WOKEN.load(Ordering::Relaxed), 0x102);
}

#[test]
fn of_cpus_that_switch_the_same_one_on_exactly_one_wins() {
    for _ in 0..50 {
        let psci = Arc::new(psci());
        let callers: Vec<_> = (0..8u64)
            .map(|caller| {
                let psci = Arc::clone(&psci);
                std::thread::spawn(move || (caller, answer(&psci, PSCI_CPU_ON_64, &[1, ENTRY, caller])))
            })
            .collect();
        let answers: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        let winners: Vec<_> = answers.iter().filter(|(_, answer)| *answer == SUCCESS).collect();
        assert_eq!(winners.len(), 1);
        assert!(answers.iter().all(|(_, answer)| [SUCCESS, ON_PENDING].contains(answer)));
        assert_eq!(psci.cpus().requested(1).unwrap().argument, winners[0].0);
    }
}

#[test]
fn standby_returns_and_states_that_the_machine_does_not_have_are_refused() {
    let psci = psci();
    let mut cpu = Cpu::default();
    for state in [0, 1] {
        assert_eq!(call(&psci, &mut cpu, PSCI_CPU_SUSPEND_64, &[state, ENTRY, 3]), Next::Standby);
        assert_eq!(cpu.normal.gpr[..4], [0, state, ENTRY, 3]);
    }
    for state in [
        2,
        0x22,
        0x4000_0001,
        0x4000_0003,
        0x4000_0012,
        0x4000_0021,
        0x4001_0002,
        0x1_0000,
        0x1_0001,
        0x1_0022,
        0x100_0001,
        0x101_0002,
        0x8000_0000,
        0x8000_0002,
        0x2000_0000,
    ] {
        assert_eq!(answer(&psci, PSCI_CPU_SUSPEND_64, &[state, ENTRY, 0]), INVALID_PARAMETERS, "{state:#x}");
    }
}

#[test]
fn after_a_power_down_state_the_cpu_begins_at_its_entry_and_was_on_all_the_time() {
    let psci = psci();
    // In the extended format and, for the last two, in the original one.
    for state in [0x4000_0000, 0x4000_0002, 0x4000_0022, 0x1_0002, 0x101_0022] {
        let mut cpu = Cpu::default();
        assert_eq!(call(&psci, &mut cpu, PSCI_CPU_SUSPEND_64, &[state, ENTRY, 3]), Next::PowerDown, "{state:#x}");
        assert_eq!(answer(&psci, PSCI_AFFINITY_INFO_64, &[0, 0]), 0);
        // Not as if it was switched on: what woke it is still to be handled.
        assert_eq!(psci.woken(&mut cpu), Next::ResumeNormal);
        assert_eq!((cpu.normal.elr, cpu.normal.gpr[0]), (ENTRY, 3));
        assert_eq!(cpu.normal.gpr[1..], [0; 30]);
    }
}

#[test]
fn resets_are_architectural_or_refused() {
    let psci = psci();
    let mut cpu = Cpu::default();
    assert_eq!(call(&psci, &mut cpu, PSCI_SYSTEM_RESET, &[]), Next::SystemReset);
    for id in [PSCI_SYSTEM_RESET2_32, PSCI_SYSTEM_RESET2_64] {
        assert_eq!(call(&psci, &mut cpu, id, &[0, 0x55]), Next::SystemReset);
        for vendor in [0x8000_0000, 0xFFFF_FFFF, 1, 0x7FFF_FFFF] {
            assert_eq!(answer(&psci, id, &[vendor, 0]), INVALID_PARAMETERS, "{vendor:#x}");
        }
    }
}

/// What a step comes to once the payload has said this to it, on CPU 2, which is on.
fn outcome(step: Step, verdict: Verdict) -> (Next, Cpu, i64) {
    let psci = psci_with(|_| {}, Fake::default());
    let entry = Entry { address: ENTRY, argument: 7 };
    psci.cpus().request_on(0x102, entry).unwrap();
    if step != Step::On {
        psci.cpus().set_on(2);
    }
    let mut cpu = cpu_at(2);
    cpu.entry = entry;
    cpu.normal.gpr[0] = 0x4E;
    let next = psci.go_on(&mut cpu, step, verdict);
    let affinity = answer(&psci, PSCI_AFFINITY_INFO_64, &[0x102, 0]);
    (next, cpu, affinity)
}

#[test]
fn every_step_is_told_to_the_payload_before_anything_comes_of_it() {
    let down = 1 << 30;
    for (id, arguments, step) in [
        (PSCI_CPU_OFF, &[][..], Step::Off),
        (PSCI_CPU_SUSPEND_64, &[down, ENTRY, 7], Step::Suspend),
        (PSCI_SYSTEM_OFF, &[], Step::SystemOff),
        (PSCI_SYSTEM_RESET, &[], Step::SystemReset),
        (PSCI_SYSTEM_RESET2_64, &[0, 0], Step::SystemReset),
    ] {
        let (psci, mut cpu) = (psci_with(|_| {}, Fake::default()), cpu_at(0));
        assert_eq!(call(&psci, &mut cpu, id, arguments), Fake::RUNS, "{id}");
        assert_eq!(*psci.payload().told.borrow(), [step], "{id}");
        assert_eq!(answer(&psci, PSCI_AFFINITY_INFO_64, &[0, 0]), 0, "still on");
    }
    let psci = psci_with(|_| {}, Fake::default());
    answer(&psci, PSCI_CPU_ON_64, &[1, ENTRY, 7]);
    assert!(psci.payload().told.borrow().is_empty(), "of CPU_ON the payload hears on the CPU that is switched on");
    assert_eq!(psci.switched_on(&mut cpu_at(1)), Fake::RUNS);
    assert_eq!(answer(&psci, PSCI_AFFINITY_INFO_64, &[1, 0]), 2, "not before the payload has begun");
    assert_eq!(psci.woken(&mut cpu_at(1)), Fake::RUNS);
    assert_eq!(*psci.payload().told.borrow(), [Step::On, Step::Resume]);
}

#[test]
fn of_what_returns_or_is_refused_the_payload_hears_nothing() {
    let psci = psci_with(|_| {}, Fake::default());
    for (id, arguments) in [
        (PSCI_CPU_SUSPEND_64, &[0x4000_0001, ENTRY, 0][..]),
        (PSCI_CPU_SUSPEND_64, &[1 << 30, 0x0E10_0000, 0]),
        (PSCI_SYSTEM_RESET2_64, &[0x8000_0000, 0]),
        (PSCI_CPU_ON_64, &[0, ENTRY, 0]),
        (PSCI_MIGRATE_INFO_TYPE, &[]),
    ] {
        answer(&psci, id, arguments);
    }
    assert_eq!(call(&psci, &mut cpu_at(0), PSCI_CPU_SUSPEND_64, &[0, ENTRY, 0]), Next::Standby);
    assert!(psci.payload().told.borrow().is_empty());
}

#[test]
fn a_payload_can_keep_a_cpu_as_it_is_and_nothing_else() {
    const DENIED: u64 = -3_i64 as u64;
    for step in [Step::Off, Step::Suspend] {
        let (next, cpu, affinity) = outcome(step, Verdict::Failed);
        assert_eq!((next, cpu.normal.gpr[0], affinity), (Next::Enter(World::Normal), DENIED, 0), "{step:?}");
    }
    let (next, _, affinity) = outcome(Step::On, Verdict::Failed);
    assert_eq!((next, affinity), (Next::Park, 1));
    for step in [Step::Resume, Step::SystemOff, Step::SystemReset] {
        assert_eq!(outcome(step, Verdict::Failed), outcome(step, Verdict::Done), "{step:?}");
    }
}

#[test]
fn what_the_payload_has_had_its_part_in_goes_on() {
    for (step, expected, x0, affinity) in [
        (Step::On, Next::BeginNormal, 7, 0),
        (Step::Off, Next::Park, 0x4E, 1),
        (Step::Suspend, Next::PowerDown, 0x4E, 0),
        (Step::Resume, Next::ResumeNormal, 7, 0),
        (Step::SystemOff, Next::SystemOff, 0x4E, 0),
        (Step::SystemReset, Next::SystemReset, 0x4E, 0),
    ] {
        let (next, cpu, state) = outcome(step, Verdict::Done);
        assert_eq!((next, cpu.normal.gpr[0], state), (expected, x0, affinity), "{step:?}");
        assert_eq!(cpu.normal.elr, if x0 == 7 { ENTRY } else { 0 }, "{step:?}");
    }
}

#[test]
fn the_trace_says_why_a_call_was_refused() {
    let reasons = [ErrorCode::NotSupported, ErrorCode::InvalidParameters, ErrorCode::InvalidAddress].map(reason);
    assert_eq!(reasons, [Refusal::UnknownFunction, Refusal::BadParameter, Refusal::BadAddress]);
    assert_eq!([ErrorCode::AlreadyOn, ErrorCode::OnPending].map(reason), [Refusal::BadState; 2]);
}
