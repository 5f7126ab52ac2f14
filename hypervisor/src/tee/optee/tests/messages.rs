// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages, on their way to the TEE and back.

use super::*;

#[test]
fn a_message_is_copied_and_only_its_results_come_back() {
    let mut guest = Guest::new();
    let params = [
        value(Direction::In, [1, 2, 3]),
        value(Direction::Out, [4, 5, 6]),
        value(Direction::InOut, [7, 8, 9]),
        Param::None.to_msg(),
    ];
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &params);
    guest.tee.then(move |seen, x| {
        let pa = address(&x);
        assert_eq!(x, [u64::from(OPTEE_SMC_CALL_WITH_ARG.0), pa >> 32, pa & 0xFFFF_FFFF, 1, 0, 0, 0, 3]);
        assert_eq!((seen.header(pa).cmd, seen.header(pa).cancel_id), (Cmd::INVOKE_COMMAND.0, 77));
        for (n, param) in params.iter().enumerate() {
            assert_eq!(seen.param(pa, n as u64), *param);
            seen.set_param(pa, n as u64, MsgParam { a: 70, b: 80, c: 90, ..*param });
        }
        seen.set_header(pa, MsgHeader { num_params: 6, ..seen.header(pa) });
        seen.finish(&x, TeeResult::SUCCESS)
    });
    assert_eq!(guest.send(RAM), 0);
    assert_eq!(guest.memory.param(RAM, 0), params[0]);
    assert_eq!(guest.memory.param(RAM, 1), value(Direction::Out, [70, 80, 90]));
    assert_eq!(guest.memory.param(RAM, 2), value(Direction::InOut, [70, 80, 90]));
    assert_eq!(guest.memory.param(RAM, 3), params[3]);
    let header = guest.memory.header(RAM);
    assert_eq!((header.ret, header.ret_origin, header.session), (0, 3, 5));
    assert_eq!((header.cmd, header.cancel_id, header.num_params), (1, 77, 4));
}

#[test]
fn a_page_list_is_translated_and_the_guest_never_sees_the_addresses() {
    let mut guest = Guest::new();
    let list = page(0);
    guest.memory.list(list, [page(9), page(3), page(7)]);
    let param = Param::Tmem { dir: Direction::InOut, buf_ptr: list + 0x10, size: 0x2100, shm_ref: 8, noncontig: true };
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[param.to_msg()]);
    guest.tee.then(|seen, x| {
        let pa = address(&x);
        let param = seen.param(pa, 0);
        assert_eq!((param.attr, param.b, param.c), (0x20b, 0x2100, 8));
        assert_eq!(param.a & 0xFFF, 0x10);
        let pages = [page(9), page(3), page(7)].map(machine);
        assert_eq!(seen.list(param.a & !0xFFF, 3), pages);
        seen.set_param(pa, 0, MsgParam { a: 0xBAD, b: 0x20, c: 0xBAD, ..param });
        seen.finish(&x, TeeResult::SUCCESS)
    });
    assert_eq!(guest.send(RAM), 0);
    let after = Param::Tmem { dir: Direction::InOut, buf_ptr: list + 0x10, size: 0x20, shm_ref: 8, noncontig: true };
    assert_eq!(guest.memory.param(RAM, 0), after.to_msg());
}

#[test]
fn a_contiguous_buffer_becomes_a_list() {
    let mut guest = Guest::new();
    let param = Param::Tmem { dir: Direction::In, buf_ptr: page(4) + 8, size: 0x1000, shm_ref: 8, noncontig: false };
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[param.to_msg()]);
    guest.tee.then(|seen, x| {
        let param = seen.param(address(&x), 0);
        assert_eq!(param.attr, 0x209);
        assert_eq!(seen.list(param.a & !0xFFF, 2), [page(4), page(5)].map(machine));
        seen.set_param(address(&x), 0, MsgParam { b: 0x20, ..param });
        seen.finish(&x, TeeResult::SUCCESS)
    });
    assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::SUCCESS));
    assert_eq!(guest.memory.param(RAM, 0), param.to_msg(), "an input's size is not the TEE's to change");
}

