// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the TEE asks in the middle of a call.

use super::*;
use shared_abi::optee_msg::RpcCmd;

/// The RPC message behind a message without parameters.
const BEHIND: u64 = 32;

/// Asks with the message behind the call's: `cmd`, one parameter.
fn ask(cmd: RpcCmd, param: MsgParam) -> impl FnOnce(&Seen, [u64; 8]) -> [u64; 4] {
    move |seen, x| {
        let pa = if x[0] as u32 == OPTEE_SMC_CALL_RETURN_FROM_RPC.0 { seen.0.messages[0].pa().0 } else { address(&x) };
        let header =
            MsgHeader { cmd: cmd.0, ret: TeeResult::GENERIC.0, num_params: 1, pad: 0x5EC2E7, ..Default::default() };
        seen.set_header(pa + BEHIND, header);
        seen.set_param(pa + BEHIND, 0, param);
        [Rpc::Cmd.x0(), 0, 0, 1]
    }
}

/// The first call's RPC message, as the TEE finds it.
fn answer(guest: &Guest) -> (TeeResult, MsgParam) {
    let pa = guest.tee.seen.0.messages[0].pa().0 + BEHIND;
    (TeeResult(guest.tee.seen.header(pa).ret), guest.tee.seen.param(pa, 0))
}

/// A guest whose call waits for the answer to this request.
fn waiting(cmd: RpcCmd, param: MsgParam) -> Guest {
    let mut guest = Guest::new();
    guest.memory.write(RAM, Cmd::CLOSE_SESSION, &[]);
    guest.tee.then(ask(cmd, param));
    assert_eq!(guest.send_rpc(RAM), [Rpc::Cmd.x0(), 0, 0, 1]);
    let shown = guest.memory.header(RAM + BEHIND);
    assert_eq!((shown.cmd, shown.pad), (cmd.0, 0));
    guest
}

/// The guest answers.
fn reply(guest: &mut Guest, ret: TeeResult, param: MsgParam) -> [u64; 4] {
    let header = MsgHeader { ret: ret.0, ret_origin: 2, ..guest.memory.header(RAM + BEHIND) };
    guest.memory.set_block(RAM + BEHIND, transmute!(header));
    guest.memory.set_param(RAM + BEHIND, 0, param);
    guest.resume(1)
}

fn shm_alloc(size: u64) -> MsgParam {
    value(Direction::In, [1, size, 8])
}

#[test]
fn a_request_is_recorded_when_the_guest_is_shown_it() {
    crate::trace::taken();
    waiting(RpcCmd::NOTIFICATION, value(Direction::In, [0, 42, 0]));
    let event = shared_abi::trace::Event::Rpc { command: RpcCmd::NOTIFICATION.0 };
    assert_eq!(crate::trace::taken(), [(3, event)]);
}

#[test]
fn memory_that_a_guest_gives_on_request_is_shared_and_registered() {
    use shared_abi::trace::{Event, Owner};
    let mut guest = waiting(RpcCmd::SHM_ALLOC, shm_alloc(PAGE_SIZE));
    guest.memory.list(page(8), [page(0)]);
    guest.tee.then(|_, _| [0; 4]);
    crate::trace::taken();
    reply(&mut guest, TeeResult::SUCCESS, tmem(page(8), PAGE_SIZE, 0xC0));
    let (base, ipa) = (machine(page(0)), page(0));
    let shared = Event::Memory { owner: Owner::Shared, base, size: PAGE_SIZE, ipa };
    let registered = Event::ShmRegister { cookie: 0xC0, pages: 1, first: base };
    assert_eq!(crate::trace::taken(), [(3, shared), (3, registered)]);
}

#[test]
fn a_notification_goes_to_the_guest_and_its_result_comes_back() {
    let mut guest = waiting(RpcCmd::NOTIFICATION, value(Direction::In, [0, 42, 0]));
    assert_eq!(guest.memory.param(RAM + BEHIND, 0), value(Direction::In, [0, 42, 0]));
    guest.tee.then(|_, _| [0; 4]);
    let reply = reply(&mut guest, TeeResult::SUCCESS, value(Direction::InOut, [6, 6, 6]));
    assert_eq!(reply[0], 0);
    assert_eq!(answer(&guest), (TeeResult::SUCCESS, value(Direction::In, [0, 42, 0])), "an input stays what it was");
    let message = guest.tee.seen.0.messages[0].pa().0;
    assert_eq!(guest.tee.seen.header(message + BEHIND).ret_origin, 2, "the guest says where the result is from");
}

