// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whom the TEE serves: VMs that a hypervisor creates, or whoever calls, by one partition. Never both.

use shared_abi::layout::{self, Range};
use shared_abi::optee_msg::{Cmd, Direction, PAGE_SIZE, Param};
use shared_abi::optee_smc::{self as smc, Rpc, SecureCaps, to_halves};
use shared_abi::pta::{device, stats, vault};
use shared_abi::smccc::FunctionId;
use shared_abi::tee::TeeResult;
use tee_core::app::pseudo::stats::CMD_GET_TIME;
use tee_core::host::monitor;
use tee_core::host::normal_world::{NormalWorld, Outcome, RAM, data, memory, meta, tmem};
use tee_core::mode::{Mode, ONE};
use tee_core::nexus::vms::Life;
use tee_core::partition::layout::{GUARANTEED, THREADS};

const OK: [u64; 4] = [0; 4];
const NOT_AVAIL: [u64; 4] = [7, 0, 0, 0];

/// What x7 can be: nobody's, the one partition's in the table, VMs', and what can be no VM's.
const CLIENTS: [u64; 8] = [0, 1, 2, 7, 0xFFFF, 0x1_0000, 0x1_0001, u64::MAX];

fn unknown(x: [u64; 3]) -> [u64; 4] {
    [u64::MAX, x[0], x[1], x[2]]
}

/// Calls with the message at client 0's place, as `client`, whose message it is not in a virtualized system.
fn call_as(world: &NormalWorld, client: u64) -> [u64; 4] {
    let (high, low) = to_halves(memory(0));
    world.smc(smc::OPTEE_SMC_CALL_WITH_ARG, [high, low, 0], client)
}

fn put(world: &NormalWorld, client: u16, secret: &[u8]) -> TeeResult {
    let session = world.open(client, &vault::UUID).unwrap();
    world.tee.machine().poke(data(client), b"name");
    world.tee.machine().poke(data(client) + 64, secret);
    let params = [tmem(Direction::In, data(client), 4), tmem(Direction::In, data(client) + 64, secret.len() as u64)];
    world.invoke(client, session, vault::CMD_PUT, &params)
}

fn get(world: &NormalWorld, client: u16) -> Result<Vec<u8>, TeeResult> {
    let session = world.open(client, &vault::UUID)?;
    world.tee.machine().poke(data(client), b"name");
    let params = [tmem(Direction::In, data(client), 4), tmem(Direction::Out, data(client) + 64, 64)];
    world.invoke(client, session, vault::CMD_GET, &params).ok()?;
    Ok(world.tee.machine().peek(data(client) + 64, world.param(client, 1).b as usize))
}

#[test]
fn one_normal_world_has_all_that_a_vm_has() {
    let world = NormalWorld::single();
    assert_eq!(put(&world, 0, b"secret"), TeeResult::SUCCESS);
    assert_eq!(get(&world, 0), Ok(b"secret".to_vec()));
    assert_eq!(world.register(0, 5, &[data(0)], 0x1000), TeeResult::SUCCESS);
    assert_eq!(world.unregister(0, 5), TeeResult::SUCCESS);
    assert_eq!(world.smc(smc::OPTEE_SMC_ENABLE_SHM_CACHE, [0; 3], 0), OK);
    assert_eq!(world.smc(smc::OPTEE_SMC_GET_THREAD_COUNT, [0; 3], 0), [0, THREADS as u64, 0, 0]);
    // A call that asks the normal world something goes on with the answer.
    let session = world.open(0, &stats::UUID).unwrap();
    let out = Param::Value { dir: Direction::Out, value: [0; 3] }.to_msg();
    assert_eq!(world.invoke(0, session, CMD_GET_TIME, &[out, out]), TeeResult::SUCCESS);
    assert_eq!(world.param(0, 0).a, 1234, "what the normal world says");
}

#[test]
fn the_one_partition_is_there_from_boot_and_made_as_every_other() {
    let world = NormalWorld::single();
    let state = |world: &NormalWorld| {
        world.tee.vms().look(ONE, |state| (state.life(), state.inside(), state.pages().len())).unwrap()
    };
    assert_eq!(state(&world), (Life::Created, 0, GUARANTEED));
    let virtualized = NormalWorld::with_vms(&[ONE.get()]);
    assert_eq!(state(&virtualized), state(&world));
    assert_eq!(world.tee.figures(), virtualized.tee.figures());
    world.open(0, &device::UUID).unwrap();
    assert_eq!(state(&world).0, Life::Ready);
}

#[test]
fn nobody_is_created_or_destroyed_where_one_is_served() {
    let world = NormalWorld::single();
    assert_eq!(put(&world, 0, b"secret"), TeeResult::SUCCESS);
    let before = world.tee.figures();
    for client in CLIENTS {
        for id in [0, 1, 2, 0xFFFF, 0x1_0000, 0x1_0001, 0xFFFF_FFFF] {
            for function in [smc::OPTEE_SMC_VM_CREATED, smc::OPTEE_SMC_VM_DESTROYED] {
                let x = [id, 5, 6];
                assert_eq!(world.smc(function, x, client), unknown(x), "{function:?} of {id:#x} by {client:#x}");
            }
        }
    }
    assert_eq!(world.tee.figures(), before);
    assert_eq!(get(&world, 0), Ok(b"secret".to_vec()));
}

