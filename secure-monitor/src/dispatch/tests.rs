// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls of both worlds, by who owns their ids.

use super::*;
use crate::handoff::Ram;
use crate::services::psci::Cpus;
use crate::world::predictor::Predictor;
use crate::world::tee::{Errand, VectorTable};
use shared_abi::layout::{DRAM_BASE, Range, TEE};
use shared_abi::opteed::TEESMC_OPTEED_RETURN_CALL_DONE;
use shared_abi::{optee_smc, opteed, psci, smccc};

/// A service of the monitor's, as its table has it.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) owns: fn(FunctionId) -> bool,
    pub(super) handle: fn(&Monitor, &mut Cpu, World, FunctionId) -> Next,
    pub(super) frequent: fn(&Monitor, &mut Cpu, FunctionId) -> Option<World>,
    pub(super) less_frequent: fn(&Monitor, &mut Cpu, FunctionId) -> bool,
}

macro_rules! row {
    ($name:ident: $service:ty) => {
        $crate::dispatch::tests::Row {
            name: stringify!($name),
            owns: <$service>::owns,
            handle: |monitor, cpu, from, id| monitor.$name().handle(cpu, from, id),
            frequent: |monitor, cpu, id| monitor.$name().frequent(cpu, id),
            less_frequent: |monitor, cpu, id| monitor.$name().less_frequent(cpu, id),
        }
    };
}
pub(super) use row;

fn monitor() -> Monitor {
    Monitor::new(|_| {})
}

fn asked(w0: u64, from: World) -> Cpu {
    let mut cpu = Cpu::new(0, 0, Predictor::Unknown);
    for (n, register) in cpu.context(from).gpr.iter_mut().enumerate() {
        *register = 0x1111_0000_0000_0000 + n as u64;
    }
    cpu.context(from).gpr[0] = w0;
    cpu
}

#[test]
fn what_its_owner_does_not_know_or_nobody_owns_is_answered_with_minus_one_and_all_else_is_as_it_was() {
    // Of the architecture, of PSCI, of the TEE's returns; and of an owner that SMCCC reserves.
    for id in [0x8000_7777u64, 0xC000_7777, 0x8400_0016, 0xBE00_0009, 0x8800_0000, 0xC800_0000, 0x0800_0000] {
        for from in [World::Normal, World::Secure] {
            let mut cpu = asked(id, from);
            let before = cpu.context(from).gpr;
            assert_eq!(monitor().smc(&mut cpu, from), Next::Enter(from));
            assert_eq!(cpu.context(from).gpr[0], u64::MAX, "{id:#x}");
            assert_eq!(cpu.context(from).gpr[1..], before[1..], "{id:#x}");
        }
    }
}

/// Calls and their results, where there are no CPUs and no TEE and the arguments mean nothing. Each service has one.
const ANSWERS: &[(u32, &[u64])] = &[
    (0x8000_0000, &[0x1_0004]),
    (0x8000_0001, &[u64::MAX]),
    (0x8000_7777, &[u64::MAX]),
    (0x8400_0000, &[0x1_0001]),
    (0x8400_000A, &[u64::MAX]),
    (0xB200_0001, &[u64::MAX]),
    (0x3200_0004, &[u64::MAX]),
    (0x8400_FF00, &[14]),
    (0x8400_FF01, &[0x108D_905B, 0x47E8_F863, 0xFBC0_2DAE, 0xE2F6_4156]),
    (0x8400_FF03, &[0, 1]),
];

#[test]
fn what_is_no_result_is_as_the_caller_left_it() {
    for (id, results) in ANSWERS {
        let mut cpu = asked((*id).into(), World::Normal);
        let before = cpu.normal.gpr;
        monitor().smc(&mut cpu, World::Normal);
        let (of_call, others) = cpu.normal.gpr.split_at(results.len());
        assert_eq!(of_call, *results, "{id:#x}: is its service in `services!`?");
        assert_eq!(others, &before[results.len()..], "{id:#x}");
    }
}

