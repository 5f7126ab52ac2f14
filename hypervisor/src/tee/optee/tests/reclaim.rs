// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel that takes another one's place, and what the other one left registered.

use super::*;
use crate::tee::optee::buffer::MAX_BUFFERS;

/// The guest's driver begins, as Linux's does.
fn begin(guest: &mut Guest) {
    assert_eq!(guest.call(OPTEE_SMC_EXCHANGE_CAPABILITIES, [0; 5])[0], 0);
    guest.tee.calls.clear();
}

/// A guest whose earlier kernel registered so many buffers, from this cookie on.
fn after_kexec(first: u64, count: usize) -> Guest {
    let mut guest = Guest::new();
    for cookie in (first..).take(count) {
        assert_eq!(guest.register(cookie, 0, 1, &[page(cookie % 900)]), TeeResult::SUCCESS);
    }
    begin(&mut guest);
    guest
}

/// The TEE registers no more than so many buffers, and forgets those that it is told to. Returns what it was asked, as
/// commands and cookies, when the next question comes.
fn tee_with_room(guest: &mut Guest, questions: usize, answer: impl Fn(Cmd, u64) -> TeeResult + Copy + 'static) {
    for _ in 0..questions {
        guest.tee.then(move |seen, x| {
            let pa = address(&x);
            let result = answer(Cmd(seen.header(pa).cmd), seen.param(pa, 0).c);
            seen.finish(&x, result)
        });
    }
}

/// What the TEE was asked: commands, and the cookies of their first parameters. Only of questions whose message still
/// stands.
fn last_asked(guest: &Guest) -> (Cmd, u64) {
    let pa = address(guest.tee.calls.last().unwrap());
    (Cmd(guest.tee.seen.header(pa).cmd), guest.tee.seen.param(pa, 0).c)
}

#[test]
fn when_the_table_is_full_what_an_earlier_kernel_left_goes() {
    let mut guest = after_kexec(0, MAX_BUFFERS);
    assert_eq!(guest.register(5000, 0, 1, &[page(1)]), TeeResult::SUCCESS);
    assert_eq!(guest.tee.calls.len(), MAX_BUFFERS + 1);
    assert_eq!(last_asked(&guest), (Cmd::REGISTER_SHM, 5000));
    assert_eq!(guest.vm.pinned_pages(), 1);
}

#[test]
fn as_long_as_there_is_room_nothing_goes() {
    let mut guest = after_kexec(0, 20);
    for cookie in 100..130 {
        assert_eq!(guest.register(cookie, 0, 1, &[page(1)]), TeeResult::SUCCESS);
    }
    assert_eq!(guest.vm.pinned_pages(), 50);
}

#[test]
fn what_the_new_kernel_uses_is_its_own() {
    let mut guest = after_kexec(0, MAX_BUFFERS);
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[rmem(Direction::In, 0, 1, 77)]);
    assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::SUCCESS));
    assert_eq!(guest.register(5000, 0, 1, &[page(1)]), TeeResult::SUCCESS);
    assert_eq!(guest.vm.pinned_pages(), 2);
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[rmem(Direction::In, 0, 1, 77)]);
    assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::SUCCESS));
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[rmem(Direction::In, 0, 1, 78)]);
    assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::BAD_PARAMETERS));
}

#[test]
fn a_cookie_that_an_earlier_kernel_had_is_free_for_the_new_one() {
    let mut guest = after_kexec(5, 3);
    assert_eq!(guest.register(6, 0, 1, &[page(9)]), TeeResult::SUCCESS);
    assert_eq!(guest.vm.pinned_pages(), 1);
    // Its own it cannot have twice.
    assert_eq!(guest.register(6, 0, 1, &[page(9)]), TeeResult::BAD_PARAMETERS);
}

#[test]
fn when_the_tee_lacks_room_what_an_earlier_kernel_left_goes_and_it_is_asked_again() {
    let mut guest = after_kexec(10, 2);
    guest.tee.then(|seen, x| seen.finish(&x, TeeResult::OUT_OF_MEMORY));
    assert_eq!(guest.register(1, 0, 1, &[page(9)]), TeeResult::SUCCESS);
    assert_eq!((guest.tee.calls.len(), guest.vm.pinned_pages()), (4, 1));
    assert_eq!(last_asked(&guest), (Cmd::REGISTER_SHM, 1));
    // Once. What it says then is what the guest hears.
    begin(&mut guest);
    tee_with_room(
        &mut guest,
        3,
        |cmd, _| if cmd == Cmd::REGISTER_SHM { TeeResult::OUT_OF_MEMORY } else { TeeResult::SUCCESS },
    );
    assert_eq!(guest.register(2, 0, 1, &[page(9)]), TeeResult::OUT_OF_MEMORY);
    assert_eq!((guest.tee.calls.len(), guest.vm.pinned_pages()), (3, 0));
}