#[test]
fn an_output_is_shown_empty_and_taken() {
    let mut guest = waiting(RpcCmd::GET_TIME, value(Direction::Out, [0xDEAD, 0xBEEF, 0xF00D]));
    assert_eq!(guest.memory.param(RAM + BEHIND, 0), value(Direction::Out, [0; 3]), "it may be an old address");
    guest.tee.then(|_, _| [0; 4]);
    assert_eq!(reply(&mut guest, TeeResult::SUCCESS, value(Direction::In, [1, 2, 3]))[0], 0);
    assert_eq!(answer(&guest), (TeeResult::SUCCESS, value(Direction::Out, [1, 2, 3])));
}

#[test]
fn no_physical_address_is_shown() {
    let param = Param::Tmem { dir: Direction::In, buf_ptr: MACHINE, size: 9, shm_ref: 4, noncontig: false };
    let guest = waiting(RpcCmd::FS, param.to_msg());
    let shown = Param::Tmem { dir: Direction::In, buf_ptr: 0, size: 9, shm_ref: 4, noncontig: false };
    assert_eq!(guest.memory.param(RAM + BEHIND, 0), shown.to_msg());
}

#[test]
fn memory_that_the_guest_gives_is_translated_and_forgotten_when_it_is_freed() {
    let mut guest = waiting(RpcCmd::SHM_ALLOC, shm_alloc(0x1800));
    guest.memory.list(page(0), [page(5), page(2)]);
    guest.tee.then(ask(RpcCmd::SHM_FREE, value(Direction::In, [1, 0x77, 0])));
    let reply = reply(&mut guest, TeeResult::SUCCESS, tmem(page(0), 0x2000, 0x77));
    assert_eq!(reply[0], Rpc::Cmd.x0());
    assert_eq!(guest.vm.pinned_pages(), 0, "the TEE frees it");
    assert_eq!(guest.memory.param(RAM + BEHIND, 0), value(Direction::In, [1, 0x77, 0]));
}

#[test]
fn the_tee_gets_a_list_of_the_given_memory() {
    let mut guest = waiting(RpcCmd::SHM_ALLOC, shm_alloc(0x1800));
    guest.memory.list(page(0), [page(5), page(2)]);
    guest.tee.then(|_, _| [0; 4]);
    assert_eq!(reply(&mut guest, TeeResult::SUCCESS, tmem(page(0), 0x2000, 0x77))[0], 0);
    let (ret, param) = answer(&guest);
    assert_eq!((ret, param.attr, param.b, param.c), (TeeResult::SUCCESS, 0x20a, 0x2000, 0x77));
    let message = guest.tee.seen.0.messages[0].pa().0;
    assert_eq!(guest.tee.seen.header(message + BEHIND).ret_origin, 2);
    assert_eq!(guest.tee.seen.list(param.a, 2), [page(5), page(2)].map(machine));
    assert_eq!(guest.vm.pinned_pages(), 2);
    // Contiguous memory, as Linux gives it for small requests.
    let mut guest = waiting(RpcCmd::SHM_ALLOC, shm_alloc(8));
    let contiguous = Param::Tmem { dir: Direction::Out, buf_ptr: page(5), size: 0x1000, shm_ref: 1, noncontig: false };
    guest.tee.then(|_, _| [0; 4]);
    assert_eq!(reply(&mut guest, TeeResult::SUCCESS, contiguous.to_msg())[0], 0);
    assert_eq!(guest.tee.seen.list(answer(&guest).1.a, 1), [machine(page(5))]);
}