#[test]
fn there_is_an_answer_of_each_service() {
    for row in TABLE {
        let has_one = ANSWERS.iter().any(|(id, _)| (row.owns)(FunctionId(*id)));
        assert!(has_one, "`ANSWERS` has no call of `{}`", row.name);
    }
}

#[test]
fn forgetting_has_no_result() {
    for from in [World::Normal, World::Secure] {
        let mut cpu = Cpu::new(0, 0, Predictor::Harmless);
        *cpu.context(from) = *asked(smccc::SMCCC_ARCH_WORKAROUND_1.0.into(), from).context(from);
        let before = cpu.context(from).gpr;
        assert_eq!(monitor().smc(&mut cpu, from), Next::Enter(from));
        assert_eq!(cpu.context(from).gpr, before);
    }
}

#[test]
fn a_tee_forgets_the_short_way_and_for_the_rest_is_answered_the_long_one() {
    let mut cpu = Cpu::new(0, 0, Predictor::Harmless);
    cpu.secure.gpr[0] = smccc::SMCCC_ARCH_WORKAROUND_1.0.into();
    assert!(monitor().less_frequent_of_tee(&mut cpu));
    for id in [smccc::SMCCC_VERSION.0, psci::PSCI_VERSION.0, 0x8000_8001, 0] {
        cpu.secure.gpr[0] = id.into();
        assert!(!monitor().less_frequent_of_tee(&mut cpu), "{id:#x}");
        assert_eq!(cpu.secure.gpr[0], id.into());
    }
}

#[test]
fn the_sve_hint_is_not_part_of_a_fast_id_and_other_reserved_bits_are_refused() {
    let mut cpu = asked(u64::from(smccc::SMCCC_VERSION.0) | 1 << 16, World::Normal);
    monitor().smc(&mut cpu, World::Normal);
    assert_eq!(cpu.normal.gpr[0], 0x1_0004);
    for bit in 17..24 {
        let mut cpu = asked(u64::from(smccc::SMCCC_VERSION.0) | 1 << bit, World::Normal);
        monitor().smc(&mut cpu, World::Normal);
        assert_eq!(cpu.normal.gpr[0], u64::MAX);
    }
}

#[test]
fn only_a_fast_id_has_reserved_bits_and_one_with_them_does_not_reach_the_tee() {
    let call = |id: u32| {
        let mut cpu = asked(id.into(), World::Normal);
        cpu.tee.ready(VectorTable::new(TEE.base).unwrap());
        (monitor().smc(&mut cpu, World::Normal), cpu.normal.gpr[0])
    };
    assert_eq!(call(0xB200_0001).0, Next::Enter(World::Secure));
    for bit in 17..24 {
        assert_eq!(call(0xB200_0001 | 1 << bit), (Next::Enter(World::Normal), u64::MAX));
        assert_eq!(call(0x3200_0001 | 1 << bit).0, Next::Enter(World::Secure), "yielding");
    }
}

#[test]
fn what_is_frequent_is_answered_before_anybody_asks_whose_it_is() {
    let known = || Cpu::new(0, 0, Predictor::Harmless);
    for id in [smccc::SMCCC_VERSION, psci::PSCI_VERSION] {
        assert_eq!(monitor().frequent_of_normal_world(&mut known(), id), Some(World::Normal), "{id}");
    }
    let monitor = monitor();
    let cpus = [0].into_iter().collect();
    monitor.power().set_cpus(Cpus::new(cpus, Ram::default(), 0));
    for id in [
        psci::PSCI_AFFINITY_INFO_32,
        psci::PSCI_AFFINITY_INFO_64,
        smccc::SMCCC_ARCH_WORKAROUND_1,
        smccc::SMCCC_ARCH_WORKAROUND_3,
    ] {
        assert!(monitor.less_frequent(&mut known(), id), "{id}");
    }
    // These differ from one of them in a bit or two, and their arguments would do.
    for id in [0xC400_0000, 0xC400_0005, 0xC000_0004, 0xC000_0000, 0x4400_0004, 0x0400_0004, 0x8000_0004, 0] {
        let mut cpu = known();
        assert!(!monitor.less_frequent(&mut cpu, FunctionId(id)), "{id:#x}");
        assert_eq!(cpu.normal.gpr, [0; 31], "{id:#x}");
    }
}

