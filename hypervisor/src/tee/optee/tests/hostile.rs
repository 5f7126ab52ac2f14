// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a hostile guest tries. None of it may reach the TEE as more than the guest's own RAM, and none may panic.

use super::*;

const EBADADDR: u64 = ReturnCode::EBadAddr as u64;

#[test]
fn a_message_must_be_in_the_vms_own_ram() {
    let mut guest = Guest::new();
    guest.memory.write(RAM, Cmd::CLOSE_SESSION, &[]);
    let end = RAM + PAGES * PAGE_SIZE;
    let elsewhere = [0, 0x0E10_0000, 0x0900_0000, machine(RAM), end, RAM - PAGE_SIZE, !0xFFF, 1 << 63];
    for ipa in elsewhere.into_iter().chain([RAM + 8, RAM + 1, u64::MAX]) {
        assert_eq!(guest.send(ipa), EBADADDR, "{ipa:#x}");
        assert_eq!(guest.send_rpc(ipa)[0], EBADADDR, "{ipa:#x}");
    }
    assert_eq!(guest.tee.calls.len(), 0);
}

#[test]
fn the_high_halves_of_the_registers_are_not_part_of_the_address() {
    let mut guest = Guest::new();
    guest.memory.write(RAM, Cmd::CLOSE_SESSION, &[]);
    let dirt = 0xDEAD_BEEF_0000_0000;
    assert_eq!(guest.call(OPTEE_SMC_CALL_WITH_ARG, [dirt, dirt | RAM, dirt, dirt, dirt])[0], 0);
    assert!(guest.tee.calls[0].iter().all(|x| x >> 32 == 0));
}

#[test]
fn a_count_of_parameters_beyond_reason_is_refused() {
    for count in [7, 127, 128, 0x0800_0000, u32::MAX] {
        let mut guest = Guest::new();
        guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[]);
        guest.memory.set(RAM + 24, u64::from(count) << 32);
        assert_eq!(guest.send(RAM), EBADADDR, "{count}");
        assert_eq!(guest.tee.calls.len(), 0);
    }
}

#[test]
fn a_command_that_is_not_mediated_is_refused() {
    let mut guest = Guest::new();
    for cmd in [6, 7, 8, 9, 10, 11, 12, u32::MAX] {
        guest.memory.write(RAM, Cmd(cmd), &[]);
        assert_eq!(guest.send(RAM), ReturnCode::EBadCmd as u64, "{cmd}");
    }
    assert_eq!(guest.tee.calls.len(), 0);
}

#[test]
fn an_attribute_that_nobody_defines_is_refused() {
    let mut guest = Guest::new();
    for attr in [4, 8, 0xc, 0x205, 0x1_0009, 1 << 63 | 1] {
        guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[MsgParam { attr, a: RAM, b: 1, c: 0 }]);
        assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::BAD_PARAMETERS), "{attr:#x}");
        assert_eq!(guest.memory.header(RAM).ret_origin, 2);
    }
    assert_eq!(guest.tee.calls.len(), 0);
}

#[test]
fn a_page_list_of_anything_but_the_vms_ram_is_refused() {
    let end = RAM + PAGES * PAGE_SIZE;
    for bad in [0, 0x0E10_0000, machine(page(1)), end, page(1) + 8, page(1) + 1, u64::MAX, !0xFFF] {
        let mut guest = Guest::new();
        assert_eq!(guest.register(1, 0, 0x3000, &[page(1), page(2), bad]), TeeResult::BAD_PARAMETERS, "{bad:#x}");
        // The list itself somewhere else.
        let param = tmem(bad & !0xFFF | 8, 0x1000, 1);
        guest.memory.write(RAM, Cmd::REGISTER_SHM, &[param]);
        assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::BAD_PARAMETERS), "{bad:#x}");
        assert_eq!(guest.tee.calls.len(), 0);
        assert_eq!(guest.vm.pinned_pages(), 0);
    }
}

