// SPDX-License-Identifier: MIT OR Apache-2.0
//! OP-TEE issue 7182 and its neighbours: what a hostile hypervisor or VM sends, and the exact answers.

use firmware_support::board::VIRT;
use shared_abi::layout;
use shared_abi::optee_msg::{Cmd, Direction, MsgHeader, Param};
use shared_abi::optee_smc::{self as smc, ReturnCode, Rpc, from_halves, to_halves};
use shared_abi::pta::{device, stats, vault};
use shared_abi::smccc::FunctionId;
use shared_abi::tee::TeeResult;
use tee_core::host::normal_world::{NormalWorld, Outcome, RAM, data, memory, meta, rmem, tmem};
use tee_core::partition::layout::THREADS;

const OK: [u64; 4] = [0; 4];
const THREAD_LIMIT: [u64; 4] = [1, 0, 0, 0];
const BUSY: [u64; 4] = [2, 0, 0, 0];
const RESUME: [u64; 4] = [3, 0, 0, 0];
const BAD_ADDR: [u64; 4] = [4, 0, 0, 0];
const BAD_CMD: [u64; 4] = [5, 0, 0, 0];
const NOT_AVAIL: [u64; 4] = [7, 0, 0, 0];
const UNKNOWN: [u64; 4] = [u64::MAX, 0, 0, 0];

/// Runs a sequence, and then looks whether a new VM works and nothing was lost.
fn sequence(play: impl FnOnce(&NormalWorld)) {
    let world = NormalWorld::new();
    let before = world.tee.figures();
    play(&world);
    for id in 1..=u16::MAX {
        if world.tee.vms().is_empty() {
            break;
        }
        world.destroy(id.into());
    }
    assert_eq!(world.tee.figures(), before, "something was lost");
    assert_eq!(world.create(3), OK);
    let session = world.open(3, &device::UUID).unwrap();
    assert_eq!(world.call(3, Cmd::CLOSE_SESSION, 0, session, &[]).result(), TeeResult::SUCCESS);
    assert_eq!(world.destroy(3), OK);
    assert_eq!(world.tee.figures(), before, "something was lost");
}

/// A call that waits in its first RPC, for the normal world's time.
fn waiting(world: &NormalWorld, vm: u16) -> Outcome {
    let session = world.open(vm, &stats::UUID).unwrap();
    begin_wait(world, vm, session)
}

fn begin_wait(world: &NormalWorld, vm: u16, session: u32) -> Outcome {
    let out = Param::Value { dir: Direction::Out, value: [0; 3] }.to_msg();
    let at = world.begin(vm, Cmd::INVOKE_COMMAND, 4, session, &[out, out]);
    assert_eq!(at.rpc(), Some(Rpc::Alloc));
    at
}

#[test]
fn the_report_itself() {
    sequence(|world| {
        assert_eq!(world.create(0), NOT_AVAIL);
        assert_eq!(world.create(1), OK);
        assert_eq!(world.create(0), NOT_AVAIL);
        assert_eq!(world.create(2), OK);
    });
}

#[test]
fn an_id_with_high_bits_creates_nothing() {
    sequence(|world| {
        let before = world.tee.figures();
        for id in [0x1_0000, 0x1_0001, 0xFFFF_FFFF, 0x8000_0000] {
            assert_eq!(world.create(id), NOT_AVAIL);
        }
        assert_eq!(world.tee.figures(), before);
    });
}

#[test]
fn the_high_half_of_an_argument_is_not_part_of_it() {
    sequence(|world| {
        assert_eq!(world.create(0xFFFF_FFFF_0000_0001), OK);
        assert_eq!(world.create(0x1_0000_0000), NOT_AVAIL);
        let uid = smc::CALLS_UID.map(u64::from);
        assert_eq!(world.smc(smc::OPTEE_SMC_CALLS_UID, [0; 3], 0xABCD_0000_0001), uid);
        assert_eq!(world.smc(smc::OPTEE_SMC_CALLS_UID, [0; 3], 0x1_0001), NOT_AVAIL);
        assert_eq!(world.smc(smc::OPTEE_SMC_VM_DESTROYED, [0xFFFF_FFFF_0000_0001, 0, 0], 1 << 32), OK);
    });
}

