//! PSCI as the normal world sees it, without a TEE.

use super::*;
use core::sync::atomic::{AtomicU64, Ordering};
use shared_abi::layout::{DRAM_BASE, Range};
use shared_abi::psci::*;
use std::sync::Arc;
use std::vec::Vec;

const ENTRY: u64 = DRAM_BASE + 0x20_0000;

const SUCCESS: i64 = 0;
const NOT_SUPPORTED: i64 = -1;
const INVALID_PARAMETERS: i64 = -2;
const ALREADY_ON: i64 = -4;
const ON_PENDING: i64 = -5;
const INVALID_ADDRESS: i64 = -9;

fn monitor_waking(wake: fn(u64)) -> Monitor {
    let monitor = Monitor::new(wake);
    let ram: Ram = [Range::new(DRAM_BASE, 1 << 30)].into_iter().collect();
    monitor.psci.set_cpus(Cpus::new([0, 1, 0x102, 3].into_iter().collect(), ram, 0));
    monitor
}

fn monitor() -> Monitor {
    monitor_waking(|_| {})
}

fn call(monitor: &Monitor, cpu: &mut Cpu, id: FunctionId, arguments: &[u64]) -> Next {
    cpu.normal.gpr[0] = id.0.into();
    cpu.normal.gpr[1..=arguments.len()].copy_from_slice(arguments);
    monitor.smc(cpu, World::Normal)
}

/// x0 of a function that returns; all else must be as it was.
fn answer(monitor: &Monitor, id: FunctionId, arguments: &[u64]) -> i64 {
    let mut cpu = Cpu::default();
    assert_eq!(call(monitor, &mut cpu, id, arguments), Next::Enter(World::Normal), "{id}");
    let mut expected = [0; 31];
    expected[1..=arguments.len()].copy_from_slice(arguments);
    assert_eq!(cpu.normal.gpr[1..], expected[1..], "{id}");
    cpu.normal.gpr[0] as i64
}

#[test]
fn version_is_1_1() {
    assert_eq!(answer(&monitor(), PSCI_VERSION, &[]), 0x1_0001);
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
        assert_eq!(answer(&monitor(), PSCI_FEATURES, &[id.0.into()]), expected, "{id}");
        if expected == NOT_SUPPORTED {
            assert_eq!(answer(&monitor(), *id, &[]), NOT_SUPPORTED, "{id}");
        }
    }
    assert_eq!(answer(&monitor(), PSCI_FEATURES, &[0x8000_0000]), SUCCESS, "SMCCC_VERSION");
    for unknown in [0x8400_0016, 0x8000_0001, 0xC400_0000, 0, 0xB200_0001] {
        assert_eq!(answer(&monitor(), PSCI_FEATURES, &[unknown]), NOT_SUPPORTED);
    }
}

#[test]
fn ids_beyond_psci_in_the_standard_range_are_unknown() {
    for id in [0x8400_0016u32, 0x8400_001F, 0xC400_001F, 0x8400_0050, 0x8400_0020, 0x8400_FF02, 0xC400_0002] {
        assert_eq!(answer(&monitor(), FunctionId(id), &[]), NOT_SUPPORTED, "{id:#x}");
    }
}

#[test]
fn the_tee_need_not_migrate() {
    assert_eq!(answer(&monitor(), PSCI_MIGRATE_INFO_TYPE, &[]), 2);
    assert_eq!(answer(&monitor(), PSCI_MIGRATE_INFO_UP_CPU_64, &[]), NOT_SUPPORTED);
}