#[test]
fn memory_that_cannot_be_used_is_given_back_before_the_tee_hears_of_it() {
    let unusable = [
        tmem(page(0), 0x2000, 0x77),           // its list holds an address that is not the VM's
        tmem(0x0E10_0000, 0x2000, 0x77),       // its list is not the VM's
        tmem(page(0), 0x17FF, 0x77),           // too small
        tmem(page(0), u64::MAX - 0xFFF, 0x77), // too large
        tmem(0, 0x2000, 0x77),
    ];
    for param in unusable {
        let mut guest = waiting(RpcCmd::SHM_ALLOC, shm_alloc(0x1800));
        guest.memory.list(page(0), [page(5), 0x0E10_0000]);
        guest.tee.calls.clear();
        assert_eq!(reply(&mut guest, TeeResult::SUCCESS, param), [Rpc::Cmd.x0(), 0, 0, 1]);
        assert_eq!(guest.tee.calls.len(), 0);
        let request = guest.memory.header(RAM + BEHIND);
        assert_eq!((request.cmd, request.num_params), (RpcCmd::SHM_FREE.0, 1));
        assert_eq!(request.ret, TeeResult::GENERIC.0, "unless the guest says otherwise");
        assert_eq!(guest.memory.param(RAM + BEHIND, 0), value(Direction::In, [1, 0x77, 0]));
        guest.tee.then(|_, _| [0; 4]);
        assert_eq!(guest.resume(1)[0], 0);
        assert_eq!(answer(&guest).0, TeeResult::OUT_OF_MEMORY);
        assert_eq!(guest.vm.pinned_pages(), 0);
    }
}

#[test]
fn a_guest_that_has_no_memory_says_so() {
    let mut guest = waiting(RpcCmd::SHM_ALLOC, shm_alloc(0x1800));
    guest.tee.then(|_, _| [0; 4]);
    assert_eq!(reply(&mut guest, TeeResult::OUT_OF_MEMORY, tmem(0x0E10_0000, 0x2000, 0x77))[0], 0);
    assert_eq!(answer(&guest), (TeeResult::OUT_OF_MEMORY, shm_alloc(0x1800)));
    // Something else than memory.
    let mut guest = waiting(RpcCmd::SHM_ALLOC, shm_alloc(0x1800));
    guest.tee.then(|_, _| [0; 4]);
    assert_eq!(reply(&mut guest, TeeResult::SUCCESS, value(Direction::In, [0x0E10_0000; 3]))[0], 0);
    assert_eq!(answer(&guest), (TeeResult::OUT_OF_MEMORY, shm_alloc(0x1800)));
}

#[test]
fn memory_under_a_cookie_in_use_is_refused() {
    let mut guest = Guest::new();
    assert_eq!(guest.register(0x77, 0, 0x1000, &[page(1)]), TeeResult::SUCCESS);
    guest.memory.write(RAM, Cmd::CLOSE_SESSION, &[]);
    guest.tee.then(ask(RpcCmd::SHM_ALLOC, shm_alloc(8)));
    assert_eq!(guest.send_rpc(RAM)[0], Rpc::Cmd.x0());
    guest.memory.list(page(0), [page(5)]);
    assert_eq!(reply(&mut guest, TeeResult::SUCCESS, tmem(page(0), 0x1000, 0x77))[0], Rpc::Cmd.x0());
    assert_eq!(guest.vm.pinned_pages(), 1);
}

#[test]
fn an_rpc_that_cannot_be_shown_is_answered_for_the_guest_and_not_for_ever() {
    let mut guest = Guest::new();
    guest.memory.write(RAM, Cmd::CLOSE_SESSION, &[]);
    for _ in 0..5 {
        guest.tee.then(|seen, _| {
            let pa = seen.0.messages[0].pa().0 + BEHIND;
            seen.set_header(pa, MsgHeader { num_params: 5, ..Default::default() });
            [Rpc::Cmd.x0(), 0, 0, 1]
        });
    }
    assert_eq!(guest.send_rpc(RAM)[0], ReturnCode::EBadCmd as u64);
    assert_eq!(guest.tee.calls.len(), 5);
    assert_eq!(guest.resume(1)[0], ReturnCode::EResume as u64);
}