#[test]
fn an_id_in_use_is_left_alone() {
    sequence(|world| {
        assert_eq!(world.create(1), OK);
        put_secret(world, 1);
        let before = world.tee.figures();
        assert_eq!(world.create(1), NOT_AVAIL);
        assert_eq!(world.tee.figures(), before);
        assert_eq!(get_secret(world, 1), Ok(*b"secret"));
    });
}

#[test]
fn only_the_hypervisor_says_who_exists() {
    sequence(|world| {
        assert_eq!(world.create(1), OK);
        for client in [1, 2, 0x1_0000, 0xFFFF_FFFF] {
            assert_eq!(world.smc(smc::OPTEE_SMC_VM_CREATED, [2, 0, 0], client), NOT_AVAIL);
            assert_eq!(world.smc(smc::OPTEE_SMC_VM_DESTROYED, [1, 0, 0], client), NOT_AVAIL);
        }
        assert_eq!(world.tee.figures().1, 1);
    });
}

#[test]
fn creation_until_memory_ends_and_again() {
    sequence(|world| {
        let count = (1..).take_while(|id| world.create(*id) == OK).count() as u64;
        assert!(count >= 48, "{count} VMs");
        assert_eq!(world.create(count + 1), NOT_AVAIL);
        assert_eq!(world.destroy(7), OK);
        assert_eq!(world.create(count + 1), OK);
        assert_eq!(world.create(7), NOT_AVAIL);
    });
}

#[test]
fn forty_eight_vms_have_a_session_each_and_their_whole_quota() {
    sequence(|world| {
        for vm in 1..=48 {
            assert_eq!(world.create(vm.into()), OK);
            world.open(vm, &vault::UUID).unwrap();
            let pages = [RAM.base; 2048];
            let registered = (1..).take_while(|n| world.register(vm, *n, &pages, 8 << 20) == TeeResult::SUCCESS);
            assert!(registered.count() > 10);
        }
    });
}

#[test]
fn destruction_of_what_does_not_exist() {
    sequence(|world| {
        assert_eq!(world.create(1), OK);
        for id in [0, 2, 0x1_0001, 0xFFFF_FFFF] {
            assert_eq!(world.destroy(id), NOT_AVAIL);
        }
        assert_eq!(world.destroy(1), OK);
        assert_eq!(world.destroy(1), NOT_AVAIL);
    });
}

#[test]
fn a_yielding_call_of_nobody() {
    sequence(|world| {
        assert_eq!(world.create(1), OK);
        world.message(memory(2), Cmd::OPEN_SESSION, 0, 0, &meta(&device::UUID));
        let (high, low) = to_halves(memory(2));
        let functions =
            [smc::OPTEE_SMC_CALL_WITH_ARG, smc::OPTEE_SMC_CALL_WITH_RPC_ARG, smc::OPTEE_SMC_CALL_WITH_REGD_ARG];
        for client in [0, 2, 0x1_0001, 0xFFFF_FFFF] {
            for function in functions.into_iter().chain([smc::OPTEE_SMC_CALL_RETURN_FROM_RPC]) {
                assert_eq!(world.smc(function, [high, low, 0], client), NOT_AVAIL);
            }
        }
        assert_eq!(world.get::<MsgHeader>(memory(2)).ret, 0);
    });
}

#[test]
fn a_message_where_none_can_be() {
    sequence(|world| {
        assert_eq!(world.create(1), OK);
        let places = [
            layout::TEE.base,
            layout::MONITOR.base,
            layout::FLASH.base,
            VIRT.uart.registers.base,
            VIRT.secure_uart.base,
            VIRT.distributor.base,
            RAM.base - 0x1000,
            RAM.end(),
            RAM.end() - 0x800,
            memory(1) + 1,
            memory(1) + 8,
            u64::MAX,
            u64::MAX - 0xFFF,
            1 << 52,
        ];
        for pa in places {
            assert_eq!(world.call_at(1, pa).x, BAD_ADDR, "{pa:#x}");
        }
    });
}