#[test]
fn a_cpu_is_off_then_pending_then_on() {
    let monitor = monitor();
    let affinity = |id| answer(&monitor, id, &[0x102, 0]);
    assert_eq!(affinity(PSCI_AFFINITY_INFO_64), 1);
    assert_eq!(answer(&monitor, PSCI_CPU_ON_64, &[0x102, ENTRY, 0x77]), SUCCESS);
    assert_eq!(affinity(PSCI_AFFINITY_INFO_32), 2);
    assert_eq!(answer(&monitor, PSCI_CPU_ON_64, &[0x102, ENTRY, 0x77]), ON_PENDING);

    let entry = monitor.psci.cpus().requested(2).unwrap();
    assert_eq!(entry, Entry { address: ENTRY, argument: 0x77 });
    let mut cpu = Cpu { index: 2, resume: (entry.address, entry.argument), ..Cpu::default() };
    assert_eq!(monitor.switched_on(&mut cpu), Next::BeginNormal);
    assert_eq!((cpu.normal.elr, cpu.normal.gpr[0], cpu.normal.spsr), (ENTRY, 0x77, 0x3C9));
    assert_eq!(affinity(PSCI_AFFINITY_INFO_64), 0);
    assert_eq!(answer(&monitor, PSCI_CPU_ON_64, &[0x102, ENTRY, 0x77]), ALREADY_ON);
    assert_eq!(monitor.psci.cpus().requested(2), None);

    assert_eq!(call(&monitor, &mut cpu, PSCI_CPU_OFF, &[]), Next::Park);
    assert_eq!(affinity(PSCI_AFFINITY_INFO_64), 1);
}

#[test]
fn only_a_cpu_of_the_machine_can_be_switched_on() {
    let monitor = monitor();
    for target in [2, 0x100, 0x8000_0001, 0x1_0000_0001, u64::MAX] {
        assert_eq!(answer(&monitor, PSCI_CPU_ON_64, &[target, ENTRY, 0]), INVALID_PARAMETERS, "{target:#x}");
        assert_eq!(answer(&monitor, PSCI_AFFINITY_INFO_64, &[target, 0]), INVALID_PARAMETERS, "{target:#x}");
    }
    assert_eq!(answer(&monitor, PSCI_CPU_ON_64, &[0, ENTRY, 0]), ALREADY_ON);
}

#[test]
fn a_cpu_that_has_not_come_from_the_pen_is_off_and_begins_when_it_comes() {
    let monitor = monitor();
    let affinity = || answer(&monitor, PSCI_AFFINITY_INFO_64, &[3, 0]);
    assert_eq!(affinity(), 1);
    assert_eq!(monitor.psci.cpus().requested(3), None);
    assert_eq!(answer(&monitor, PSCI_CPU_ON_64, &[3, ENTRY, 9]), SUCCESS);
    assert_eq!(affinity(), 2);
    // It comes: that it is there changes nothing of what was asked for.
    let mut cpu = Cpu { index: 3, ..Cpu::default() };
    let entry = monitor.psci.cpus().requested(cpu.index).unwrap();
    assert_eq!(entry, Entry { address: ENTRY, argument: 9 });
    cpu.resume = (entry.address, entry.argument);
    assert_eq!(monitor.switched_on(&mut cpu), Next::BeginNormal);
    assert_eq!(affinity(), 0);
}

#[test]
fn affinity_levels_above_cpus_are_not_described() {
    for level in [1, 2, 3, 4, u64::from(u32::MAX)] {
        assert_eq!(answer(&monitor(), PSCI_AFFINITY_INFO_64, &[0, level]), INVALID_PARAMETERS);
    }
}

#[test]
fn an_entry_point_is_an_instruction_in_non_secure_ram() {
    let end = DRAM_BASE + (1 << 30);
    for entry in
        [0, 0x0E00_0000, 0x0E10_0000, 0x0900_0000, DRAM_BASE - 4, end, end - 2, ENTRY + 1, ENTRY + 2, u64::MAX, !3]
    {
        assert_eq!(answer(&monitor(), PSCI_CPU_ON_64, &[1, entry, 0]), INVALID_ADDRESS, "{entry:#x}");
        assert_eq!(answer(&monitor(), PSCI_CPU_SUSPEND_64, &[1 << 30, entry, 0]), INVALID_ADDRESS, "{entry:#x}");
    }
    assert_eq!(answer(&monitor(), PSCI_CPU_ON_64, &[1, end - 4, 0]), SUCCESS);
}