#[test]
fn a_null_reference_stays_one() {
    let mut guest = Guest::new();
    let null = Param::Tmem { dir: Direction::Out, buf_ptr: 0, size: 64, shm_ref: 0, noncontig: false }.to_msg();
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[null]);
    guest.tee.then(move |seen, x| {
        assert_eq!(seen.param(address(&x), 0), null);
        seen.set_param(address(&x), 0, MsgParam { b: 4096, ..null });
        seen.finish(&x, TeeResult::SHORT_BUFFER)
    });
    assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::SHORT_BUFFER));
    assert_eq!(guest.memory.param(RAM, 0).b, 4096);
}

#[test]
fn a_long_list_is_followed_from_page_to_page() {
    let mut guest = Guest::new();
    let count = 1024;
    let pages: Vec<u64> = (0..count).map(|n| page(count - n)).collect();
    assert_eq!(guest.register(1, 0, count * PAGE_SIZE, &pages), TeeResult::SUCCESS);
    assert_eq!(guest.vm.pinned_pages(), 1024);
    let x = guest.tee.calls[0];
    let list = guest.tee.seen.param(address(&x), 0).a;
    assert_eq!(guest.tee.seen.list(list, 1024), pages.into_iter().map(machine).collect::<Vec<_>>());
}

#[test]
fn registered_memory_can_be_referred_to_until_it_is_unregistered() {
    let mut guest = Guest::new();
    assert_eq!(guest.register(0x55, 0x20, 0x1000, &[page(1), page(2)]), TeeResult::SUCCESS);
    assert_eq!(guest.vm.pinned_pages(), 2);
    let refer = |guest: &mut Guest, offs, size, cookie| {
        guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[rmem(Direction::InOut, offs, size, cookie)]);
        assert_eq!(guest.send(RAM), 0);
        guest.result(RAM)
    };
    assert_eq!(refer(&mut guest, 0, 0x1000, 0x55), TeeResult::SUCCESS);
    assert_eq!(refer(&mut guest, 0xFFF, 1, 0x55), TeeResult::SUCCESS);
    assert_eq!(refer(&mut guest, 1, 0x1000, 0x55), TeeResult::BAD_PARAMETERS);
    assert_eq!(refer(&mut guest, u64::MAX, 2, 0x55), TeeResult::BAD_PARAMETERS);
    assert_eq!(refer(&mut guest, 0, 1, 0x56), TeeResult::BAD_PARAMETERS);
    assert_eq!(guest.unregister(0x55), TeeResult::SUCCESS);
    assert_eq!(guest.vm.pinned_pages(), 0);
    assert_eq!(refer(&mut guest, 0, 1, 0x55), TeeResult::BAD_PARAMETERS);
}

#[test]
fn what_the_tee_did_not_register_is_not_registered() {
    let mut guest = Guest::new();
    guest.tee.then(|seen, x| seen.finish(&x, TeeResult::OUT_OF_MEMORY));
    assert_eq!(guest.register(0x55, 0, 0x1000, &[page(1)]), TeeResult::OUT_OF_MEMORY);
    assert_eq!(guest.vm.pinned_pages(), 0);
    assert_eq!(guest.register(0x55, 0, 0x1000, &[page(1)]), TeeResult::SUCCESS);
    guest.tee.then(|seen, x| seen.finish(&x, TeeResult::BUSY));
    assert_eq!(guest.unregister(0x55), TeeResult::BUSY);
    assert_eq!(guest.vm.pinned_pages(), 1);
}