#[test]
fn more_parameters_than_a_message_can_have() {
    sequence(|world| {
        assert_eq!(world.create(1), OK);
        for num_params in [u32::MAX, 127, 128, 7, 1 << 31] {
            world.put(memory(1), &MsgHeader { num_params, ..MsgHeader::default() });
            assert_eq!(world.call_at(1, memory(1)).x, BAD_ADDR, "{num_params}");
        }
    });
}

#[test]
fn a_command_nobody_knows() {
    sequence(|world| {
        assert_eq!(world.create(1), OK);
        for cmd in [6, 7, 8, 11, 0xFFFF_FFFF] {
            assert_eq!(world.begin(1, Cmd(cmd), 0, 0, &[]).x, BAD_CMD);
        }
    });
}

/// VM 1, the hypervisor, and whom the TEE does not serve: one that never was, one that is gone, and no VM at all.
const CLIENTS: [u64; 6] = [1, 0, 2, 4, 0x1_0000, 0xFFFF_FFFF];

/// Makes VM 1, and one that is gone.
fn make_clients(world: &NormalWorld) {
    assert_eq!(world.create(1), OK);
    assert_eq!(world.create(4), OK);
    assert_eq!(world.destroy(4), OK);
}

#[test]
fn functions_nobody_defines() {
    sequence(|world| {
        make_clients(world);
        let known: Vec<u32> = smc::NAMES.iter().map(|(id, _)| id.0).collect();
        let ranges = [0x3200_0000..0x3200_0100u32, 0xB200_0000..0xB200_0100, 0xBF00_FF00..0xBF00_FF10];
        let ids = ranges.into_iter().flatten().flat_map(|id| [id, id | 1 << 30]).filter(|id| !known.contains(id));
        let not_offered = [
            smc::OPTEE_SMC_L2CC_MUTEX,
            smc::OPTEE_SMC_GET_SHM_CONFIG,
            smc::OPTEE_SMC_ENABLE_ASYNC_NOTIF,
            smc::OPTEE_SMC_GET_ASYNC_NOTIF_VALUE,
            smc::OPTEE_SMC_GET_PROTMEM_CONFIG,
        ];
        for id in ids.chain(not_offered.map(|function| function.0)) {
            // What stands above an SMC32's arguments is not part of them; an SMC64's are as wide as that.
            let seen = |x: u64| if id & 1 << 30 == 0 { x & 0xFFFF_FFFF } else { x };
            let x = [5 << 32 | 1, 6 << 32 | 2, 7 << 32 | 3];
            for client in CLIENTS {
                let [x1, x2, x3] = x.map(seen);
                assert_eq!(world.smc(FunctionId(id), x, client), [UNKNOWN[0], x1, x2, x3], "{id:#x} by {client:#x}");
            }
        }
    });
}

#[test]
fn functions_that_exist_but_not_for_everybody() {
    sequence(|world| {
        make_clients(world);
        let offered = smc::NAMES.iter().map(|(id, _)| *id).filter(|id| world.smc(*id, [0; 3], 1)[0] != UNKNOWN[0]);
        let offered: Vec<FunctionId> = offered.collect();
        assert_eq!(world.smc(smc::OPTEE_SMC_CALLS_COUNT, [0; 3], 0)[0], offered.len() as u64);
        for id in offered {
            for client in &CLIENTS[2..] {
                assert_eq!(world.smc(id, [1, 2, 3], *client), NOT_AVAIL, "{id:?} by {client:#x}");
            }
            if !id.is_fast() {
                assert_eq!(world.smc(id, [1, 2, 3], 0), NOT_AVAIL, "{id:?} by the hypervisor");
            }
        }
        assert_eq!(world.smc(smc::OPTEE_SMC_BOOT_SECONDARY, [0; 3], 0), NOT_AVAIL);
    });
}