#[test]
fn a_call_makes_room_once_whoever_begins_anew_meanwhile() {
    let mut guest = after_kexec(10, 1);
    let (message, list) = (RAM + 4 * PAGE_SIZE, RAM + 5 * PAGE_SIZE);
    guest.memory.list(list, [page(9)]);
    guest.memory.write(message, Cmd::REGISTER_SHM, &[tmem(list, 1, 1)]);
    guest.tee.then(|seen, x| seen.finish(&x, TeeResult::OUT_OF_MEMORY));
    guest.tee.then(|seen, x| seen.finish(&x, TeeResult::SUCCESS));
    guest.tee.then(|_, _| [Rpc::ForeignIntr.x0(), 0, 0, 2]);
    assert_eq!(guest.send(message), Rpc::ForeignIntr.x0());
    let pa = address(guest.tee.calls.last().unwrap());
    assert_eq!(guest.register(20, 0, 1, &[page(9)]), TeeResult::SUCCESS);
    begin(&mut guest);
    guest.tee.then(move |seen, _| seen.finish(&[0, pa >> 32, pa, 0, 0, 0, 0, 0], TeeResult::OUT_OF_MEMORY));
    assert_eq!((guest.resume(2)[0], guest.result(message)), (0, TeeResult::OUT_OF_MEMORY));
    assert_eq!((guest.tee.calls.len(), guest.vm.pinned_pages()), (1, 1));
}

#[test]
fn what_the_tee_does_not_let_go_of_stays_and_is_not_asked_for_again() {
    let mut guest = after_kexec(0, MAX_BUFFERS);
    tee_with_room(
        &mut guest,
        MAX_BUFFERS,
        |_, cookie| if cookie % 512 == 3 { TeeResult::BUSY } else { TeeResult::SUCCESS },
    );
    assert_eq!(guest.register(5000, 0, 1, &[page(1)]), TeeResult::SUCCESS);
    assert_eq!(guest.vm.pinned_pages(), 3);
    // All of it.
    let mut guest = after_kexec(0, MAX_BUFFERS);
    tee_with_room(&mut guest, MAX_BUFFERS, |_, _| TeeResult::BUSY);
    assert_eq!(guest.register(5000, 0, 1, &[page(1)]), TeeResult::OUT_OF_MEMORY);
    guest.tee.calls.clear();
    assert_eq!(guest.register(5000, 0, 1, &[page(1)]), TeeResult::OUT_OF_MEMORY);
    assert_eq!(guest.tee.calls.len(), 0);
    assert_eq!(guest.vm.pinned_pages(), MAX_BUFFERS);
}

#[test]
fn a_tee_without_a_free_thread_is_asked_when_the_guest_comes_again() {
    let mut guest = after_kexec(0, MAX_BUFFERS);
    guest.tee.then(|_, _| [ReturnCode::EThreadLimit as u64, 0, 0, 0]);
    guest.memory.list(RAM + PAGE_SIZE, [page(1)]);
    guest.memory.write(RAM, Cmd::REGISTER_SHM, &[tmem(RAM + PAGE_SIZE, 1, 5000)]);
    assert_eq!(guest.send(RAM), ReturnCode::EThreadLimit as u64);
    assert_eq!(guest.vm.pinned_pages(), MAX_BUFFERS);
    assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::SUCCESS));
    assert_eq!(guest.vm.pinned_pages(), 1);
}

#[test]
fn an_interrupt_meanwhile_goes_to_the_guest_and_the_rest_follows() {
    let mut guest = after_kexec(0, 2);
    guest.tee.then(|_, _| [Rpc::ForeignIntr.x0(), 0, 0, 2]);
    guest.memory.list(RAM + PAGE_SIZE, [page(1)]);
    guest.memory.write(RAM, Cmd::REGISTER_SHM, &[tmem(RAM + PAGE_SIZE, 1, 1)]);
    assert_eq!(guest.send_rpc(RAM), [Rpc::ForeignIntr.x0(), 0, 0, 2]);
    // Nobody uses what is going.
    let other = RAM + 2 * PAGE_SIZE;
    guest.memory.write(other, Cmd::INVOKE_COMMAND, &[rmem(Direction::In, 0, 1, 0)]);
    assert_eq!((guest.send(other), guest.result(other)), (0, TeeResult::BAD_PARAMETERS));
    guest.memory.write(other, Cmd::UNREGISTER_SHM, &[rmem(Direction::In, 0, 0, 0)]);
    assert_eq!((guest.send(other), guest.result(other)), (0, TeeResult::BUSY));
    guest.tee.then(|seen, _| {
        let pa = seen.0.messages[0].pa().0;
        assert_eq!((Cmd(seen.header(pa).cmd), seen.param(pa, 0).c), (Cmd::UNREGISTER_SHM, 0));
        seen.finish(&[0, pa >> 32, pa, 0, 0, 0, 0, 0], TeeResult::SUCCESS)
    });
    assert_eq!((guest.resume(2)[0], guest.result(RAM)), (0, TeeResult::SUCCESS));
    assert_eq!(guest.vm.pinned_pages(), 1);
}