#[test]
fn what_is_still_being_registered_cannot_be_unregistered() {
    let mut guest = Guest::new();
    let (list, other) = (RAM + PAGE_SIZE, RAM + 2 * PAGE_SIZE);
    guest.memory.list(list, [page(1)]);
    guest.memory.write(RAM, Cmd::REGISTER_SHM, &[tmem(list, 0x1000, 0x55)]);
    let message = guest.tee.seen.0.messages[0].pa().0;
    guest.tee.then(|_, _| [Rpc::ForeignIntr.x0(), 0, 0, 7]);
    assert_eq!(guest.send(RAM), Rpc::ForeignIntr.x0());
    // The TEE would agree, and the mediator would go on to believe in a buffer that the TEE has forgotten.
    guest.memory.write(other, Cmd::UNREGISTER_SHM, &[rmem(Direction::In, 0, 0, 0x55)]);
    assert_eq!((guest.send(other), guest.result(other)), (0, TeeResult::BUSY));
    guest.tee.then(move |seen, _| seen.finish(&[0, message >> 32, message, 0, 0, 0, 0, 0], TeeResult::SUCCESS));
    assert_eq!((guest.resume(7)[0], guest.result(RAM)), (0, TeeResult::SUCCESS));
    assert_eq!((guest.unregister(0x55), guest.vm.pinned_pages()), (TeeResult::SUCCESS, 0));
}

#[test]
fn a_message_in_registered_memory_goes_by_a_shadow_page() {
    let mut guest = Guest::new();
    assert_eq!(guest.register(0x1_0000_0055, 0x20, 0x2000, &[page(9), page(1), page(2)]), TeeResult::SUCCESS);
    guest.tee.calls.clear();
    // Offset 0x1000 of the buffer is 0x1020 after the first page's start.
    let ipa = page(1) + 0x20;
    guest.memory.write(ipa, Cmd::CLOSE_SESSION, &[]);
    assert_eq!(guest.call(OPTEE_SMC_CALL_WITH_REGD_ARG, [1, 0x55, 0x1000, 0, 0]), [0; 4]);
    assert_eq!(guest.tee.functions(), [OPTEE_SMC_CALL_WITH_RPC_ARG]);
    assert_eq!(guest.memory.header(ipa).session, 5);
    // It and the answer to an RPC, which is behind it, end with the page.
    guest.memory.write(page(9) + 0x1000 - 0xC0, Cmd::CLOSE_SESSION, &[]);
    assert_eq!(guest.call(OPTEE_SMC_CALL_WITH_REGD_ARG, [1, 0x55, 0x1000 - 0x20 - 0xC0, 0, 0]), [0; 4]);
    guest.tee.calls.pop();
    for (high, low, offset) in
        [(0, 0x55, 0), (1, 0x55, 0x2000), (1, 0x55, 4), (1, 0x55, 0xFFFF_FFF8), (1, 0x55, 0xFD8), (1, 0x55, 0xFA0)]
    {
        assert_eq!(guest.call(OPTEE_SMC_CALL_WITH_REGD_ARG, [high, low, offset, 0, 0])[0], 4, "{offset:#x}");
    }
    assert_eq!(guest.tee.calls.len(), 1);
}

#[test]
fn what_a_message_leaves_behind_is_cleared_for_the_next_ones_rpcs() {
    let mut guest = Guest::new();
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[value(Direction::In, [1, 2, 3]); 6]);
    assert_eq!(guest.send_rpc(RAM)[0], 0);
    guest.memory.write(RAM, Cmd::CLOSE_SESSION, &[]);
    guest.tee.then(|seen, x| {
        assert!((0..20).all(|n| seen.word(address(&x) + 32 + 8 * n) == 0));
        seen.finish(&x, TeeResult::SUCCESS)
    });
    assert_eq!(guest.send_rpc(RAM)[0], 0);
}

#[test]
fn what_the_tee_refuses_is_passed_on() {
    for code in [1, 2, 4, 5, 7, 0xFFFF_FFFF] {
        let mut guest = Guest::new();
        guest.memory.write(RAM, Cmd::CLOSE_SESSION, &[]);
        guest.tee.then(move |_, _| [code, 1, 2, 3]);
        assert_eq!(guest.call(OPTEE_SMC_CALL_WITH_ARG, [0, RAM, 0, 0, 0]), [code, 0, 0, 0]);
        assert_eq!(guest.memory.header(RAM).ret_origin, 0, "the message is as it was");
        assert_eq!(guest.send(RAM), 0, "and nothing is left of the call");
    }
}
