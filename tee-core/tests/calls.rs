// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls as a VM makes them: sessions, memory, pseudo-TAs, interrupts, and what other CPUs do meanwhile.

use shared_abi::layout::{self, Range};
use shared_abi::optee_msg::{self, ATTR_META, Cmd, Direction, MsgHeader, MsgParam, Param, RpcCmd, arg_size};
use shared_abi::optee_smc::{self as smc, Rpc, SecureCaps, to_halves};
use shared_abi::pta::{device, rng, stats, vault};
use shared_abi::tee::{Origin, TeeResult};
use std::thread;
use tee_core::app::Application;
use tee_core::app::pseudo::self_test::{self, SelfTest};
use tee_core::app::pseudo::stats::CMD_GET_TIME;
use tee_core::app::registry::App;
use tee_core::host::normal_world::{NormalWorld, Outcome, RAM, data, memory, meta, rmem, tmem};
use tee_core::partition::layout::{GUARANTEED, THREADS};
use uuid::Uuid;

const DIRECTIONS: [Direction; 3] = [Direction::In, Direction::Out, Direction::InOut];

fn value(dir: Direction, a: u64, b: u64) -> MsgParam {
    Param::Value { dir, value: [a, b, 0] }.to_msg()
}

#[test]
fn each_application_answers_by_its_uuid() {
    let world = NormalWorld::with_vms(&[1]);
    world.tee.machine().set_random(true);
    let out = value(Direction::Out, 0, 0);
    // A function of each with one parameter, whose `a` and `b` are so then.
    let answers = [
        (device::UUID, device::CMD_GET_DEVICES_SUPP, tmem(Direction::Out, 0, 0), Ok((0, 0))),
        (rng::UUID, rng::CMD_GET_RNG_INFO, out, Ok((1 << 20, 1024))),
        (SelfTest::UUID, self_test::CMD_MEMREF_NULL, tmem(Direction::InOut, 0, 0), Ok((0, 0))),
        (stats::UUID, stats::CMD_LOCK_WAITS, out, Ok((0, 0))),
        (vault::UUID, vault::CMD_DELETE, tmem(Direction::In, data(1), 4), Err(TeeResult::ITEM_NOT_FOUND)),
    ];
    for (uuid, function, param, answer) in answers {
        let session = world.open(1, &uuid).unwrap_or_else(|_| panic!("{uuid}: is it in `registry!`?"));
        let result = world.invoke(1, session, function, &[param]).ok();
        assert_eq!(result.map(|()| (world.param(1, 0).a, world.param(1, 0).b)), answer, "{uuid}");
    }
    for app in App::ALL {
        assert!(answers.iter().any(|(uuid, ..)| *uuid == app.uuid()), "`answers` has none of {app:?}");
    }
}

#[test]
fn what_linux_asks_at_probe() {
    let world = NormalWorld::with_vms(&[1]);
    let ask = |function, x1| world.smc(function, [x1, 0, 0], 1);
    assert_eq!(ask(smc::OPTEE_SMC_CALLS_UID, 0), smc::CALLS_UID.map(u64::from));
    assert_eq!(ask(smc::OPTEE_SMC_CALL_GET_OS_UUID, 0), smc::OS_UUID.map(u64::from));
    assert_eq!(ask(smc::OPTEE_SMC_CALL_GET_OS_REVISION, 0), [0, 1, 0, 0]);
    assert_eq!(ask(smc::OPTEE_SMC_CALLS_REVISION, 0), [2, 0, 0, 0]);
    assert_eq!(ask(smc::OPTEE_SMC_GET_THREAD_COUNT, 0), [0, THREADS as u64, 0, 0]);
    let caps = SecureCaps::DYNAMIC_SHM
        | SecureCaps::UNREGISTERED_SHM
        | SecureCaps::VIRTUALIZATION
        | SecureCaps::MEMREF_NULL
        | SecureCaps::RPC_ARG;
    assert_eq!(ask(smc::OPTEE_SMC_EXCHANGE_CAPABILITIES, 1), [0, caps.bits().into(), 0, 4]);
    assert_eq!(ask(smc::OPTEE_SMC_EXCHANGE_CAPABILITIES, 2), [7, 0, 0, 0]);
    assert_eq!(ask(smc::OPTEE_SMC_DISABLE_SHM_CACHE, 0), [7, 0, 0, 0]);
}