#[test]
fn the_32_bit_forms_see_32_bits() {
    let monitor = monitor();
    let high = 0xFFFF_FFFF_0000_0000;
    assert_eq!(answer(&monitor, PSCI_CPU_ON_32, &[high | 1, high | ENTRY, high | 5]), SUCCESS);
    assert_eq!(monitor.psci.cpus().requested(1), Some(Entry { address: ENTRY, argument: 5 }));
}

#[test]
fn a_cpu_is_woken_once_for_each_request_that_succeeds() {
    static WOKEN: AtomicU64 = AtomicU64::new(0);
    let monitor = monitor_waking(|mpidr| {
        WOKEN.fetch_add(mpidr, Ordering::Relaxed);
    });
    answer(&monitor, PSCI_CPU_ON_64, &[0x102, ENTRY, 0]);
    answer(&monitor, PSCI_CPU_ON_64, &[0x102, ENTRY, 0]);
    answer(&monitor, PSCI_CPU_ON_64, &[0, ENTRY, 0]);
    assert_eq!(WOKEN.load(Ordering::Relaxed), 0x102);
}

#[test]
fn of_cpus_that_switch_the_same_one_on_exactly_one_wins() {
    for _ in 0..50 {
        let monitor = Arc::new(monitor());
        let callers: Vec<_> = (0..8u64)
            .map(|caller| {
                let monitor = Arc::clone(&monitor);
                std::thread::spawn(move || (caller, answer(&monitor, PSCI_CPU_ON_64, &[1, ENTRY, caller])))
            })
            .collect();
        let answers: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        let winners: Vec<_> = answers.iter().filter(|(_, answer)| *answer == SUCCESS).collect();
        assert_eq!(winners.len(), 1);
        assert!(answers.iter().all(|(_, answer)| [SUCCESS, ON_PENDING].contains(answer)));
        assert_eq!(monitor.psci.cpus().requested(1).unwrap().argument, winners[0].0);
    }
}

#[test]
fn standby_returns_and_states_that_the_machine_does_not_have_are_refused() {
    let monitor = monitor();
    let mut cpu = Cpu::default();
    for state in [0, 1] {
        assert_eq!(call(&monitor, &mut cpu, PSCI_CPU_SUSPEND_64, &[state, ENTRY, 3]), Next::Standby);
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
        assert_eq!(answer(&monitor, PSCI_CPU_SUSPEND_64, &[state, ENTRY, 0]), INVALID_PARAMETERS, "{state:#x}");
    }
}

#[test]
fn after_a_power_down_state_the_cpu_begins_at_its_entry_and_was_on_all_the_time() {
    let monitor = monitor();
    // In the extended format and, for the last two, in the original one.
    for state in [0x4000_0000, 0x4000_0002, 0x4000_0022, 0x1_0002, 0x101_0022] {
        let mut cpu = Cpu::default();
        assert_eq!(call(&monitor, &mut cpu, PSCI_CPU_SUSPEND_64, &[state, ENTRY, 3]), Next::PowerDown, "{state:#x}");
        assert_eq!(answer(&monitor, PSCI_AFFINITY_INFO_64, &[0, 0]), 0);
        // Not as if it was switched on: what woke it is still to be handled.
        assert_eq!(monitor.woken(&mut cpu), Next::ResumeNormal);
        assert_eq!((cpu.normal.elr, cpu.normal.gpr[0]), (ENTRY, 3));
        assert_eq!(cpu.normal.gpr[1..], [0; 30]);
    }
}

#[test]
fn resets_are_architectural_or_refused() {
    let monitor = monitor();
    let mut cpu = Cpu::default();
    assert_eq!(call(&monitor, &mut cpu, PSCI_SYSTEM_RESET, &[]), Next::SystemReset);
    for id in [PSCI_SYSTEM_RESET2_32, PSCI_SYSTEM_RESET2_64] {
        assert_eq!(call(&monitor, &mut cpu, id, &[0, 0x55]), Next::SystemReset);
        for vendor in [0x8000_0000, 0xFFFF_FFFF, 1, 0x7FFF_FFFF] {
            assert_eq!(answer(&monitor, id, &[vendor, 0]), INVALID_PARAMETERS, "{vendor:#x}");
        }
    }
}
