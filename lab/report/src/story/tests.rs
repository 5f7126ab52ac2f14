// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::sample::{COST, Sample};
use shared_abi::optee_smc::{OPTEE_SMC_CALL_WITH_ARG, OPTEE_SMC_VM_CREATED};
use shared_abi::trace::{Record, Refusal};

fn story(sample: &Sample) -> Story {
    Story::of(&sample.trace(), |_| {})
}

#[test]
fn a_guests_call_is_one_call_across_every_level() {
    let mut sample = Sample::new();
    sample.guest_call(3);
    let story = story(&sample);
    let [call] = story.calls.as_slice() else { panic!("{:?}", story.calls) };
    assert_eq!((call.caller, call.request), (Caller::Vm(3), Request::Function(OPTEE_SMC_CALL_WITH_ARG)));
    assert_eq!((call.mood(), call.outcome_words()), (Mood::Good, "TEE_SUCCESS".into()));
    assert_eq!(call.title(), "OPTEE_SMC_CALL_WITH_ARG OPTEE_MSG_CMD_INVOKE_COMMAND");
    // What tracing took is off: the steps are as long as the layers worked.
    // A stretch belongs to who executes after its record: what EL3 needs to leave is counted where it goes.
    assert_eq!(call.ticks, [0, 410 + 34 + 29 + 160, 52 + 47, 61 + 44 + 25 + 130 + 620 + 60 + 12 + 18 + 22 + 31]);
    assert_eq!(call.total() + COST * (call.steps.len() as u64 - 1), call.end - call.begin);
    assert!(Layer::ALL.iter().all(|layer| call.touches(*layer)));
    assert_eq!(call.steps.iter().map(|step| step.ticks).sum::<u64>(), call.total());
}

#[test]
fn a_call_that_was_interrupted_in_the_tee_stays_one() {
    let mut sample = Sample::new();
    sample.interrupted_call(1);
    let story = story(&sample);
    let [call] = story.calls.as_slice() else { panic!("{:?}", story.calls) };
    assert_eq!(call.outcome, Outcome::Answered([0; 4]));
    assert_eq!(story.vms[&1].interrupts[&27], 1);
}

#[test]
fn what_the_hypervisor_asks_for_itself_is_its_own_call() {
    let mut sample = Sample::new();
    sample.start_vm(1);
    sample.refused_call(1);
    sample.end_vm(1);
    let story = story(&sample);
    let callers: Vec<_> = story.calls.iter().map(|call| call.caller).collect();
    assert_eq!(callers, [Caller::Hypervisor, Caller::Vm(1), Caller::Hypervisor]);
    assert_eq!(story.calls[1].refusals, [(Layer::Hypervisor, Refusal::NotForCaller, 0xB200_000D)]);
    assert_eq!(story.calls[1].mood(), Mood::Bad);
    let changes: Vec<_> = story.vms[&1].changes.iter().map(|(_, change)| change.words()).collect();
    let expected = ["made", "partition of 29 pages", "running", "switched off", "VM_DESTROYED", "29 pages taken back"];
    assert_eq!(changes, expected);
}

#[test]
fn a_heap_goes_with_its_partition_and_the_next_one_of_that_id_has_its_own() {
    let mut sample = Sample::new();
    for _ in 0..2 {
        sample.start_vm(1);
        sample.guest_call(1);
        sample.end_vm(1);
    }
    let story = story(&sample);
    let used: Vec<_> = story.vms[&1].heap.iter().map(|(_, heap)| heap.map(|heap| heap.used)).collect();
    // The second begins as the first one ended, and is told all the same.
    assert_eq!(used, [Some(4096), None, Some(4096), None]);
}

#[test]
fn without_a_hypervisor_the_monitor_sees_calls_begin_and_end() {
    let story = story(&Sample::second_vm());
    let of = |index: usize| &story.calls[index];
    assert_eq!(story.calls.len(), 2);
    assert_eq!((of(0).caller, of(0).request), (Caller::NormalWorld(0), Request::Function(OPTEE_SMC_VM_CREATED)));
    assert_eq!((of(0).mood(), of(1).outcome), (Mood::Good, Outcome::Panicked(Layer::Tee)));
    let panic = &story.crash.panics[0];
    assert_eq!(story.path_to(panic, 8), [0, 1]);
    assert_eq!(story.path_to(panic, 1), [1]);
    let verdicts: Vec<_> = story.crash.lists.iter().map(crash::FreeList::verdict).collect();
    assert!(verdicts[0].is_none() && verdicts[1].as_ref().unwrap().contains("does not hold"), "{verdicts:?}");
}

#[test]
fn lost_records_end_a_call_and_are_counted() {
    let mut whole = Sample::new();
    whole.guest_call(1);
    whole.lose(Layer::Hypervisor, 7);
    whole.guest_call(1);
    let mut trace = whole.trace();
    // The second call begins after the gap, so both are whole; then the answer of the first is taken away.
    assert_eq!(story(&whole).missing, 7);
    assert_eq!(story(&whole).calls.len(), 2);
    let answer = trace.entries.iter().position(|e| matches!(e.record.event, Event::Receive { .. })).unwrap();
    trace.entries.drain(answer..answer + 2);
    let story = Story::of(&trace, |_| {});
    assert_eq!((story.missing, story.calls[0].outcome), (9, Outcome::Cut));
    assert_eq!(story.calls[1].mood(), Mood::Good);
}