#[test]
fn a_contiguous_buffer_must_end_in_the_vms_ram() {
    let mut guest = Guest::new();
    let end = RAM + PAGES * PAGE_SIZE;
    for (buf_ptr, size) in [(end - 8, 9), (u64::MAX, 1), (u64::MAX - 7, 4096), (8, 8), (end, 1), (RAM + 8, u64::MAX)] {
        let param = Param::Tmem { dir: Direction::In, buf_ptr, size, shm_ref: 1, noncontig: false };
        guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[param.to_msg()]);
        assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::BAD_PARAMETERS), "{buf_ptr:#x}");
    }
    assert_eq!(guest.tee.calls.len(), 0);
}

#[test]
fn a_page_list_with_a_loop_ends_with_the_buffer() {
    let mut guest = Guest::new();
    let list = RAM + PAGE_SIZE;
    let register = |guest: &mut Guest, cookie, pages| {
        guest.memory.write(RAM, Cmd::REGISTER_SHM, &[tmem(list, pages * PAGE_SIZE, cookie)]);
        assert_eq!(guest.send(RAM), 0);
        guest.result(RAM)
    };
    guest.memory.list(list, (0..511).map(page));
    guest.memory.set(list + 511 * 8, list);
    assert_eq!(register(&mut guest, 1, 1024), TeeResult::SUCCESS);
    let seen = guest.tee.seen.param(address(&guest.tee.calls[0]), 0).a;
    assert_eq!(guest.tee.seen.list(seen, 1024), (0..1024).map(|n| machine(page(n % 511))).collect::<Vec<_>>());
    // A link is an address of the VM's, of a whole page.
    for link in [list + 4, list + 8, 0x0E10_0000, machine(list), u64::MAX] {
        guest.memory.set(list + 511 * 8, link);
        assert_eq!(register(&mut guest, 2, 1024), TeeResult::BAD_PARAMETERS, "{link:#x}");
        assert_eq!(register(&mut guest, 2, 512), TeeResult::BAD_PARAMETERS, "{link:#x}");
    }
    // One that nobody needs is not looked at.
    assert_eq!(register(&mut guest, 2, 511), TeeResult::SUCCESS);
}

#[test]
fn a_cookie_names_one_buffer_at_a_time() {
    let mut guest = Guest::new();
    assert_eq!(guest.register(1, 0, 0x1000, &[page(1)]), TeeResult::SUCCESS);
    assert_eq!(guest.register(1, 0, 0x1000, &[page(2)]), TeeResult::BAD_PARAMETERS);
    assert_eq!(guest.vm.pinned_pages(), 1);
    assert_eq!(guest.tee.calls.len(), 1);
}

#[test]
fn one_call_at_a_time_changes_what_a_cookie_names() {
    let (first, second) = (RAM + 4 * PAGE_SIZE, RAM + 5 * PAGE_SIZE);
    for registered in [false, true] {
        let mut guest = Guest::new();
        if registered {
            assert_eq!(guest.register(1, 0, 0x1000, &[page(1)]), TeeResult::SUCCESS);
        }
        guest.memory.write(first, Cmd::UNREGISTER_SHM, &[rmem(Direction::In, 0, 0, 1)]);
        guest.tee.then(|_, _| [Rpc::ForeignIntr.x0(), 0, 0, 0]);
        assert_eq!(guest.send(first), Rpc::ForeignIntr.x0());
        guest.tee.calls.clear();
        assert_eq!(guest.register(1, 0, 0x1000, &[page(2)]), TeeResult::BUSY);
        guest.memory.write(second, Cmd::UNREGISTER_SHM, &[rmem(Direction::In, 0, 0, 1)]);
        assert_eq!((guest.send(second), guest.result(second)), (0, TeeResult::BUSY));
        assert_eq!(guest.tee.calls.len(), 0);
        assert_eq!(guest.register(2, 0, 0x1000, &[page(2)]), TeeResult::SUCCESS, "another cookie's is another matter");
        guest.tee.then(|_, _| [0; 4]);
        assert_eq!(guest.resume(0)[0], 0);
        assert_eq!(guest.register(1, 0, 0x1000, &[page(2)]), TeeResult::SUCCESS);
        assert_eq!(guest.vm.pinned_pages(), 2);
    }
}