#[test]
fn where_one_is_served_x7_says_nothing() {
    let world = NormalWorld::single();
    assert_eq!(put(&world, 0, b"secret"), TeeResult::SUCCESS);
    for client in CLIENTS {
        let fast = |function| world.smc(function, [0; 3], client);
        assert_eq!(fast(smc::OPTEE_SMC_CALLS_UID), smc::CALLS_UID.map(u64::from));
        assert_eq!(fast(smc::OPTEE_SMC_ENABLE_SHM_CACHE), OK);
        world.message(memory(0), Cmd::OPEN_SESSION, 0, 0, &meta(&vault::UUID));
        assert_eq!(call_as(&world, client), OK, "{client:#x}");
    }
    // All these are one: their sessions are in one table, and their calls are on the same threads.
    let session = world.open(0, &stats::UUID).unwrap();
    let out = Param::Value { dir: Direction::Out, value: [0; 3] }.to_msg();
    world.message(memory(0), Cmd::INVOKE_COMMAND, CMD_GET_TIME, session, &[out, out]);
    let waiting = call_as(&world, 7);
    assert_eq!(Rpc::from_x0(waiting[0]), Some(Rpc::Alloc));
    let at = Outcome { x: waiting, header: world.get(memory(0)) };
    assert_eq!(world.answer(0, &at).rpc(), Some(Rpc::Cmd), "who resumes it has another number, and is the same");
    assert_eq!(world.tee.figures().1, 1);
}

#[test]
fn what_linux_asks_where_one_is_served() {
    let ask = |world: &NormalWorld, function| world.smc(function, [0; 3], 0);
    let caps = SecureCaps::DYNAMIC_SHM | SecureCaps::UNREGISTERED_SHM | SecureCaps::MEMREF_NULL | SecureCaps::RPC_ARG;
    let single = NormalWorld::single();
    assert_eq!(ask(&single, smc::OPTEE_SMC_EXCHANGE_CAPABILITIES), [0, caps.bits().into(), 0, 4]);
    assert_eq!(ask(&single, smc::OPTEE_SMC_DISABLE_SHM_CACHE), NOT_AVAIL);
    let virtualized = NormalWorld::new();
    let caps = caps | SecureCaps::VIRTUALIZATION;
    assert_eq!(ask(&virtualized, smc::OPTEE_SMC_EXCHANGE_CAPABILITIES), [0, caps.bits().into(), 0, 4]);
    for world in [&single, &virtualized] {
        let offered = smc::NAMES.iter().filter(|(id, _)| ask(world, *id)[0] != u64::MAX).count();
        assert_eq!(ask(world, smc::OPTEE_SMC_CALLS_COUNT), [offered as u64, 0, 0, 0]);
    }
}

#[test]
fn what_nobody_defines_is_unknown_where_one_is_served() {
    let world = NormalWorld::single();
    for id in [0x3200_0000, 0x3200_0005, 0x7200_0004, 0x7200_0003, 0xB200_0007, 0xF200_000D, 0xBF00_FF02] {
        for client in CLIENTS {
            assert_eq!(world.smc(FunctionId(id), [1, 2, 3], client), unknown([1, 2, 3]), "{id:#x} by {client:#x}");
        }
    }
}

#[test]
fn the_hypervisor_has_no_partition_where_vms_are_served() {
    for vms in [&[][..], &[1], &[1, 2]] {
        let world = NormalWorld::with_vms(vms);
        world.message(memory(0), Cmd::OPEN_SESSION, 0, 0, &meta(&vault::UUID));
        assert_eq!(call_as(&world, 0), NOT_AVAIL);
        assert_eq!(world.smc(smc::OPTEE_SMC_ENABLE_SHM_CACHE, [0; 3], 0), NOT_AVAIL);
        assert_eq!(world.smc(smc::OPTEE_SMC_CALL_RETURN_FROM_RPC, [0; 3], 0), NOT_AVAIL);
    }
    assert_eq!(NormalWorld::new().tee.figures().1, 0, "nobody is there from boot on");
}

#[test]
fn a_tee_that_has_no_memory_for_the_one_is_none() {
    let pages = |count: usize| Range::new(layout::TEE.base, (count * PAGE_SIZE) as u64);
    let boot = |mode, count| monitor::boot_as(mode, RAM, &[RAM], pages(count));
    assert!(boot(Mode::Single, GUARANTEED - 1).is_none());
    assert_eq!(boot(Mode::Single, GUARANTEED).unwrap().figures(), (0, 1));
    assert_eq!(boot(Mode::Virtualized, 0).unwrap().figures(), (0, 0));
}