#[test]
fn forgetting_is_refused_where_it_is_not_offered() {
    use Predictor::*;
    for (predictor, offered) in [
        (Unknown, [false, false]),
        (KeepsTargetsApart, [true, false]),
        (Harmless, [true, true]),
        (ForgetsWithMmu, [true, true]),
    ] {
        for (id, offered) in [smccc::SMCCC_ARCH_WORKAROUND_1, smccc::SMCCC_ARCH_WORKAROUND_3].into_iter().zip(offered) {
            let mut cpu = Cpu::new(0, 0, predictor);
            cpu.normal = asked(id.0.into(), World::Normal).normal;
            assert_eq!(monitor().smc(&mut cpu, World::Normal), Next::Enter(World::Normal));
            assert_eq!(cpu.normal.gpr[0], if offered { id.0.into() } else { u64::MAX }, "{predictor:?} {id}");
        }
    }
}

#[test]
fn bits_above_the_id_in_x0_do_not_matter() {
    let mut cpu = asked(0xDEAD_0000_8000_0000, World::Normal);
    monitor().smc(&mut cpu, World::Normal);
    assert_eq!(cpu.normal.gpr[0], 0x1_0004);
}

#[test]
fn the_tee_may_ask_the_architecture_but_not_switch_power() {
    let mut cpu = asked(smccc::SMCCC_VERSION.0.into(), World::Secure);
    assert_eq!(monitor().smc(&mut cpu, World::Secure), Next::Enter(World::Secure));
    assert_eq!(cpu.secure.gpr[0], 0x1_0004);
    let mut cpu = asked(psci::PSCI_SYSTEM_OFF.0.into(), World::Secure);
    assert_eq!(monitor().smc(&mut cpu, World::Secure), Next::Enter(World::Secure));
    assert_eq!(cpu.secure.gpr[0], u64::MAX);
}

/// Whose an id is.
fn owner(id: FunctionId) -> Option<&'static Row> {
    let mut owners = TABLE.iter().filter(|row| (row.owns)(id));
    let owner = owners.next()?;
    if let Some(other) = owners.next() {
        panic!("both {} and {} own {id:?}: `owns` of one of them has to leave it alone", owner.name, other.name);
    }
    Some(owner)
}

#[test]
fn an_id_has_one_owner_or_none() {
    let owned = (0..0x100).flat_map(|top| (0..0x1_0000).map(move |number| FunctionId(top << 24 | number)));
    assert_ne!(owned.filter_map(owner).count(), 0);
}

/// Ids of every family, of its range's ends and beyond, and such as are like one of a family's but for a bit.
fn ids() -> Vec<FunctionId> {
    let known = [smccc::NAMES, psci::NAMES, optee_smc::NAMES, opteed::NAMES].concat();
    let known = known.into_iter().map(|(id, _)| id.0);
    let tops = (0..0x100u32).flat_map(|top| [0, 0x1F, 0x20, 0xFF00, 0xFF01, 0xFF03, 0xFFFF].map(|n| top << 24 | n));
    let ids = known.chain(tops);
    ids.flat_map(|id| [0, 1, 1 << 6, 1 << 24, 1 << 30, 1 << 31].map(|bit| FunctionId(id ^ bit))).collect()
}