#[test]
fn registering_takes_exactly_one_buffer() {
    let mut guest = Guest::new();
    guest.memory.list(RAM + PAGE_SIZE, [page(1)]);
    let good = tmem(RAM + PAGE_SIZE, 0x1000, 1);
    let null = tmem(0, 0x1000, 1);
    let other = value(Direction::In, [1, 2, 3]);
    for params in [&[][..], &[good, good], &[good, other], &[null], &[other], &[Param::None.to_msg()]] {
        guest.memory.write(RAM, Cmd::REGISTER_SHM, params);
        assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::BAD_PARAMETERS), "{params:?}");
        guest.memory.write(RAM, Cmd::UNREGISTER_SHM, params);
        assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::BAD_PARAMETERS), "{params:?}");
    }
    assert_eq!(guest.tee.calls.len(), 0);
    assert_eq!(guest.vm.pinned_pages(), 0);
}

#[test]
fn what_the_guest_changes_after_the_copy_does_not_matter() {
    let mut guest = Guest::new();
    let list = page(0);
    guest.memory.list(list, [page(1)]);
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[tmem(list, 0x1000, 8), value(Direction::Out, [0; 3])]);
    guest.tee.then(|_, _| [Rpc::ForeignIntr.x0(), 0, 0, 0]);
    assert_eq!(guest.send(RAM), Rpc::ForeignIntr.x0());
    // While the call is suspended the guest rewrites all of it.
    guest.memory.set(list, 0x0E10_0000);
    guest.memory.write(RAM, Cmd::REGISTER_SHM, &[tmem(0x0E10_0000, 1 << 40, 1); 6]);
    let pa = address(&guest.tee.calls[0]);
    guest.tee.then(move |seen, _| {
        let param = seen.param(pa, 0);
        assert_eq!((seen.header(pa).cmd, seen.header(pa).num_params, param.b), (1, 2, 0x1000));
        assert_eq!(seen.list(param.a, 1), [machine(page(1))]);
        seen.set_param(pa, 1, value(Direction::Out, [1, 2, 3]));
        seen.set_header(pa, MsgHeader { ret: 0, ..seen.header(pa) });
        [0; 4]
    });
    assert_eq!(guest.resume(0)[0], 0);
    assert_eq!(guest.vm.pinned_pages(), 0);
    // Results go where the call's own parameters were, and nowhere else.
    assert_eq!(guest.memory.param(RAM, 1).a, 1);
    assert_eq!(guest.memory.param(RAM, 2), tmem(0x0E10_0000, 1 << 40, 1));
}

#[test]
fn only_a_suspended_call_of_this_vm_is_resumed_and_only_once() {
    let mut guest = Guest::new();
    guest.memory.write(RAM, Cmd::CLOSE_SESSION, &[]);
    guest.tee.then(|_, _| [Rpc::ForeignIntr.x0(), 0x11, 0x22, 2]);
    assert_eq!(guest.call(OPTEE_SMC_CALL_WITH_ARG, [0, RAM, 0, 0, 0]), [Rpc::ForeignIntr.x0(), 0, 0, 2]);
    guest.tee.calls.clear();
    for thread in [0, 1, 3, 0x1_0000, u32::MAX.into()] {
        assert_eq!(guest.resume(thread)[0], ReturnCode::EResume as u64, "{thread}");
    }
    assert_eq!(guest.tee.calls.len(), 0);
    guest.tee.then(|_, _| [0; 4]);
    assert_eq!(guest.call(OPTEE_SMC_CALL_RETURN_FROM_RPC, [8, 9, 2 | 7 << 32, 10, 11])[0], 0);
    let resumption = [u64::from(OPTEE_SMC_CALL_RETURN_FROM_RPC.0), 0x11, 0x22, 2, 0, 0, 0, 3];
    assert_eq!(guest.tee.calls, [resumption], "what the TEE said, not what the guest says");
    assert_eq!(guest.resume(2)[0], ReturnCode::EResume as u64);
}
