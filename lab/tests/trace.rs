// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the layers tell is what QEMU saw, it is whole, and it costs what it says.

use lab::command::run::keep;
use lab_run::console::Line;
use lab_run::plan::Plan;
use lab_run::prepare::ready;
use lab_run::progress::Progress;
use lab_run::run::{Outcome, run};
use lab_run::workspace::Workspace;
use lab_trace::text::kind;
use lab_trace::{Entry, Trace, Tracing, file};
use shared_abi::optee_smc::{OPTEE_SMC_CALLS_UID, OPTEE_SMC_EXCHANGE_CAPABILITIES};
use shared_abi::trace::{Event, Layer, Way, World};
use std::collections::BTreeMap;
use tee_core::nexus::vms::MAX_VMS;

/// Instructions by which a record may take longer than its calibration says. A calibration has its one word at hand. Of
/// a call, eight registers are loaded, and it is seen to whom it belongs; a handler that tells of something saves
/// registers that it would not need otherwise. Counted in the disassembly that is four to fourteen a record, eight on
/// average.
const TOLERANCE: i64 = 10;

/// Runs a scenario whose layers trace, if asked to.
fn boot(name: &str, tracing: Option<Tracing>) -> Outcome {
    let workspace = Workspace::locate().unwrap();
    let plan =
        Plan::read(&workspace.scenarios().join(name).with_extension("toml"), None, &Default::default(), None).unwrap();
    let mut plan = Plan { tracing, ..plan };
    // A folder of its own: the scenario is also a test.
    plan.scenario.name = format!("trace/{name}");
    let prepared = ready(&workspace, &plan, &Progress::silent()).unwrap();
    let mut outcome = run(&prepared, &mut |_| {}).unwrap();
    keep(&mut outcome, &prepared).unwrap();
    assert!(outcome.passed(), "\n{}", outcome.report());
    outcome
}

/// Boots a scenario whose trace must be what QEMU saw.
fn verified(name: &str) -> (Trace, Outcome) {
    let mut outcome = boot(name, Some(Tracing { exceptions: true, ..Tracing::default() }));
    let trace = outcome.trace.take().unwrap();
    assert_eq!((trace.lost, trace.damaged, trace.instructions), (0, 0, true));
    assert!(outcome.verdicts.iter().any(|verdict| verdict.claim == "the trace is what QEMU saw"));
    (trace, outcome)
}

fn count(trace: &Trace, layer: Layer, is: impl Fn(&Event) -> bool) -> usize {
    trace.entries.iter().filter(|entry| entry.layer == layer && is(&entry.record.event)).count()
}

#[test]
fn the_second_vm_is_told_as_qemu_saw_it_and_kept() {
    let (trace, outcome) = verified("second-vm");
    // The TEE says the same on its console, of the first eight VMs in each place.
    let by_place = |ids: &mut dyn Iterator<Item = u16>| {
        let mut places = BTreeMap::new();
        ids.for_each(|id| *places.entry(usize::from(id) % MAX_VMS).or_insert(0) += 1);
        places
    };
    let told = |is: fn(&Event) -> bool| {
        let of_tee = trace.entries.iter().filter(|entry| entry.layer == Layer::Tee && is(&entry.record.event));
        by_place(&mut of_tee.map(|entry| entry.record.client))
    };
    let said = |what: &str| {
        let of_tee = outcome.lines.iter().filter(|line| line.speaker == "TEE");
        let vms = of_tee.filter_map(|line| line.text.strip_prefix("vm")?.split_once(' '));
        by_place(&mut vms.filter(|(_, rest)| rest.starts_with(what)).filter_map(|(id, _)| id.parse().ok()))
    };
    let created = told(|event| matches!(event, Event::VmCreated { .. }));
    let reclaimed = told(|event| matches!(event, Event::VmReclaimed { .. }));
    assert!(created.values().sum::<u32>() >= 3, "{created:?}");
    for (mut told, said) in [(created, said("created")), (reclaimed, said("destroyed"))] {
        told.values_mut().for_each(|times| *times = (*times).min(8));
        assert_eq!(told, said);
    }
    assert!(count(&trace, Layer::Tee, |event| matches!(event, Event::Refused { .. })) >= 10);
    assert_eq!(count(&trace, Layer::Hypervisor, |_| true), 0);
    assert_eq!(Trace::read(&outcome.folder.join(file::NAME)).unwrap(), trace);
    // By hand there is no lab that would read its memory.
    let by_hand = std::fs::read_to_string(outcome.folder.join("qemu.sh")).unwrap();
    assert!(by_hand.starts_with("qemu-system-aarch64 ") && !by_hand.contains("memory-backend"), "{by_hand}");
}