#[test]
fn memory_for_rpc_messages_of_one_such_call_is_any_calls_to_give_back_when_the_next_one_begins() {
    let mut guest = after_kexec(0, 2);
    guest.memory.list(RAM + PAGE_SIZE, [page(1)]);
    guest.memory.write(RAM, Cmd::REGISTER_SHM, &[tmem(RAM + PAGE_SIZE, 1, 1)]);
    // The first of two asks for memory and is done; the second is interrupted.
    guest.tee.then(|_, _| [Rpc::Alloc.x0(), 160, 0, 1]);
    assert_eq!(guest.send(RAM), Rpc::Alloc.x0());
    let finish = |seen: &Seen| {
        let pa = seen.0.messages[0].pa().0;
        seen.finish(&[0, pa >> 32, pa, 0, 0, 0, 0, 0], TeeResult::SUCCESS)
    };
    guest.tee.then(move |seen, x| {
        assert_ne!(address(&x), 0);
        finish(seen)
    });
    guest.tee.then(|_, _| [Rpc::ForeignIntr.x0(), 0, 0, 1]);
    let given = guest.call(OPTEE_SMC_CALL_RETURN_FROM_RPC, [0, page(3), 1, 7, 9]);
    assert_eq!(given, [Rpc::ForeignIntr.x0(), 0, 0, 1]);
    // Another vCPU's call frees what the TEE kept, and is given the same once more.
    let other = RAM + 2 * PAGE_SIZE;
    guest.memory.write(other, Cmd::CLOSE_SESSION, &[]);
    guest.tee.then(|_, _| [Rpc::Free.x0(), 7, 9, 2]);
    assert_eq!(guest.send(other), Rpc::Free.x0());
    guest.tee.then(|_, _| [Rpc::Alloc.x0(), 160, 0, 2]);
    assert_eq!(guest.resume(2)[0], Rpc::Alloc.x0());
    guest.tee.then(|_, x| {
        assert_ne!(address(&x), 0, "its cookie is free");
        [0; 4]
    });
    assert_eq!(guest.call(OPTEE_SMC_CALL_RETURN_FROM_RPC, [0, page(3), 2, 7, 9])[0], 0);
    guest.tee.then(move |seen, _| finish(seen));
    assert_eq!((guest.resume(1)[0], guest.result(RAM)), (0, TeeResult::SUCCESS));
}

#[test]
fn what_the_guest_itself_unregisters_is_left_to_it() {
    let mut guest = after_kexec(0, MAX_BUFFERS);
    let other = RAM + 2 * PAGE_SIZE;
    guest.memory.write(other, Cmd::UNREGISTER_SHM, &[rmem(Direction::In, 0, 0, 0)]);
    guest.tee.then(|_, _| [Rpc::ForeignIntr.x0(), 0, 0, 2]);
    assert_eq!(guest.send(other), Rpc::ForeignIntr.x0());
    assert_eq!(guest.register(5000, 0, 1, &[page(1)]), TeeResult::SUCCESS);
    assert_eq!(guest.vm.pinned_pages(), 2, "the new one and that");
    guest.tee.then(|seen, _| {
        let pa = seen.0.messages[0].pa().0;
        assert_eq!(seen.param(pa, 0).c, 0);
        seen.finish(&[0, pa >> 32, pa, 0, 0, 0, 0, 0], TeeResult::SUCCESS)
    });
    assert_eq!((guest.resume(2)[0], guest.result(other)), (0, TeeResult::SUCCESS));
    assert_eq!(guest.vm.pinned_pages(), 1);
}

#[test]
fn what_the_guest_changed_meanwhile_is_looked_at_again() {
    let mut guest = after_kexec(0, MAX_BUFFERS);
    guest.tee.then(|_, _| [Rpc::ForeignIntr.x0(), 0, 0, 2]);
    guest.memory.list(RAM + PAGE_SIZE, [page(1)]);
    guest.memory.write(RAM, Cmd::REGISTER_SHM, &[tmem(RAM + PAGE_SIZE, 1, 5000)]);
    assert_eq!(guest.send(RAM), Rpc::ForeignIntr.x0());
    guest.memory.set(RAM + PAGE_SIZE, 0x0E10_0000);
    guest.tee.then(|seen, _| {
        let pa = seen.0.messages[0].pa().0;
        seen.finish(&[0, pa >> 32, pa, 0, 0, 0, 0, 0], TeeResult::SUCCESS)
    });
    assert_eq!((guest.resume(2)[0], guest.result(RAM)), (0, TeeResult::BAD_PARAMETERS));
    assert_eq!(guest.vm.pinned_pages(), 0);
}

#[test]
fn the_reports_case_fits_for_ever() {
    let mut guest = Guest::new();
    for kernel in 0..100 {
        begin(&mut guest);
        for cookie in 0..20 {
            // Every other kernel stands where the one before stood, and has the same cookies.
            let cookie = (kernel / 2) * 100 + cookie;
            assert_eq!(guest.register(cookie, 0, 1, &[page(cookie % 900)]), TeeResult::SUCCESS, "{kernel}");
        }
    }
    assert!(guest.vm.pinned_pages() <= MAX_BUFFERS);
}