#[test]
fn registering_what_is_not_the_normal_worlds() {
    sequence(|world| {
        assert_eq!(world.create(1), OK);
        let bad = TeeResult::BAD_PARAMETERS;
        for page in [layout::TEE.base, layout::MONITOR.base, RAM.end(), RAM.base + 8, u64::MAX - 0xFFF] {
            assert_eq!(world.register(1, 5, &[data(1), page], 0x2000), bad, "{page:#x}");
        }
        for list in [layout::TEE.base, layout::MONITOR.base, RAM.end(), u64::MAX - 0xFFF] {
            let param = Param::Tmem { dir: Direction::Out, buf_ptr: list, size: 0x1000, shm_ref: 5, noncontig: true };
            assert_eq!(world.call(1, Cmd::REGISTER_SHM, 0, 0, &[param.to_msg()]).result(), bad, "{list:#x}");
        }
        for size in [0, u64::MAX, u64::MAX - 0x1000, 1 << 40, 1_000_000 << 12] {
            assert_eq!(world.register(1, 5, &[data(1)], size), bad, "{size:#x}");
        }
        assert_eq!(world.register(1, 0, &[data(1)], 0x1000), bad);
        assert_eq!(world.register(1, 5, &[data(1)], 0x1000), TeeResult::SUCCESS);
        assert_eq!(world.register(1, 5, &[data(1)], 0x1000), bad, "the same cookie twice");
        assert_eq!(world.unregister(1, 6), bad);
        assert_eq!(world.unregister(1, 5), TeeResult::SUCCESS);
        assert_eq!(world.unregister(1, 5), bad);
    });
}

#[test]
fn a_page_list_that_loops_ends() {
    sequence(|world| {
        assert_eq!(world.create(1), OK);
        let list = memory(1) + 0x2000;
        world.page_list(list, &[data(1); 511]);
        world.put(list + 511 * 8, &list);
        let param = |size| Param::Tmem { dir: Direction::Out, buf_ptr: list, size, shm_ref: 5, noncontig: true };
        let register = |size| world.call(1, Cmd::REGISTER_SHM, 0, 0, &[param(size).to_msg()]).result();
        assert_eq!(register(1 << 32), TeeResult::BAD_PARAMETERS);
        assert_eq!(register(16385 << 12), TeeResult::BAD_PARAMETERS);
        // Within the bound a loop is but a list that names pages several times.
        assert_eq!(register(16384 << 12), TeeResult::SUCCESS);
    });
}

#[test]
fn offset_and_size_that_wrap() {
    sequence(|world| {
        assert_eq!(world.create(1), OK);
        assert_eq!(world.register(1, 5, &[data(1), data(1) + 0x1000], 0x1800), TeeResult::SUCCESS);
        let session = world.open(1, &device::UUID).unwrap();
        let invoke = |offs, size| world.invoke(1, session, 0, &[rmem(Direction::Out, 5, offs, size)]);
        for (offs, size) in
            [(u64::MAX, 1), (u64::MAX, 2), (1, u64::MAX), (0x1000, 0x801), (0x1801, 0), (1 << 63, 1 << 63)]
        {
            assert_eq!(invoke(offs, size), TeeResult::SECURITY, "{offs:#x} + {size:#x}");
        }
        assert_eq!(invoke(0x1000, 0x800), TeeResult::SUCCESS);
    });
}

#[test]
fn memory_references_to_what_is_not_the_normal_worlds() {
    sequence(|world| {
        assert_eq!(world.create(1), OK);
        let session = world.open(1, &device::UUID).unwrap();
        for (pa, size) in [
            (layout::TEE.base, 64),
            (RAM.end() - 32, 64),
            (VIRT.secure_uart.base, 4),
            (RAM.base, u64::MAX),
            (u64::MAX, 1),
        ] {
            assert_eq!(world.invoke(1, session, 0, &[tmem(Direction::Out, pa, size)]), TeeResult::BAD_PARAMETERS);
        }
    });
}