#[test]
fn memory_for_rpc_messages_takes_as_many_parameters_as_fit() {
    for (size, fits) in [(32, 0), (63, 0), (64, 1), (95, 1), (96, 2), (160, 4), (1000, 4)] {
        let mut guest = Guest::old();
        guest.memory.write(RAM, Cmd::CLOSE_SESSION, &[]);
        guest.tee.then(move |_, _| [Rpc::Alloc.x0(), size, 0, 1]);
        assert_eq!(guest.send(RAM), Rpc::Alloc.x0());
        for num_params in [fits + 1, fits] {
            guest.tee.then(move |seen, _| {
                let pa = seen.0.rpc_messages[0].pa().0;
                seen.set_header(pa, MsgHeader { cmd: RpcCmd::GET_TIME.0, num_params, ..Default::default() });
                [Rpc::Cmd.x0(), 7, 9, 1]
            });
        }
        let ipa = page(3);
        assert_eq!(guest.call(OPTEE_SMC_CALL_RETURN_FROM_RPC, [0, ipa, 1, 7, 9])[0], Rpc::Cmd.x0());
        assert_eq!(guest.memory.header(ipa).num_params, fits, "{size}");
    }
}

#[test]
fn memory_for_rpc_messages_is_shadowed_while_the_tee_has_it() {
    let mut guest = Guest::old();
    guest.memory.write(RAM, Cmd::CLOSE_SESSION, &[]);
    let call = |guest: &mut Guest| guest.call(OPTEE_SMC_CALL_WITH_ARG, [0, RAM, 0, 0, 0]);
    guest.tee.then(|_, _| [Rpc::Alloc.x0(), 160, 0, 1]);
    assert_eq!(call(&mut guest), [Rpc::Alloc.x0(), 160, 0, 1]);

    let ipa = page(3) + 0x100;
    guest.tee.then(|seen, x| {
        assert_eq!((x[3], x[4], x[5]), (1, 7, 9));
        let pa = address(&x);
        seen.set_header(pa, MsgHeader { cmd: RpcCmd::GET_TIME.0, num_params: 1, ..Default::default() });
        seen.set_param(pa, 0, value(Direction::Out, [0; 3]));
        [Rpc::Cmd.x0(), 7, 9, 1]
    });
    let answer = guest.call(OPTEE_SMC_CALL_RETURN_FROM_RPC, [0, ipa, 1, 7, 9]);
    assert_eq!(answer, [Rpc::Cmd.x0(), 7, 9, 1]);
    assert_eq!(guest.memory.header(ipa).cmd, RpcCmd::GET_TIME.0);
    guest.memory.set_param(ipa, 0, value(Direction::Out, [5, 6, 7]));

    guest.tee.then(|seen, _| {
        let pa = seen.0.rpc_messages[0].pa().0;
        assert_eq!(seen.param(pa, 0), value(Direction::Out, [5, 6, 7]));
        [Rpc::Free.x0(), 7, 9, 1]
    });
    assert_eq!(guest.resume(1), [Rpc::Free.x0(), 7, 9, 1]);
    // It is gone: a message there is one that nobody can answer.
    guest.tee.then(|_, _| [Rpc::Cmd.x0(), 7, 9, 1]);
    guest.tee.then(|_, _| [0; 4]);
    assert_eq!(guest.resume(1), [0; 4]);
}

#[test]
fn memory_is_given_back_whatever_the_tee_calls_the_suspension() {
    let mut guest = Guest::old();
    guest.memory.write(RAM, Cmd::CLOSE_SESSION, &[]);
    for round in 0..20 {
        let [asks, frees] = [2 * round + 1, 2 * round + 2];
        guest.tee.then(move |_, _| [Rpc::Alloc.x0(), 160, 0, asks]);
        assert_eq!(guest.send(RAM), Rpc::Alloc.x0());
        guest.tee.then(move |_, x| {
            assert_ne!(address(&x), 0, "{round}");
            [Rpc::Free.x0(), 7, 9, frees]
        });
        let answer = guest.call(OPTEE_SMC_CALL_RETURN_FROM_RPC, [0, page(1), asks, 7, 9]);
        assert_eq!(answer, [Rpc::Free.x0(), 7, 9, frees]);
        guest.tee.then(|_, _| [0; 4]);
        assert_eq!(guest.resume(frees), [0; 4]);
    }
}