#[test]
fn without_ram_there_is_no_dynamic_shared_memory() {
    let tee = tee_core::host::monitor::boot(RAM, &[], Range::new(layout::TEE.base, 0));
    let [_, caps, ..] = tee.smc(&[smc::OPTEE_SMC_EXCHANGE_CAPABILITIES.0.into(), 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(caps as u32 & (SecureCaps::DYNAMIC_SHM | SecureCaps::UNREGISTERED_SHM).bits(), 0);
}

#[test]
fn the_tee_takes_as_many_vms_as_it_says_it_has_room_for() {
    let pages = (5 * GUARANTEED + 1) * optee_msg::PAGE_SIZE;
    let small = Range::new(layout::TEE.base, pages as u64);
    let small = NormalWorld { tee: tee_core::host::monitor::boot(RAM, &[RAM], small) };
    assert_eq!(small.tee.room(GUARANTEED), 5);
    for world in [small, NormalWorld::new()] {
        let room = world.tee.room(GUARANTEED);
        let created = (1u64..).take_while(|id| world.create(*id) == [0; 4]).count();
        assert_eq!(created, room);
    }
}

#[test]
fn linux_lists_its_devices() {
    for random in [false, true] {
        let world = NormalWorld::with_vms(&[1]);
        world.tee.machine().set_random(random);
        let expected: Vec<Uuid> = if random { vec![rng::UUID, vault::UUID] } else { vec![vault::UUID] };
        let session = world.open(1, &device::UUID).unwrap();
        let list = |params: &[MsgParam]| world.invoke(1, session, device::CMD_GET_DEVICES, params);
        assert_eq!(list(&[tmem(Direction::Out, 0, 0)]), TeeResult::SHORT_BUFFER);
        let size = world.param(1, 0).b;
        assert_eq!(size, 16 * expected.len() as u64);
        assert_eq!(list(&[tmem(Direction::Out, data(1), size)]), TeeResult::SUCCESS);
        let uuids: Vec<Uuid> =
            (0..expected.len()).map(|n| Uuid::from_bytes(world.get(data(1) + 16 * n as u64))).collect();
        assert_eq!(uuids, expected);
        assert_eq!(
            world.invoke(1, session, device::CMD_GET_DEVICES_SUPP, &[tmem(Direction::Out, 0, 0)]),
            TeeResult::SUCCESS
        );
        assert_eq!(world.param(1, 0).b, 0);
        assert_eq!(world.invoke(1, session, 77, &[]), TeeResult::NOT_IMPLEMENTED);
        for params in [&[][..], &[value(Direction::Out, 0, 0)], &[tmem(Direction::In, data(1), 64)]] {
            assert_eq!(list(params), TeeResult::BAD_PARAMETERS);
        }
    }
}

#[test]
fn entropy_comes_only_where_the_cpu_has_it() {
    let world = NormalWorld::with_vms(&[1]);
    assert_eq!(world.open(1, &rng::UUID), Err(TeeResult::ITEM_NOT_FOUND));
    world.tee.machine().set_random(true);
    let session = world.open(1, &rng::UUID).unwrap();
    assert_eq!(
        world.invoke(1, session, rng::CMD_GET_ENTROPY, &[tmem(Direction::InOut, data(1), 61)]),
        TeeResult::SUCCESS
    );
    assert_eq!(world.param(1, 0).b, 61);
    let bytes = world.tee.machine().peek(data(1), 64);
    assert!(bytes[..61].iter().filter(|byte| **byte == 0).count() < 10);
    assert_eq!(bytes[61..], [0; 3], "not a byte more");
    assert_eq!(
        world.invoke(1, session, rng::CMD_GET_ENTROPY, &[tmem(Direction::InOut, data(1), 4097)]),
        TeeResult::NOT_SUPPORTED
    );
    let out = value(Direction::Out, 0, 0);
    assert_eq!(world.invoke(1, session, rng::CMD_GET_RNG_INFO, &[out]), TeeResult::SUCCESS);
    assert!(world.param(1, 0).a > 0 && world.param(1, 0).b == 1024);
    // As OP-TEE's refuses it.
    assert_eq!(world.invoke(1, session, rng::CMD_GET_RNG_INFO, &[out, out]), TeeResult::BAD_PARAMETERS);
    world.tee.machine().set_random(false);
    let health = world.invoke(1, session, rng::CMD_GET_ENTROPY, &[tmem(Direction::InOut, data(1), 8)]);
    assert_eq!(health, TeeResult(1));
}

#[test]
fn the_statistics_are_of_the_callers_own_heap() {
    let world = NormalWorld::with_vms(&[1, 2]);
    let allocated = |vm| {
        let session = world.open(vm, &stats::UUID).unwrap();
        let params = [value(Direction::In, 0, 0), tmem(Direction::Out, data(vm), 64)];
        assert_eq!(world.invoke(vm, session, stats::CMD_ALLOC_STATS, &params), TeeResult::SUCCESS);
        world.get::<stats::Alloc>(data(vm)).allocated
    };
    assert_eq!((allocated(1), allocated(2)), (0, 0));
    assert_eq!(world.register(1, 5, &[data(1); 100], 100 << 12), TeeResult::SUCCESS);
    assert_eq!((allocated(1), allocated(2)), (512, 0));
    let session = world.open(1, &stats::UUID).unwrap();
    for (id, size, expected) in [(7, 64, TeeResult::ITEM_NOT_FOUND), (1, 63, TeeResult::SHORT_BUFFER)] {
        let params = [value(Direction::In, id, 0), tmem(Direction::Out, data(1), size)];
        assert_eq!(world.invoke(1, session, stats::CMD_ALLOC_STATS, &params), expected);
    }
    assert_eq!(world.invoke(1, session, 2, &[]), TeeResult::NOT_SUPPORTED);
}

#[test]
fn the_time_of_day_is_asked_of_the_normal_world() {
    let world = NormalWorld::with_vms(&[1]);
    let session = world.open(1, &stats::UUID).unwrap();
    let out = value(Direction::Out, 0, 0);
    assert_eq!(world.invoke(1, session, CMD_GET_TIME, &[out, out]), TeeResult::SUCCESS);
    assert_eq!((world.param(1, 0).a, world.param(1, 0).b), (1234, 567));
}

#[test]
fn an_answer_to_an_rpc_is_not_believed() {
    let world = NormalWorld::with_vms(&[1]);
    let session = world.open(1, &stats::UUID).unwrap();
    let out = value(Direction::Out, 0, 0);
    let rpc_message = memory(1) + 0x1000;
    let answers: [(u32, u64, TeeResult); 4] = [
        (0xFFFF_000A, 0, TeeResult::NOT_SUPPORTED),
        (0, 1_000_000_000, TeeResult::COMMUNICATION),
        (0, u64::MAX, TeeResult::COMMUNICATION),
        (0, 999_999_999, TeeResult::SUCCESS),
    ];
    for (ret, nanoseconds, expected) in answers {
        let at = world.begin(1, Cmd::INVOKE_COMMAND, CMD_GET_TIME, session, &[out, out]);
        let at = world.answer(1, &at);
        assert_eq!(at.rpc(), Some(Rpc::Cmd));
        world.put(rpc_message, &MsgHeader { ret, num_params: u32::MAX, ..MsgHeader::default() });
        world.put(rpc_message + 32, &value(Direction::Out, 7, nanoseconds));
        let at = world.resume(1, &at, [0; 4]);
        assert_eq!(at.rpc(), Some(Rpc::Free));
        assert_eq!(world.resume(1, &at, [0; 4]).result(), expected);
    }
}

#[test]
fn the_self_tests_use_memory_of_the_normal_world() {
    let world = NormalWorld::with_vms(&[1]);
    let session = world.open(1, &SelfTest::UUID).unwrap();
    assert_eq!(world.invoke(1, session, self_test::CMD_SELF_TESTS, &[]), TeeResult::SUCCESS);
    let null = |dir, size| world.invoke(1, session, self_test::CMD_MEMREF_NULL, &[tmem(dir, 0, size)]);
    assert_eq!(null(Direction::InOut, 0), TeeResult::SUCCESS);
    assert_eq!(null(Direction::In, 0), TeeResult::BAD_PARAMETERS);
    let two = [tmem(Direction::InOut, 0, 0); 2];
    assert_eq!(world.invoke(1, session, self_test::CMD_MEMREF_NULL, &two), TeeResult::BAD_PARAMETERS);
    let none_of_some = tmem(Direction::InOut, data(1), 0);
    assert_eq!(world.invoke(1, session, self_test::CMD_MEMREF_NULL, &[none_of_some]), TeeResult::BAD_PARAMETERS);
}

#[test]
fn the_self_test_adds_up_its_parameters_wherever_they_stand() {
    let world = NormalWorld::with_vms(&[1]);
    let session = world.open(1, &SelfTest::UUID).unwrap();
    let sum = |params: &[MsgParam]| world.invoke(1, session, self_test::CMD_PARAMS, params);
    let none = Param::None.to_msg();
    // More than a piece of what is looked at together, and no multiple of it.
    let bytes: Vec<u8> = (0..16 * 1024 - 3).map(|n: usize| (n * n + 1) as u8).collect();
    let of_all = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    for place in 0..4 {
        let with = |answer: MsgParam, others: [MsgParam; 3]| {
            let mut all = others.to_vec();
            all.insert(place, answer);
            all
        };
        let in_out = value(Direction::InOut, u32::MAX.into(), 8);
        assert_eq!(sum(&with(in_out, [none; 3])), TeeResult::SUCCESS);
        assert_eq!((world.param(1, place).a, world.param(1, place).b), (7, 8));
        let inputs = [(1, 10), (u32::MAX, 200), (3, u32::MAX)].map(|(a, b)| value(Direction::In, a.into(), b.into()));
        assert_eq!(sum(&with(value(Direction::Out, 0, 0), inputs)), TeeResult::SUCCESS);
        assert_eq!((world.param(1, place).a, world.param(1, place).b), (3, 209));
        world.tee.machine().poke(data(1), &bytes);
        assert_eq!(sum(&with(tmem(Direction::InOut, data(1), bytes.len() as u64), [none; 3])), TeeResult::SUCCESS);
        assert_eq!(world.tee.machine().peek(data(1), bytes.len()), [&[of_all], &bytes[1..]].concat());
        let wrong = [
            with(value(Direction::Out, 0, 0), [none; 3]),
            with(value(Direction::In, 1, 1), [none; 3]),
            with(value(Direction::InOut, 1, 1), inputs),
            with(value(Direction::Out, 1, 1), [inputs[0], inputs[1], value(Direction::Out, 1, 1)]),
            with(tmem(Direction::In, data(1), 64), [none; 3]),
            with(tmem(Direction::Out, data(1), 64), [none; 3]),
            with(tmem(Direction::InOut, data(1), 0), [none; 3]),
            with(tmem(Direction::InOut, 0, 0), [none; 3]),
            with(tmem(Direction::InOut, data(1), 64), inputs),
            with(none, [none; 3]),
        ];
        for params in wrong {
            assert_eq!(sum(&params), TeeResult::BAD_PARAMETERS);
        }
    }
}

#[test]
fn calls_compete_in_the_self_test_and_none_sees_a_half_done_round() {
    let world = NormalWorld::with_vms(&[1]);
    let session = world.open(1, &SelfTest::UUID).unwrap();
    let out = value(Direction::Out, 0, 0);
    let compete = |kind: u32, rounds: u32| {
        let asked = value(Direction::In, kind.into(), rounds.into());
        let result = world.invoke(1, session, self_test::CMD_MUTEX, &[asked, out]);
        result.ok().map(|()| (world.param(1, 1).a, world.param(1, 1).b))
    };
    for kind in [self_test::WRITER, self_test::READER, self_test::WRITER] {
        assert_eq!(compete(kind, 70_000), Ok((1, 1)), "who came before is not there any more");
    }
    assert_eq!(compete(self_test::READER, self_test::MAX_ROUNDS + 1), Err(TeeResult::BAD_PARAMETERS));
    assert_eq!(compete(2, 1), Err(TeeResult::BAD_PARAMETERS));
    let invoke = |params: &[MsgParam]| world.invoke(1, session, self_test::CMD_MUTEX, params);
    let asked = value(Direction::In, 0, 1);
    for params in [&[asked][..], &[asked, asked], &[out, asked], &[asked, out, out]] {
        assert_eq!(invoke(params), TeeResult::BAD_PARAMETERS);
    }
}

#[test]
fn calls_that_compete_on_several_cpus_change_the_numbers_one_after_another() {
    const ROUNDS: u64 = 300_000;
    let world = NormalWorld::with_vms(&[1]);
    let session = world.open(1, &SelfTest::UUID).unwrap();
    // As Linux calls: each CPU with a message of its own, and the RPC's behind it.
    let compete = |pa: u64, kind: u32| {
        let params = [value(Direction::In, kind.into(), ROUNDS), value(Direction::Out, 0, 0)];
        world.message(pa, Cmd::INVOKE_COMMAND, self_test::CMD_MUTEX, session, &params);
        let (high, low) = to_halves(pa);
        let mut x = world.smc(smc::OPTEE_SMC_CALL_WITH_RPC_ARG, [high, low, 0], 1);
        let mut waits = 0;
        while let Some(rpc) = Rpc::from_x0(x[0]) {
            assert_eq!(rpc, Rpc::Cmd);
            let at = pa + arg_size(2) as u64;
            let header: MsgHeader = world.get(at);
            assert_eq!(RpcCmd(header.cmd), RpcCmd::NOTIFICATION);
            world.put(at, &MsgHeader { ret: 0, ..header });
            waits += 1;
            thread::yield_now();
            let resume = smc::OPTEE_SMC_CALL_RETURN_FROM_RPC.0.into();
            x = world.tee.smc(&[resume, 0, 0, x[3], 0, 0, 0, 1]);
        }
        assert_eq!(x, [0; 4]);
        assert_eq!(world.get::<MsgHeader>(pa).ret, 0, "no reader sees what does not fit");
        (world.get::<MsgParam>(pa + arg_size(1) as u64).b, waits)
    };
    let done: Vec<_> = thread::scope(|scope| {
        let compete = &compete;
        let cpus = (0..THREADS as u64).map(|n| {
            let kind = if n % 2 == 0 { self_test::WRITER } else { self_test::READER };
            scope.spawn(move || (0..20).map(|_| (kind, compete(data(1) + n * 0x1000, kind))).collect::<Vec<_>>())
        });
        let cpus: Vec<_> = cpus.collect();
        cpus.into_iter().flat_map(|cpu| cpu.join().unwrap()).collect()
    });
    let most = |of: u32| done.iter().filter(|(kind, _)| *kind == of).map(|(_, (during, _))| *during).max().unwrap();
    assert_eq!(most(self_test::WRITER), 1);
    assert!(most(self_test::READER) <= 2);
}

#[test]
fn the_self_test_knows_what_the_device_tree_said_and_what_this_tee_has_not() {
    let world = NormalWorld::with_vms(&[1]);
    let session = world.open(1, &SelfTest::UUID).unwrap();
    let invoke = |function| world.invoke(1, session, function, &[]);
    assert_eq!(invoke(self_test::CMD_DT_DRIVER_TESTS), TeeResult::SUCCESS);
    for function in [self_test::CMD_LOCKDEP, self_test::CMD_TRANSFER_LIST_TESTS] {
        assert_eq!(invoke(function), TeeResult::NOT_SUPPORTED, "xtest takes that for a reason to skip it");
    }
    assert_eq!(invoke(13), TeeResult::NOT_IMPLEMENTED);
}

#[test]
fn allocated_memory_that_is_no_memory_goes_back() {
    let world = NormalWorld::with_vms(&[1]);
    let session = world.open(1, &SelfTest::UUID).unwrap();
    let answers = [
        Param::Tmem { dir: Direction::Out, buf_ptr: 0x0E10_0000, size: 0x3000, shm_ref: 9, noncontig: false },
        Param::Tmem { dir: Direction::Out, buf_ptr: data(1), size: 0x2FFF, shm_ref: 9, noncontig: false },
        Param::Tmem { dir: Direction::Out, buf_ptr: 0x0E10_0000, size: 0x3000, shm_ref: 9, noncontig: true },
        Param::Tmem { dir: Direction::Out, buf_ptr: data(1), size: u64::MAX, shm_ref: 9, noncontig: true },
    ];
    for answer in answers {
        let at = world.begin(1, Cmd::INVOKE_COMMAND, self_test::CMD_SELF_TESTS, session, &[]);
        let at = world.answer(1, &at);
        world.put(memory(1) + 0x1000, &MsgHeader::default());
        world.put(memory(1) + 0x1020, &answer.to_msg());
        let at = world.resume(1, &at, [0; 4]);
        assert_eq!(at.rpc(), Some(Rpc::Cmd));
        assert_eq!(RpcCmd(world.get::<MsgHeader>(memory(1) + 0x1000).cmd), RpcCmd::SHM_FREE);
        assert_eq!(world.get::<MsgParam>(memory(1) + 0x1020).b, 9);
        let at = world.answer(1, &at);
        assert_eq!(world.answer(1, &at).result(), TeeResult::OUT_OF_MEMORY);
    }
}

#[test]
fn a_message_and_its_rpc_in_registered_memory_across_pages() {
    let world = NormalWorld::with_vms(&[1]);
    // The second page of the buffer lies before the first one.
    let pages = [data(1) + 0x1000, data(1)];
    assert_eq!(world.register(1, 5, &pages, 0x2000), TeeResult::SUCCESS);
    let session = world.open(1, &stats::UUID).unwrap();
    let out = value(Direction::Out, 0, 0);
    let message = data(1) + 0x1000 + 0xFE0;
    let header = MsgHeader { cmd: 1, func: CMD_GET_TIME, session, num_params: 2, ..MsgHeader::default() };
    world.put(message, &header);
    world.put(data(1), &[out, out]);
    let x = world.smc(smc::OPTEE_SMC_CALL_WITH_REGD_ARG, [0, 5, 0xFE0], 1);
    assert_eq!(Rpc::from_x0(x[0]), Some(Rpc::Cmd));
    assert_eq!([x[1], x[2]], [0, 0], "no cookie: the caller knows where");
    let rpc_message = data(1) + 64;
    assert_eq!(RpcCmd(world.get::<MsgHeader>(rpc_message).cmd), RpcCmd::GET_TIME);
    world.put(rpc_message, &MsgHeader::default());
    world.put(rpc_message + 32, &value(Direction::Out, 42, 0));
    let at = Outcome { x, header };
    assert_eq!(world.resume(1, &at, [0; 4]).x, [0; 4]);
    assert_eq!(world.get::<MsgHeader>(message).ret, 0);
    assert_eq!(world.get::<MsgParam>(data(1)).a, 42);
    // No room for the RPC's message, unaligned, out of the buffer, an unknown cookie.
    for (cookie, offset) in [(5, 0x1FC0), (5, 0x2000), (5, 4), (5, 0xFFFF_FFF8), (6, 0)] {
        let x = world.smc(smc::OPTEE_SMC_CALL_WITH_REGD_ARG, [0, cookie, offset], 1);
        assert_eq!(x, [4, 0, 0, 0], "{offset:#x}");
    }
}

#[test]
fn bytes_of_registered_memory_are_found_page_by_page() {
    let world = NormalWorld::with_vms(&[1]);
    let pages = [data(1) + 0x2000, data(1), data(1) + 0x1000];
    // The buffer starts in the middle of its first page.
    let list = world.page_list(memory(1) + 0x2000, &pages) + 0x800;
    let param = Param::Tmem { dir: Direction::Out, buf_ptr: list, size: 0x2000, shm_ref: 5, noncontig: true };
    assert_eq!(world.call(1, Cmd::REGISTER_SHM, 0, 0, &[param.to_msg()]).result(), TeeResult::SUCCESS);
    world.tee.machine().poke(data(1) + 0x2FFE, b"na");
    world.tee.machine().poke(data(1), b"me");
    world.tee.machine().poke(data(1) + 0x1000, b"value");
    let session = world.open(1, &vault::UUID).unwrap();
    let (name, value) = (rmem(Direction::In, 5, 0x7FE, 4), rmem(Direction::In, 5, 0x1800, 5));
    assert_eq!(world.invoke(1, session, vault::CMD_PUT, &[name, value]), TeeResult::SUCCESS);
    let out = rmem(Direction::Out, 5, 0x7FD, 5);
    let name_again = tmem(Direction::In, data(1) + 0x3000, 4);
    world.tee.machine().poke(data(1) + 0x3000, b"name");
    assert_eq!(world.invoke(1, session, vault::CMD_GET, &[name_again, out]), TeeResult::SUCCESS);
    assert_eq!(world.tee.machine().peek(data(1) + 0x2FFD, 3), b"val");
    assert_eq!(world.tee.machine().peek(data(1), 2), b"ue");
}

#[test]
fn the_vault_keeps_replaces_and_forgets() {
    let world = NormalWorld::with_vms(&[1]);
    let session = world.open(1, &vault::UUID).unwrap();
    let put = |name: &str, text: &str| {
        world.tee.machine().poke(data(1), name.as_bytes());
        world.tee.machine().poke(data(1) + 0x100, text.as_bytes());
        let params =
            [tmem(Direction::In, data(1), name.len() as u64), tmem(Direction::In, data(1) + 0x100, text.len() as u64)];
        world.invoke(1, session, vault::CMD_PUT, &params)
    };
    let get = |name: &str, room: u64| {
        world.tee.machine().poke(data(1), name.as_bytes());
        let params = [tmem(Direction::In, data(1), name.len() as u64), tmem(Direction::Out, data(1) + 0x400, room)];
        let result = world.invoke(1, session, vault::CMD_GET, &params);
        let size = world.param(1, 1).b;
        (result, String::from_utf8(world.tee.machine().peek(data(1) + 0x400, size as usize)).unwrap_or_default())
    };
    assert_eq!(put("a", "first"), TeeResult::SUCCESS);
    assert_eq!(put("a", "second!"), TeeResult::SUCCESS);
    assert_eq!(get("a", 64), (TeeResult::SUCCESS, "second!".into()));
    assert_eq!(get("a", 3).0, TeeResult::SHORT_BUFFER);
    assert_eq!(world.param(1, 1).b, 7);
    assert_eq!(get("b", 64).0, TeeResult::ITEM_NOT_FOUND);
    for (name, text) in [("", "v"), ("n", ""), (&"n".repeat(33), "v"), ("n", &"v".repeat(257))] {
        assert_eq!(put(name, text), TeeResult::BAD_PARAMETERS);
    }
    for n in 1..vault::MAX_ENTRIES {
        assert_eq!(put(&format!("entry {n}"), "v"), TeeResult::SUCCESS);
    }
    assert_eq!(put("one more", "v"), TeeResult::STORAGE_NO_SPACE);
    world.tee.machine().poke(data(1), b"a");
    let delete = || world.invoke(1, session, vault::CMD_DELETE, &[tmem(Direction::In, data(1), 1)]);
    assert_eq!((delete(), delete()), (TeeResult::SUCCESS, TeeResult::ITEM_NOT_FOUND));
    assert_eq!(put("one more", "v"), TeeResult::SUCCESS);
}

#[test]
fn sessions_are_opened_only_as_the_protocol_says() {
    let world = NormalWorld::with_vms(&[1]);
    let bad = |params: &[MsgParam]| {
        let outcome = world.call(1, Cmd::OPEN_SESSION, 0, 77, params);
        assert_eq!((outcome.header.session, outcome.header.ret_origin), (0, Origin::Tee as u32));
        outcome.result()
    };
    let [target, client] = meta(&device::UUID);
    let login = |c| MsgParam { c, ..client };
    assert_eq!(bad(&[]), TeeResult::BAD_PARAMETERS);
    assert_eq!(bad(&[target]), TeeResult::BAD_PARAMETERS);
    assert_eq!(bad(&[MsgParam { attr: 1, ..target }, client]), TeeResult::BAD_PARAMETERS);
    assert_eq!(bad(&[target, MsgParam { attr: ATTR_META | 2, ..client }]), TeeResult::BAD_PARAMETERS);
    assert_eq!(bad(&[target, client, client]), TeeResult::BAD_PARAMETERS, "one meta parameter too many");
    assert_eq!(bad(&[target, client, MsgParam { attr: 4, ..client }]), TeeResult::BAD_PARAMETERS);
    assert_eq!(bad(&[target, login(3)]), TeeResult::BAD_PARAMETERS);
    assert_eq!(bad(&meta(&Uuid::from_bytes([7; 16]))), TeeResult::ITEM_NOT_FOUND);
    assert_eq!(world.call(1, Cmd::OPEN_SESSION, 0, 0, &[target, login(0x8000_0000)]).result(), TeeResult::SUCCESS);
    for (cmd, params) in [(Cmd::CLOSE_SESSION, &[][..]), (Cmd::CANCEL, &[]), (Cmd::INVOKE_COMMAND, &[])] {
        for session in [0, 1, 31, u32::MAX] {
            assert_eq!(world.call(1, cmd, 0, session, params).result(), TeeResult::BAD_PARAMETERS, "{cmd}");
        }
    }
    let session = world.open(1, &device::UUID).unwrap();
    for cmd in [Cmd::CLOSE_SESSION, Cmd::CANCEL] {
        assert_eq!(world.call(1, cmd, 0, session, &[client]).result(), TeeResult::BAD_PARAMETERS);
    }
    assert_eq!(world.call(1, Cmd::CANCEL, 0, session, &[]).result(), TeeResult::SUCCESS);
}

#[test]
fn a_session_of_one_vm_is_not_anothers() {
    let world = NormalWorld::with_vms(&[1, 2]);
    let session = world.open(1, &device::UUID).unwrap();
    assert_eq!(world.call(2, Cmd::CLOSE_SESSION, 0, session, &[]).result(), TeeResult::BAD_PARAMETERS);
    assert_eq!(world.call(1, Cmd::CLOSE_SESSION, 0, session, &[]).result(), TeeResult::SUCCESS);
}

#[test]
fn an_answer_leaves_the_rest_of_the_message_alone() {
    let world = NormalWorld::with_vms(&[1]);
    let session = world.open(1, &device::UUID).unwrap();
    let params = DIRECTIONS.map(|dir| value(dir, 0x1111, 0x2222));
    let before =
        MsgHeader { cmd: 1, func: 9, session, cancel_id: 0xCCCC, pad: 0xDDDD, num_params: 3, ..MsgHeader::default() };
    world.put(memory(1), &before);
    world.put(memory(1) + arg_size(0) as u64, &params);
    world.put(memory(1) + arg_size(3) as u64, &0x5555_5555u32);
    assert_eq!(world.call_at(1, memory(1)).x, [0; 4]);
    let after: MsgHeader = world.get(memory(1));
    assert_eq!(MsgHeader { ret: 0, ret_origin: 0, ..after }, before);
    assert_eq!(after.ret, TeeResult::NOT_IMPLEMENTED.0);
    assert_eq!(world.get::<[MsgParam; 3]>(memory(1) + arg_size(0) as u64), params);
    assert_eq!(world.get::<u32>(memory(1) + arg_size(3) as u64), 0x5555_5555);
}

/// Another CPU writes everywhere in the message and the page list after the TEE's every access.
#[test]
fn what_changes_after_it_was_read_changes_nothing() {
    for turn in 0..60 {
        let world = NormalWorld::with_vms(&[1]);
        let list = world.page_list(memory(1) + 0x2000, &[data(1); 3]);
        let param = Param::Tmem { dir: Direction::Out, buf_ptr: list, size: 0x3000, shm_ref: 5, noncontig: true };
        world.message(memory(1), Cmd::REGISTER_SHM, 0, 0, &[param.to_msg()]);
        let (mut first, secure) = (None, 0x0E10_0000u64.to_le_bytes());
        world.tee.machine().watch(Some(Box::new(move |n, _, ram| {
            if n >= *first.get_or_insert(n) + turn {
                // The result stays readable, everything else says that all is secure memory.
                ram.write(memory(1) + 0x2000, &secure.repeat(0x200));
                ram.write(memory(1) + 28, &u32::MAX.to_le_bytes());
                ram.write(memory(1) + 32, &secure.repeat(4));
            }
        })));
        let outcome = world.call_at(1, memory(1));
        world.tee.machine().watch(None);
        let registered = outcome.x == [0; 4] && outcome.header.ret == 0;
        let refused = outcome.x == [4, 0, 0, 0] || outcome.header.ret == TeeResult::BAD_PARAMETERS.0;
        assert!(registered || refused, "{turn}: {outcome:?}");
        if registered {
            // What was registered is what was checked.
            let session = world.open(1, &vault::UUID).unwrap();
            world.tee.machine().poke(data(1), b"checked");
            let name = rmem(Direction::In, 5, 0x1000, 7);
            assert_eq!(world.invoke(1, session, vault::CMD_PUT, &[name, name]), TeeResult::SUCCESS);
        }
        assert_eq!(registered, turn >= 3, "header, parameter and list were read by then");
    }
}

#[test]
fn a_foreign_interrupt_suspends_a_call_anywhere() {
    let world = NormalWorld::with_vms(&[1]);
    let session = world.open(1, &vault::UUID).unwrap();
    world.tee.machine().poke(data(1), b"name");
    let params = [tmem(Direction::In, data(1), 4), tmem(Direction::In, data(1), 4)];
    let mut interrupted = 0;
    for n in 0..12 {
        world.tee.machine().interrupt_after(n);
        let mut at = world.begin(1, Cmd::INVOKE_COMMAND, vault::CMD_PUT, session, &params);
        if at.rpc() == Some(Rpc::ForeignIntr) {
            interrupted += 1;
            assert_eq!(at.x[1..3], [0, 0]);
            // What the registers hold when it goes on is nothing to it.
            at = world.resume(1, &at, [u64::MAX; 4]);
        }
        assert_eq!(at.result(), TeeResult::SUCCESS, "{n}");
        world.tee.machine().interrupt_after(usize::MAX / 2);
    }
    assert_eq!(interrupted, 6, "header, two parameters, name, value, result");
}

/// A call is interrupted while it holds the vault's mutex, another one waits for it.
#[test]
fn a_call_that_finds_the_vault_taken_sleeps_and_is_woken() {
    let world = NormalWorld::with_vms(&[1]);
    let session = world.open(1, &vault::UUID).unwrap();
    world.tee.machine().poke(data(1), b"name");
    let name = tmem(Direction::In, data(1), 4);
    assert_eq!(world.invoke(1, session, vault::CMD_PUT, &[name, name]), TeeResult::SUCCESS);
    let get = [name, tmem(Direction::Out, data(1) + 0x100, 64)];
    // Header, two parameters and the name are read; then the value is written, with the mutex held.
    world.tee.machine().interrupt_after(4);
    let holder = world.begin(1, Cmd::INVOKE_COMMAND, vault::CMD_GET, session, &get);
    assert_eq!(holder.rpc(), Some(Rpc::ForeignIntr));
    let waiter = world.begin(1, Cmd::INVOKE_COMMAND, vault::CMD_DELETE, session, &[name]);
    let waiter = world.answer(1, &waiter);
    let rpc_message = memory(1) + 0x1000;
    let key = 1;
    let asked = |what: u64| {
        let (header, param): (MsgHeader, MsgParam) = (world.get(rpc_message), world.get(rpc_message + 32));
        assert_eq!((RpcCmd(header.cmd), param.a, param.b), (RpcCmd::NOTIFICATION, what, key));
    };
    assert_eq!(waiter.rpc(), Some(Rpc::Cmd));
    asked(0);
    // Woken for no reason, it sleeps again.
    let waiter = world.answer(1, &waiter);
    assert_eq!(waiter.rpc(), Some(Rpc::Cmd));
    asked(0);
    // The holder goes on, and wakes the waiter when it lets go.
    let holder = world.resume(1, &holder, [0; 4]);
    assert_eq!(holder.rpc(), Some(Rpc::Alloc));
    let holder = world.answer(1, &holder);
    asked(1);
    let holder = world.answer(1, &holder);
    assert_eq!(holder.rpc(), Some(Rpc::Free));
    assert_eq!(world.tee.machine().peek(data(1) + 0x100, 4), b"name", "the value came before it was deleted");
    world.answer(1, &holder);
    let waiter = world.answer(1, &waiter);
    assert_eq!(waiter.rpc(), Some(Rpc::Free));
    assert_eq!(world.answer(1, &waiter).x, [0; 4]);
    assert_eq!(world.invoke(1, session, vault::CMD_GET, &get), TeeResult::ITEM_NOT_FOUND);
}

/// VMs on CPUs of their own create, use and destroy at once.
#[test]
fn cpus_at_work_for_different_vms_do_not_disturb_each_other() {
    let world = NormalWorld::new();
    let before = world.tee.figures();
    thread::scope(|scope| {
        for vm in 1..=4 {
            let world = &world;
            scope.spawn(move || {
                for n in 0..50u64 {
                    assert_eq!(world.create(vm.into()), [0; 4]);
                    let session = world.open(vm, &vault::UUID).unwrap();
                    world.put(data(vm), &(n * 10 + u64::from(vm)));
                    let number = tmem(Direction::In, data(vm), 8);
                    assert_eq!(world.invoke(vm, session, vault::CMD_PUT, &[number, number]), TeeResult::SUCCESS);
                    let out = tmem(Direction::Out, data(vm) + 8, 8);
                    assert_eq!(world.invoke(vm, session, vault::CMD_GET, &[number, out]), TeeResult::SUCCESS);
                    assert_eq!(world.get::<u64>(data(vm) + 8), n * 10 + u64::from(vm));
                    assert_eq!(world.destroy(vm.into()), [0; 4]);
                }
            });
        }
    });
    assert_eq!(world.tee.figures(), before);
}

/// A VM is destroyed by one CPU while another one is inside a call of it.
#[test]
fn the_last_cpu_to_leave_a_destroyed_vm_reclaims_it() {
    let world = NormalWorld::new();
    let before = world.tee.figures();
    assert_eq!(world.create(1), [0; 4]);
    let session = world.open(1, &device::UUID).unwrap();
    world.message(memory(1), Cmd::INVOKE_COMMAND, 0, session, &[tmem(Direction::Out, data(1), 64)]);
    let (inside, at_work) = std::sync::mpsc::channel();
    let (go_on, may) = std::sync::mpsc::channel::<()>();
    let mut stopped = false;
    world.tee.machine().watch(Some(Box::new(move |_, _, _| {
        if !stopped {
            stopped = true;
            inside.send(()).unwrap();
            may.recv().unwrap();
        }
    })));
    thread::scope(|scope| {
        let call = scope.spawn(|| world.tee.smc(&[smc::OPTEE_SMC_CALL_WITH_ARG.0.into(), 0, memory(1), 0, 0, 0, 0, 1]));
        at_work.recv().unwrap();
        assert_eq!(world.destroy(1), [0; 4], "it does not wait");
        assert_eq!(world.destroy(1), [7, 0, 0, 0]);
        assert_eq!(world.create(1), [7, 0, 0, 0], "not before the last one has left");
        assert_eq!(world.smc(smc::OPTEE_SMC_CALLS_UID, [0; 3], 1), [7, 0, 0, 0]);
        assert_eq!(world.smc(smc::OPTEE_SMC_CALL_WITH_ARG, [0, memory(1), 0], 1), [7, 0, 0, 0]);
        go_on.send(()).unwrap();
        assert_eq!(call.join().unwrap(), [0; 4], "the call that was under way ends as it would have");
    });
    world.tee.machine().watch(None);
    assert_eq!(world.tee.figures(), before);
    assert_eq!(world.create(1), [0; 4]);
}