#[test]
fn what_another_cpu_executed_is_not_this_ones() {
    let mut sample = Sample::new();
    sample.guest_call(1);
    let alone = story(&sample).calls[0].total();
    let mut trace = sample.trace();
    let middle = trace.entries.len() - 6;
    let delay = 1_000_000;
    for entry in &mut trace.entries[middle..] {
        entry.record.time += delay;
    }
    let begin = trace.entries[middle - 1].record.time + 1;
    for (n, time) in [begin, begin + delay - 2].into_iter().enumerate() {
        let event = Event::Enter { vcpu: 0, pc: 0, pstate: 0 };
        let record = Record { time, sequence: n as u32, client: 2, event };
        trace.entries.insert(middle + n, Entry { layer: Layer::Hypervisor, cpu: 1, record });
    }
    let story = Story::of(&trace, |_| {});
    let call = story.calls.iter().find(|call| call.cpu == 0).unwrap();
    assert_eq!(call.total(), alone + 2);
    assert_eq!(call.steps.iter().map(|step| step.elsewhere).sum::<u64>(), delay - 2);
}

#[test]
fn calls_that_never_leave_el2_are_counted_when_they_are_many() {
    let mut sample = Sample::new();
    for _ in 0..MOST_MINOR + 10 {
        for event in [
            Event::Call {
                conduit: shared_abi::trace::event::Conduit::Smc,
                from: shared_abi::trace::World::Normal,
                vcpu: 0,
                x: [0x8400_0000, 0, 0, 0, 0, 0, 0, 0],
            },
            Event::Answer { to: shared_abi::trace::World::Normal, vcpu: 0, x: [0x1_0001, 0, 0, 0], pc: 0 },
        ] {
            sample.record(Layer::Hypervisor, 100, 1, event);
        }
    }
    let story = story(&sample);
    assert_eq!(story.calls.len() as u64, MOST_MINOR);
    let left = story.minor[&(Caller::Vm(1), "PSCI_VERSION".into())];
    assert_eq!((left.calls, left.ticks), (10, 1000));
    assert_eq!(story.vms[&1].calls, MOST_MINOR + 10);
}

#[test]
fn nonsense_is_heard_without_harm() {
    // A linear congruential generator: the same nonsense every time.
    let mut seed = 7_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 20
    };
    let events: Vec<_> = Event::examples().collect();
    let mut teller = Teller::new();
    for _ in 0..60_000 {
        let record = Record {
            time: if next() % 50 == 0 { u64::MAX - next() } else { next() },
            sequence: next() as u32,
            client: (next() % 5) as u16,
            event: events[next() as usize % events.len()],
        };
        let layer = Layer::ALL[next() as usize % 3];
        teller.hear(&Entry { layer, cpu: (next() % 3) as u8, record });
    }
    let story = teller.finish();
    assert!(story.calls.len() > 100);
    assert!(story.calls.iter().all(|call| call.steps.len() < 5000));
}

#[test]
fn told_piece_by_piece_the_story_is_the_same() {
    let trace = Sample::two_guests(40).trace();
    let mut teller = Teller::new();
    for entry in &trace.entries {
        teller.hear(entry);
    }
    let (whole, pieces) = (Story::of(&trace, |_| {}), teller.finish());
    assert_eq!(whole.calls.len(), pieces.calls.len());
    assert_eq!((whole.ticks, whole.records), (pieces.ticks, pieces.records));
}

#[test]
fn a_layer_that_calibrates_within_a_call_does_nothing_in_it() {
    let mut sample = Sample::new();
    let event = Event::WorldSwitch { to: shared_abi::trace::World::Secure, errand: 1, pc: 0 };
    sample.record(Layer::Monitor, 10, 0, event);
    sample.record(Layer::Tee, 500, 0, Event::Start { base: 0, size: 4096 });
    for round in 0..4 {
        sample.record(Layer::Tee, 0, 0, Event::Calibration { round });
    }
    let x = [0xBE00_0000, 0, 0, 0, 0, 0, 0, 0];
    let (conduit, from) = (shared_abi::trace::event::Conduit::Smc, shared_abi::trace::World::Secure);
    sample.record(Layer::Monitor, 70, 0, Event::Call { conduit, from, vcpu: 0, x });
    let event = Event::WorldSwitch { to: shared_abi::trace::World::Normal, errand: 1, pc: 0 };
    sample.record(Layer::Monitor, 30, 0, event);
    let story = story(&sample);
    let ticks: Vec<_> = story.calls[0].steps.iter().map(|step| step.ticks).collect();
    assert_eq!((ticks, story.calls[0].caller), (vec![500, 70, 30, 0], Caller::Monitor));
    assert_eq!(story.calls[0].outcome_words(), "the caller goes on");
}

#[test]
fn an_exit_is_followed_to_the_next_entry_also_when_another_vm_runs_in_between() {
    let mut sample = Sample::new();
    let exit = Event::Exit { vcpu: 0, esr: 1 << 26, pc: 0, far: 0, ipa: 0 };
    let enter = Event::Enter { vcpu: 0, pc: 0, pstate: 0 };
    for (client, event) in [(1, exit), (2, enter), (2, exit), (1, enter), (1, exit), (1, enter)] {
        sample.record(Layer::Hypervisor, 100, client, event);
    }
    let story = story(&sample);
    let exits: Vec<_> = story.exits.iter().map(|exit| (exit.caller, exit.steps.len(), exit.ticks[1])).collect();
    // VM 1's first exit: 100 to VM 2's entry, 100 from VM 2's exit on, which are VM 2's.
    assert_eq!(exits, [(Caller::Vm(1), 2, 100), (Caller::Vm(1), 2, 100), (Caller::Vm(2), 1, 100)]);
    assert_eq!((story.exits[0].outcome_words(), story.exits[0].title()), ("the VM goes on".into(), "WFI".into()));
    assert!(story.calls.is_empty());
    assert_eq!(story.vms[&1].exits["WFI"].times, 2);
}