/// A monitor and a CPU of it, both of which know all that a call may ask for.
fn busy(from: World, errand: Errand) -> (Monitor, Cpu) {
    let monitor = monitor();
    let ram: Ram = [Range::new(DRAM_BASE, 1 << 30)].into_iter().collect();
    monitor.power().set_cpus(Cpus::new([0, 1].into_iter().collect(), ram, 0));
    let mut cpu = Cpu::new(0, 0, Predictor::Harmless);
    cpu.tee.begin(errand);
    cpu.tee.ready(VectorTable::new(TEE.base).unwrap());
    // CPU 1, and of what has a level or a state the plainest.
    cpu.context(from).gpr[1] = 1;
    (monitor, cpu)
}

#[test]
fn an_id_is_answered_by_who_owns_it_and_by_nobody_else() {
    for id in ids() {
        for (from, errand) in [(World::Normal, Errand::None), (World::Secure, Errand::Call)] {
            let (monitor, mut cpu) = busy(from, errand);
            cpu.context(from).gpr[0] = id.0.into();
            let (alone, mut asked) = busy(from, errand);
            asked.context(from).gpr[0] = id.0.into();
            let owner = owner(id).filter(|_| function(id.0).is_some());
            let next = match owner {
                Some(row) => (row.handle)(&alone, &mut asked, from, id),
                None => {
                    asked.context(from).gpr[0] = u64::MAX;
                    Next::Enter(from)
                }
            };
            let who = owner.map_or("nobody", |row| row.name);
            assert_eq!(monitor.smc(&mut cpu, from), next, "{id:?} from {from:?}, which {who} owns");
            assert!(
                cpu == asked,
                "{id:?} from {from:?} is answered with {:x?}, and with {:x?} by its owner, {who}: some service's \
                 `frequent` or `less_frequent` takes what is not its own, or does not do as its `handle`",
                &cpu.context(from).gpr[..4],
                &asked.context(from).gpr[..4]
            );
        }
    }
}

#[test]
fn what_a_service_calls_frequent_it_owns_and_handles_alike() {
    let mut taken = [0; TABLE.len()];
    for id in ids() {
        let (monitor, mut untouched) = busy(World::Normal, Errand::None);
        untouched.normal.gpr[0] = id.0.into();
        for (row, taken) in TABLE.iter().zip(&mut taken) {
            // The TEE is asked for its own ids alone.
            if row.name == "tee" && !(row.owns)(id) {
                continue;
            }
            let (mut first, mut second) = (untouched, untouched);
            let frequent = (row.frequent)(&monitor, &mut first, id);
            let less_frequent = (row.less_frequent)(&monitor, &mut second, id).then_some(World::Normal);
            for (way, quick) in [(frequent, first), (less_frequent, second)] {
                let Some(to) = way else {
                    assert!(quick == untouched, "{} changes registers for {id:?}, which it does not take", row.name);
                    continue;
                };
                let mut slow = untouched;
                assert!((row.owns)(id), "{} takes {id:?}, which it does not own", row.name);
                assert_eq!((row.handle)(&monitor, &mut slow, World::Normal, id), Next::Enter(to), "{id:?}");
                assert_eq!(quick, slow, "{id:?}");
                *taken += 1;
            }
        }
    }
    for (row, taken) in TABLE.iter().zip(taken) {
        let least = match row.name {
            "arch" | "power" => 3,
            "tee" => 100,
            _ => 0,
        };
        assert!(taken >= least, "{} takes {taken}", row.name);
    }
}

#[test]
fn the_tees_return_from_a_call_is_handled_alike_on_its_short_way() {
    let (monitor, mut quick) = busy(World::Secure, Errand::Call);
    quick.secure.gpr[..5].copy_from_slice(&[TEESMC_OPTEED_RETURN_CALL_DONE.0.into(), 11, 22, 33, 44]);
    let mut slow = quick;
    assert_eq!(monitor.frequent_of_tee(&mut quick), Some(World::Normal));
    assert_eq!(monitor.rare(&mut slow, World::Secure), Next::Enter(World::Normal));
    assert_eq!((quick, quick.normal.gpr[..4].to_vec()), (slow, vec![11, 22, 33, 44]));
}
