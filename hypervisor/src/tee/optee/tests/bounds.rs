// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a VM can have at a time.

use super::*;
use crate::tee::optee::buffer::{MAX_BUFFERS, MAX_PINNED_PAGES};
use crate::tee::optee::page_list::MAX_BUFFER_PAGES;

fn suspend(thread: u64) -> impl FnOnce(&Seen, [u64; 8]) -> [u64; 4] {
    move |_, _| [Rpc::ForeignIntr.x0(), 0, 0, thread]
}

#[test]
fn one_call_more_than_threads_is_told_to_wait() {
    let mut guest = Guest::new();
    guest.memory.write(RAM, Cmd::CLOSE_SESSION, &[]);
    for thread in 0..4 {
        guest.tee.then(suspend(thread));
        assert_eq!(guest.send(RAM), Rpc::ForeignIntr.x0());
    }
    assert_eq!(guest.send(RAM), ReturnCode::EThreadLimit as u64);
    assert_eq!(guest.tee.calls.len(), 4);
    guest.tee.then(|_, _| [0; 4]);
    assert_eq!(guest.resume(2)[0], 0);
    assert_eq!(guest.send(RAM), 0);
}

/// A page list of so many pages: all of them, over and over.
fn many(count: usize) -> Vec<u64> {
    (0..count as u64).map(|n| page(50 + n % 900)).collect()
}

#[test]
fn buffers_are_counted() {
    let mut guest = Guest::new();
    for cookie in 0..MAX_BUFFERS as u64 {
        assert_eq!(guest.register(cookie * 5 % 1024, 0, 1, &[page(cookie)]), TeeResult::SUCCESS);
    }
    assert_eq!(guest.register(2000, 0, 1, &[page(0)]), TeeResult::OUT_OF_MEMORY);
    assert_eq!(guest.unregister(7), TeeResult::SUCCESS);
    assert_eq!(guest.unregister(7), TeeResult::SUCCESS, "the TEE is asked, and agrees with everything");
    assert_eq!(guest.register(2000, 0, 1, &[page(0)]), TeeResult::SUCCESS);
    assert_eq!(guest.vm.pinned_pages(), MAX_BUFFERS);
}

#[test]
fn one_buffer_may_have_all_the_pages_that_a_vm_may_share() {
    let mut guest = Guest::new();
    let size = MAX_PINNED_PAGES as u64 * PAGE_SIZE;
    let pages = many(MAX_PINNED_PAGES);
    assert_eq!(guest.register(1, 0, size, &pages), TeeResult::SUCCESS);
    assert_eq!(guest.vm.pinned_pages(), MAX_PINNED_PAGES);
    let list = guest.tee.seen.param(address(&guest.tee.calls[0]), 0).a;
    assert_eq!(guest.tee.seen.list(list, MAX_PINNED_PAGES), pages.into_iter().map(machine).collect::<Vec<_>>());
    assert_eq!(guest.register(2, 0, 1, &[page(0)]), TeeResult::OUT_OF_MEMORY);
    assert_eq!(guest.unregister(1), TeeResult::SUCCESS);
    // Many make up the same sum.
    for cookie in 0..32 {
        assert_eq!(guest.register(cookie, 0, size / 32, &many(MAX_PINNED_PAGES / 32)), TeeResult::SUCCESS);
    }
    assert_eq!(guest.register(99, 0, 1, &[page(0)]), TeeResult::OUT_OF_MEMORY);
}

#[test]
fn a_buffer_of_too_many_pages_is_refused_before_its_list_is_read() {
    let mut guest = Guest::new();
    let size = MAX_BUFFER_PAGES as u64 * PAGE_SIZE;
    assert_eq!(guest.register(1, 1, size, &[]), TeeResult::OUT_OF_MEMORY);
    assert_eq!(guest.register(1, 0, 1 << 32, &[]), TeeResult::OUT_OF_MEMORY);
    assert_eq!(guest.register(1, 0xFFF, u64::MAX - 0xFFE, &[]), TeeResult::BAD_PARAMETERS);
    assert_eq!(guest.register(1, 0xFFF, u64::MAX, &[]), TeeResult::BAD_PARAMETERS);
    assert_eq!(guest.register(1, 0, 0, &[]), TeeResult::BAD_PARAMETERS);
    assert_eq!(guest.register(1, 8, 0, &[page(0)]), TeeResult::BAD_PARAMETERS, "nor of no bytes");
    assert_eq!(guest.tee.calls.len(), 0);
}

#[test]
fn list_pages_run_out_and_come_back() {
    let mut guest = Guest::new();
    // Twelve pages of list.
    let count = 12 * 511;
    let list = RAM + PAGE_SIZE;
    guest.memory.list(list, many(count));
    let big = tmem(list, count as u64 * PAGE_SIZE, 1);
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[big; 3]);
    guest.tee.then(suspend(0));
    assert_eq!(guest.send(RAM), Rpc::ForeignIntr.x0());
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[big; 2]);
    assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::OUT_OF_MEMORY));
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[big]);
    assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::SUCCESS));
    guest.tee.then(|_, _| [5, 0, 0, 0]);
    assert_eq!(guest.resume(0)[0], 5);
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[big; 4]);
    assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::SUCCESS));
}
