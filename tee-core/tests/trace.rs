// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the TEE tells of the calls it gets, in which order, and why it refuses what it refuses.

use shared_abi::optee_msg::{Cmd, Direction, Param};
use shared_abi::optee_smc::{self as smc, Rpc, to_halves};
use shared_abi::pta::{self, vault};
use shared_abi::smccc::FunctionId;
use shared_abi::trace::event::Event;
use shared_abi::trace::{Owner, Refusal};
use tee_core::app::pseudo::stats::CMD_GET_TIME;
use tee_core::host::normal_world::{NormalWorld, RAM, data, memory, meta, rmem, tmem};
use tee_core::partition::layout::{GUARANTEED, THREADS};
use tee_core::trace::tape::Tape;

/// The name of an event without what it says.
fn name(event: &Event) -> String {
    let text = format!("{event:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_string()
}

fn names(told: &[(u16, Event)]) -> Vec<(u16, String)> {
    told.iter().map(|(client, event)| (*client, name(event))).collect()
}

/// The same, as it should be: a client, and what is told about it, in words.
fn expected(parts: &[(u16, &str)]) -> Vec<(u16, String)> {
    let words = |(client, words): &(u16, &str)| -> Vec<_> {
        words.split_whitespace().map(|word| (*client, word.to_string())).collect()
    };
    parts.iter().flat_map(words).collect()
}

#[test]
fn the_life_of_a_vm_is_told_from_its_first_page_to_its_last() {
    let world = NormalWorld::new();
    let tape = Tape::begin();
    let (free, none) = world.tee.figures();

    assert_eq!(world.create(7), [0; 4]);
    let told = tape.take();
    assert_eq!(names(&told), expected(&[(0, "Call"), (7, "Memory VmCreated"), (0, "Answer")]));
    let size = (GUARANTEED * 4096) as u64;
    let Event::Memory { owner: Owner::Partition, base, size: of, ipa: 0 } = told[1].1 else { panic!("{told:?}") };
    assert_eq!(of, size);
    let (pages, left) = (GUARANTEED as u64, (free - GUARANTEED) as u64);
    assert_eq!(told[2].1, Event::VmCreated { pages, free: left, vms: 1 });

    let session = world.open(7, &pta::stats::UUID).unwrap();
    let told = tape.take();
    let call = "Call PartitionSelect ThreadStart Message Reply ThreadFinish Heap PartitionLeave Answer";
    assert_eq!(names(&told), expected(&[(7, call)]));
    assert_eq!(told[3].1, Event::Message { command: Cmd::OPEN_SESSION.0, function: 0, session: 0, params: 2 });
    assert_eq!(told[4].1, Event::Reply { result: 0, origin: 4, session });

    let time = Param::Value { dir: Direction::Out, value: [0; 3] }.to_msg();
    world.invoke(7, session, CMD_GET_TIME, &[time, time]).ok().unwrap();
    let call = "Call PartitionSelect ThreadStart Message ThreadSuspend PartitionLeave Answer \
        Call PartitionSelect ThreadResume Rpc ThreadSuspend PartitionLeave Answer \
        Call PartitionSelect ThreadResume Reply ThreadSuspend PartitionLeave Answer \
        Call PartitionSelect ThreadResume ThreadFinish Heap PartitionLeave Answer";
    let told = tape.take();
    assert_eq!(names(&told), expected(&[(7, call)]));
    let rpcs = told.iter().filter_map(|(_, event)| match event {
        Event::ThreadSuspend { rpc, .. } => Rpc::from_x0(rpc[0]),
        _ => None,
    });
    assert_eq!(rpcs.collect::<Vec<_>>(), [Rpc::Alloc, Rpc::Cmd, Rpc::Free]);

    let pages = [data(7), data(7) + 0x2000];
    world.register(7, 0xC00C1E, &pages, 0x2000).ok().unwrap();
    world.unregister(7, 0xC00C1E).ok().unwrap();
    let told = tape.take();
    let shared: Vec<_> = told.iter().map(|(_, event)| *event).filter(|event| name(event).starts_with("Shm")).collect();
    let register = Event::ShmRegister { cookie: 0xC00C1E, pages: 2, first: data(7) };
    assert_eq!(shared, [register, Event::ShmUnregister { cookie: 0xC00C1E }]);

    assert_eq!(world.destroy(7), [0; 4]);
    let told = tape.take();
    assert_eq!(names(&told), expected(&[(0, "Call"), (7, "VmDestroyed Memory VmReclaimed"), (0, "Answer")]));
    let back: Vec<_> = told.iter().map(|(_, event)| *event).collect();
    assert_eq!(back[1], Event::VmDestroyed { draining: false });
    assert_eq!(back[2], Event::Memory { owner: Owner::Free, base, size, ipa: 0 });
    let (pages, free) = (GUARANTEED as u64, free as u64);
    assert_eq!(back[3], Event::VmReclaimed { pages, free, vms: none as u64 });
}

#[test]
fn what_a_partition_grew_by_is_dirty_when_it_goes() {
    let world = NormalWorld::with_vms(&[1]);
    let tape = Tape::begin();
    let pages: Vec<u64> = (0..1024).map(|_| data(1)).collect();
    let mut cookie = 0;
    while !tape.take().iter().any(|(_, event)| matches!(event, Event::Memory { owner: Owner::Partition, .. })) {
        cookie += 1;
        // Lists of pages are what the normal world can fill the heap with.
        world.register(1, cookie, &pages, 1024 * 4096).ok().unwrap();
    }
    world.destroy(1);
    let owners = tape.take().into_iter().filter_map(|(client, event)| match event {
        Event::Memory { owner, .. } => Some((client, owner)),
        _ => None,
    });
    assert_eq!(owners.collect::<Vec<_>>(), [(1, Owner::Free), (1, Owner::Dirty)]);
}

#[test]
fn every_refusal_says_why_and_what_it_is_about() {
    let world = NormalWorld::with_vms(&[1]);
    let session = world.open(1, &vault::UUID).unwrap();
    let tape = Tape::begin();
    let refused = |refusals: &[(Refusal, u64)]| {
        let told = tape.take().into_iter().filter_map(|(_, event)| match event {
            Event::Refused { reason, value } => Some((reason, value)),
            _ => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), refusals);
    };
    let fast = |function: FunctionId, x1: u64, client: u64, why: Refusal, value: u64| {
        world.smc(function, [x1, 0, 0], client);
        refused(&[(why, value)]);
    };
    fast(smc::OPTEE_SMC_CALLS_UID, 0, 0x1_0000, Refusal::NotAVm, 0x1_0000);
    fast(smc::OPTEE_SMC_CALLS_UID, 0, 2, Refusal::UnknownVm, 2);
    fast(smc::OPTEE_SMC_VM_CREATED, 0, 0, Refusal::NotAVm, 0);
    fast(smc::OPTEE_SMC_VM_CREATED, 1, 0, Refusal::VmExists, 1);
    fast(smc::OPTEE_SMC_VM_CREATED, 2, 1, Refusal::NotForCaller, 2);
    fast(smc::OPTEE_SMC_VM_DESTROYED, 2, 0, Refusal::UnknownVm, 2);
    fast(smc::OPTEE_SMC_EXCHANGE_CAPABILITIES, 2, 1, Refusal::BadParameter, 2);
    fast(smc::OPTEE_SMC_ENABLE_SHM_CACHE, 0, 0, Refusal::NotForCaller, 0);
    let unknown = FunctionId(0xB200_7777);
    for client in [0, 1, 2, 0x1_0000] {
        fast(unknown, 0, client, Refusal::UnknownFunction, unknown.0.into());
    }
    fast(smc::OPTEE_SMC_CALL_RETURN_FROM_RPC, 0, 1, Refusal::BadThread, 0);
    fast(smc::OPTEE_SMC_CALL_WITH_ARG, 0, 1, Refusal::BadAddress, 0);
    fast(smc::OPTEE_SMC_CALL_WITH_ARG, 0, 0, Refusal::NotAVm, 0);

    let (high, low) = to_halves(0x77);
    world.smc(smc::OPTEE_SMC_CALL_WITH_REGD_ARG, [high, low, 0], 1);
    refused(&[(Refusal::UnknownCookie, 0x77)]);
    world.call(1, Cmd(77), 0, 0, &[]);
    refused(&[(Refusal::UnknownFunction, 77)]);
    let none = Param::None.to_msg();
    world.call(1, Cmd::INVOKE_COMMAND, 0, session, &[none; 5]);
    refused(&[(Refusal::BadMessage, 5)]);
    world.invoke(1, session + 1, vault::CMD_PUT, &[]).ok().unwrap_err();
    refused(&[(Refusal::UnknownSession, (session + 1).into())]);
    world.invoke(1, session, vault::CMD_PUT, &[tmem(Direction::In, RAM.end(), 8)]).ok().unwrap_err();
    refused(&[(Refusal::BadAddress, RAM.end())]);
    world.invoke(1, session, vault::CMD_PUT, &[rmem(Direction::In, 5, 0, 8)]).ok().unwrap_err();
    refused(&[(Refusal::UnknownCookie, 5)]);
    world.open(1, &uuid::Uuid::from_u128(5)).unwrap_err();
    refused(&[(Refusal::UnknownApplication, 0)]);
    world.call(1, Cmd::OPEN_SESSION, 0, 0, &meta(&vault::UUID)[..1]);
    refused(&[(Refusal::BadMessage, 1)]);
    world.call(1, Cmd::CLOSE_SESSION, 0, 99, &[]);
    refused(&[(Refusal::UnknownSession, 99)]);
    world.register(1, 9, &[data(1) + 1], 0x1000).ok().unwrap_err();
    refused(&[(Refusal::BadAddress, data(1) + 1)]);
    world.register(1, 9, &[data(1)], 0x1000).ok().unwrap();
    world.register(1, 9, &[data(1)], 0x1000).ok().unwrap_err();
    refused(&[(Refusal::InUse, 9)]);
    world.unregister(1, 8).ok().unwrap_err();
    refused(&[(Refusal::UnknownCookie, 8)]);
}

#[test]
fn a_call_too_many_is_told_and_so_is_one_of_a_vm_that_went_under_it() {
    let world = NormalWorld::with_vms(&[1]);
    let session = world.open(1, &pta::stats::UUID).unwrap();
    let time = Param::Value { dir: Direction::Out, value: [0; 3] }.to_msg();
    let begin = || world.begin(1, Cmd::INVOKE_COMMAND, CMD_GET_TIME, session, &[time, time]);
    for _ in 0..THREADS {
        assert!(begin().rpc().is_some());
    }
    let tape = Tape::begin();
    begin();
    let (high, low) = to_halves(memory(1));
    let told = tape.take();
    let x = [smc::OPTEE_SMC_CALL_WITH_ARG.0.into(), high, low, 0, 0, 0, 0, 1];
    assert!(matches!(told[0].1, Event::Call { x: told, .. } if told == x));
    assert_eq!(names(&told), expected(&[(1, "Call PartitionSelect Refused PartitionLeave Answer")]));
    assert!(matches!(told[2].1, Event::Refused { reason: Refusal::NoThread, .. }));
    world.destroy(1);
    tape.take();
    begin();
    assert_eq!(names(&tape.take()), expected(&[(1, "Call Refused Answer")]));
}

#[test]
fn each_step_of_a_call_says_which_thread_goes_on() {
    let world = NormalWorld::with_vms(&[1]);
    let session = world.open(1, &pta::stats::UUID).unwrap();
    let time = Param::Value { dir: Direction::Out, value: [0; 3] }.to_msg();
    let calls = [(); THREADS].map(|()| world.begin(1, Cmd::INVOKE_COMMAND, CMD_GET_TIME, session, &[time, time]));
    let tape = Tape::begin();
    for (n, call) in calls.iter().enumerate() {
        // There is no memory for it.
        world.resume(1, call, [0; 4]);
        let told = tape.take();
        let threads = told.iter().filter_map(|(_, event)| match event {
            Event::ThreadResume { thread } | Event::ThreadSuspend { thread, .. } => Some(usize::from(*thread)),
            Event::ThreadFinish { thread, .. } => Some(usize::from(*thread)),
            _ => None,
        });
        assert_eq!(threads.collect::<Vec<_>>(), [n, n]);
    }
}