#[test]
fn an_allocation_answered_with_secure_memory() {
    sequence(|world| {
        assert_eq!(world.create(1), OK);
        let session = world.open(1, &stats::UUID).unwrap();
        for pa in [layout::TEE.base, layout::MONITOR.base, RAM.end(), RAM.base + 8, u64::MAX - 0xFFF] {
            let at = begin_wait(world, 1, session);
            let (high, low) = to_halves(pa);
            let at = world.resume(1, &at, [high, low, 0, 0x77]);
            assert_eq!((at.rpc(), from_halves(at.x[1], at.x[2])), (Some(Rpc::Free), 0x77));
            let end = world.resume(1, &at, OK);
            assert_eq!(end.result(), TeeResult::OUT_OF_MEMORY);
        }
        let at = begin_wait(world, 1, session);
        assert_eq!(world.resume(1, &at, OK).result(), TeeResult::OUT_OF_MEMORY, "a refusal");
    });
}

#[test]
fn resuming_what_does_not_wait() {
    sequence(|world| {
        assert_eq!((world.create(1), world.create(2)), (OK, OK));
        let resume = |vm: u64, token: u64| world.smc(smc::OPTEE_SMC_CALL_RETURN_FROM_RPC, [0, 0, token], vm);
        for token in (0..64).chain([u64::MAX, 0xFFFF_FFFF, 1 << 31]) {
            assert_eq!(resume(1, token), RESUME, "nothing waits");
        }
        let at = waiting(world, 1);
        let token = at.x[3];
        assert_eq!(resume(2, token), RESUME, "of another VM");
        assert_eq!(resume(9, token), NOT_AVAIL, "of an unknown VM");
        assert_eq!(resume(0, token), NOT_AVAIL, "of the hypervisor");
        assert_eq!(resume(1, token + 1), RESUME, "another thread");
        assert_eq!(resume(1, token + THREADS as u64), RESUME, "another suspension of the thread");
        let next = world.answer(1, &at);
        assert_eq!(next.rpc(), Some(Rpc::Cmd));
        assert_eq!(resume(1, token), RESUME, "the answer to the last question again");
        let next = world.answer(1, &next);
        let end = world.answer(1, &next);
        assert_eq!(end.result(), TeeResult::SUCCESS, "the real one goes on");
        assert_eq!(resume(1, next.x[3]), RESUME, "after the end");
    });
}

#[test]
fn a_vm_destroyed_while_its_call_waits() {
    sequence(|world| {
        assert_eq!(world.create(1), OK);
        let before = world.tee.figures();
        let at = waiting(world, 1);
        assert_eq!(world.destroy(1), OK);
        assert_eq!(world.resume(1, &at, OK).x, NOT_AVAIL);
        assert_eq!(world.create(1), OK);
        assert_eq!(world.tee.figures(), before);
        assert_eq!(world.resume(1, &at, OK).x, RESUME, "the new VM of this id knows nothing of it");
    });
}

#[test]
fn more_calls_than_threads() {
    sequence(|world| {
        assert_eq!((world.create(1), world.create(2)), (OK, OK));
        let session = world.open(1, &stats::UUID).unwrap();
        let waiting: Vec<_> = (0..THREADS).map(|_| begin_wait(world, 1, session)).collect();
        assert_eq!(world.call_at(1, memory(1)).x, THREAD_LIMIT);
        assert!(world.open(2, &device::UUID).is_ok(), "the other VM has its own");
        assert_eq!(world.resume(1, &waiting[2], OK).result(), TeeResult::OUT_OF_MEMORY);
        assert!(world.open(1, &device::UUID).is_ok());
    });
}