#[test]
fn two_cpus_and_a_hypervisor_are_told_as_qemu_saw_them() {
    let (trace, _) = verified("hostile-guest");
    for layer in Layer::ALL {
        assert!(!trace.cpus(layer).is_empty(), "{layer:?}");
        for cpu in trace.cpus(layer) {
            assert!(trace.cost(layer, cpu).is_some(), "{layer:?} {cpu}");
        }
    }
    assert!(count(&trace, Layer::Hypervisor, |event| matches!(event, Event::Enter { .. })) > 0);
}

#[test]
#[ignore = "boots Linux"]
fn two_guests_are_told_as_qemu_saw_them() {
    verified("two-guests");
}

#[test]
fn frames_on_the_uarts_tell_what_rings_tell() {
    let told = |way| {
        let trace = boot("second-vm", Some(Tracing { way, ..Tracing::default() })).trace.unwrap();
        assert_eq!((trace.lost, trace.damaged), (0, 0));
        let events = |layer| trace.of(layer, 0).map(|record| (record.client, kind(&record.event))).collect::<Vec<_>>();
        (events(Layer::Monitor), events(Layer::Tee))
    };
    assert_eq!(told(Way::Frames), told(Way::Rings));
}

/// Reads the figures that the probe printed, their medians by name.
fn figures(lines: &[Line]) -> BTreeMap<String, i64> {
    let said = lines.iter().filter(|line| line.speaker == "probe");
    let figures = said.filter_map(|line| line.text.strip_prefix("figure ")?.split_once(' '));
    let median = |text: &str| text.split(' ').find_map(|word| word.strip_prefix("median="))?.parse().ok();
    figures.filter_map(|(name, text)| Some((name.to_owned(), median(text)?))).collect()
}

/// Finds the records of the last call of this function by VM 1, from EL3's first to its last: how many, and what they
/// cost.
fn records(trace: &Trace, function: u32) -> (i64, i64) {
    let calls = |entry: &Entry| {
        let asked = matches!(entry.record.event, Event::Call { from: World::Normal, x, .. } if x[0] as u32 == function);
        entry.layer == Layer::Monitor && entry.record.client == 1 && asked
    };
    let begin = trace.entries.iter().rposition(calls).unwrap();
    let back = |entry: &Entry| {
        let event = entry.record.event;
        entry.layer == Layer::Monitor && matches!(event, Event::WorldSwitch { to: World::Normal, .. })
    };
    let end = begin + trace.entries[begin..].iter().position(back).unwrap();
    let costs = trace.entries[begin..=end].iter().map(|entry| trace.cost(entry.layer, entry.cpu).unwrap() as i64);
    ((end - begin + 1) as i64, costs.sum())
}

/// The probe is not traced: what it measures from outside with layers that trace, less what their records cost, is what
/// it measures with layers that do not.
#[test]
fn a_call_takes_as_long_as_without_tracing_after_the_records_are_taken_off() {
    let mut traced = boot("bench-calls", Some(Tracing::default()));
    let trace = traced.trace.take().unwrap();
    let (with, without) = (figures(&traced.lines), figures(&boot("bench-calls", None).lines));
    assert!(traced.folder.join(file::NAME).is_file(), "a run without a trace takes away that of the one before");
    for (name, function) in
        [("calls_uid_vm", OPTEE_SMC_CALLS_UID), ("exchange_capabilities_vm", OPTEE_SMC_EXCHANGE_CAPABILITIES)]
    {
        let (count, cost) = records(&trace, function.0);
        let left = with[name] - cost - without[name];
        println!("{name}: {} traced, {count} records cost {cost}; {} not traced", with[name], without[name]);
        assert!((0..=count * TOLERANCE).contains(&left), "{name}: {left} instructions are unaccounted for");
    }
}