#[test]
fn memory_that_is_no_memory_is_not_given_to_the_tee() {
    for (ipa, size) in
        [(0, 160), (page(1) + 1, 160), (page(1) + 0xF80, 160), (0x0E10_0000, 160), (page(1), 16), (page(1), u64::MAX)]
    {
        let mut guest = Guest::old();
        guest.memory.write(RAM, Cmd::CLOSE_SESSION, &[]);
        guest.tee.then(move |_, _| [Rpc::Alloc.x0(), size, 0, 1]);
        assert_eq!(guest.send(RAM), Rpc::Alloc.x0());
        guest.tee.then(|_, x| {
            assert_eq!((x[1], x[2], x[4], x[5]), (0, 0, 7, 9), "no address, but the cookie to free");
            [0; 4]
        });
        assert_eq!(guest.call(OPTEE_SMC_CALL_RETURN_FROM_RPC, [ipa >> 32, ipa, 1, 7, 9])[0], 0);
    }
}

#[test]
fn two_threads_cannot_have_the_same_memory() {
    let mut guest = Guest::old();
    guest.memory.write(RAM, Cmd::CLOSE_SESSION, &[]);
    for thread in [1, 2] {
        guest.tee.then(move |_, _| [Rpc::Alloc.x0(), 160, 0, thread]);
        assert_eq!(guest.send(RAM), Rpc::Alloc.x0());
    }
    guest.tee.then(|_, x| {
        assert_ne!(address(&x), 0);
        [Rpc::ForeignIntr.x0(), 0, 0, 1]
    });
    guest.call(OPTEE_SMC_CALL_RETURN_FROM_RPC, [0, page(1), 1, 7, 9]);
    guest.tee.then(|_, x| {
        assert_eq!((address(&x), x[4], x[5]), (0, 0, 0), "not even the cookie: it is not this thread's to free");
        [Rpc::Free.x0(), 7, 9, 2]
    });
    guest.call(OPTEE_SMC_CALL_RETURN_FROM_RPC, [0, page(2), 2, 7, 9]);
    // The second thread's attempt to free it has not taken the page from the first one.
    let pa = guest.tee.seen.0.rpc_messages[0].pa().0;
    guest.tee.seen.set_header(pa, MsgHeader { cmd: RpcCmd::SUSPEND.0, ..Default::default() });
    guest.tee.then(|_, _| [Rpc::Cmd.x0(), 7, 9, 1]);
    assert_eq!(guest.resume(1)[0], Rpc::Cmd.x0());
    assert_eq!(guest.memory.header(page(1)).cmd, RpcCmd::SUSPEND.0);
}

#[test]
fn cached_memory_is_forgotten_when_the_tee_gives_it_up() {
    let mut guest = Guest::old();
    guest.memory.write(RAM, Cmd::CLOSE_SESSION, &[]);
    guest.tee.then(|_, _| [Rpc::Alloc.x0(), 160, 0, 1]);
    guest.send(RAM);
    guest.tee.then(|_, _| [0; 4]);
    assert_eq!(guest.call(OPTEE_SMC_CALL_RETURN_FROM_RPC, [0, page(1), 1, 7, 9])[0], 0);
    guest.tee.then(|_, _| [0, 7, 9, 0]);
    assert_eq!(guest.call(OPTEE_SMC_DISABLE_SHM_CACHE, [0; 5]), [0, 7, 9, 0]);
    guest.tee.then(|_, _| [7, 1, 2, 3]);
    assert_eq!(guest.call(OPTEE_SMC_DISABLE_SHM_CACHE, [0; 5]), [7, 0, 0, 0]);
    // Its cookie is free for another memory.
    guest.tee.then(|_, _| [Rpc::Alloc.x0(), 160, 0, 1]);
    guest.send(RAM);
    guest.tee.then(|_, x| {
        assert_ne!(address(&x), 0);
        [0; 4]
    });
    guest.call(OPTEE_SMC_CALL_RETURN_FROM_RPC, [0, page(1), 1, 7, 9]);
}

#[test]
fn an_rpc_that_nobody_defines_goes_to_the_guest_without_its_registers() {
    let mut guest = Guest::new();
    guest.memory.write(RAM, Cmd::CLOSE_SESSION, &[]);
    guest.tee.then(|_, _| [0xFFFF_0009, 0x1234, 0x5678, 1]);
    assert_eq!(guest.send_rpc(RAM), [0xFFFF_0009, 0, 0, 1]);
    assert_eq!(guest.tee.answers.len(), 0);
    guest.tee.then(|_, _| [0; 4]);
    assert_eq!(guest.resume(1)[0], 0);
}