#[test]
fn ending_the_registration_of_memory_in_use() {
    sequence(|world| {
        assert_eq!(world.create(1), OK);
        assert_eq!(world.register(1, 5, &[data(1)], 0x1000), TeeResult::SUCCESS);
        let session = world.open(1, &stats::UUID).unwrap();
        let out = Param::Value { dir: Direction::Out, value: [0; 3] }.to_msg();
        world.message(data(1), Cmd::INVOKE_COMMAND, 4, session, &[out, out]);
        let x = world.smc(smc::OPTEE_SMC_CALL_WITH_REGD_ARG, [0, 5, 0], 1);
        assert_eq!(Rpc::from_x0(x[0]), Some(Rpc::Cmd), "the message for RPCs came with the call");
        assert_eq!(world.unregister(1, 5), TeeResult::BUSY);
        let at = Outcome { x, header: MsgHeader::default() };
        world.resume(1, &at, OK);
        assert_eq!(world.unregister(1, 5), TeeResult::SUCCESS);
    });
}

#[test]
fn the_shared_memory_cache_gives_back_what_it_keeps() {
    sequence(|world| {
        assert_eq!(world.create(1), OK);
        let disable = || world.smc(smc::OPTEE_SMC_DISABLE_SHM_CACHE, [0; 3], 1);
        let enable = || world.smc(smc::OPTEE_SMC_ENABLE_SHM_CACHE, [0; 3], 1);
        assert_eq!(disable(), NOT_AVAIL);
        assert_eq!(enable(), OK);
        let session = world.open(1, &stats::UUID).unwrap();
        let at = begin_wait(world, 1, session);
        assert_eq!((enable(), disable()), (BUSY, BUSY));
        let at = world.answer(1, &at);
        assert_eq!(world.answer(1, &at).result(), TeeResult::SUCCESS, "nothing is freed");
        let out = Param::Value { dir: Direction::Out, value: [0; 3] }.to_msg();
        let at = world.begin(1, Cmd::INVOKE_COMMAND, 4, session, &[out, out]);
        assert_eq!(at.rpc(), Some(Rpc::Cmd), "nothing is allocated");
        assert_eq!(world.answer(1, &at).result(), TeeResult::SUCCESS);
        assert_eq!(disable(), [ReturnCode::Ok as u64, 0, 0xA110C, 0]);
        assert_eq!(disable(), NOT_AVAIL);
    });
}

fn secret(world: &NormalWorld, vm: u16) -> u32 {
    world.tee.machine().poke(data(vm), b"name");
    world.open(vm, &vault::UUID).unwrap()
}

fn put_secret(world: &NormalWorld, vm: u16) {
    let session = secret(world, vm);
    world.tee.machine().poke(data(vm) + 0x100, b"secret");
    let params = [tmem(Direction::In, data(vm), 4), tmem(Direction::In, data(vm) + 0x100, 6)];
    assert_eq!(world.invoke(vm, session, vault::CMD_PUT, &params), TeeResult::SUCCESS);
}

fn get_secret(world: &NormalWorld, vm: u16) -> Result<[u8; 6], TeeResult> {
    let session = secret(world, vm);
    world.put(data(vm) + 0x200, &[0u8; 6]);
    let params = [tmem(Direction::In, data(vm), 4), tmem(Direction::Out, data(vm) + 0x200, 6)];
    world.invoke(vm, session, vault::CMD_GET, &params).ok().map(|()| world.get(data(vm) + 0x200))
}

#[test]
fn a_secret_is_its_vms_alone() {
    sequence(|world| {
        assert_eq!((world.create(1), world.create(2)), (OK, OK));
        put_secret(world, 1);
        assert_eq!(get_secret(world, 1), Ok(*b"secret"));
        assert_eq!(get_secret(world, 2), Err(TeeResult::ITEM_NOT_FOUND));
        assert_eq!((world.destroy(1), world.create(1)), (OK, OK));
        assert_eq!(get_secret(world, 1), Err(TeeResult::ITEM_NOT_FOUND), "a new VM of the same id");
    });
}
