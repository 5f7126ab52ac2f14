//! What a VM can have at a time.

use super::*;
use crate::mediator::buffer::{MAX_BUFFERS, MAX_PINNED_PAGES};
use crate::mediator::page_list::MAX_BUFFER_PAGES;

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

#[test]
fn buffers_and_their_pages_are_counted() {
    let mut guest = Guest::new();
    for cookie in 0..MAX_BUFFERS as u64 {
        assert_eq!(guest.register(cookie, 0, 1, &[page(cookie)]), TeeResult::SUCCESS);
    }
    assert_eq!(guest.register(99, 0, 1, &[page(0)]), TeeResult::OUT_OF_MEMORY);
    assert_eq!(guest.unregister(0), TeeResult::SUCCESS);
    assert_eq!(guest.register(99, 0, 1, &[page(0)]), TeeResult::SUCCESS);
    assert_eq!(guest.vm.pinned_pages(), MAX_BUFFERS);

    let mut guest = Guest::new();
    let pages: Vec<u64> = (0..MAX_BUFFER_PAGES as u64).map(page).collect();
    let size = MAX_BUFFER_PAGES as u64 * PAGE_SIZE;
    for cookie in 0..(MAX_PINNED_PAGES / MAX_BUFFER_PAGES) as u64 {
        assert_eq!(guest.register(cookie, 0, size, &pages), TeeResult::SUCCESS);
    }
    assert_eq!(guest.register(99, 0, 1, &pages), TeeResult::OUT_OF_MEMORY);
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
    assert_eq!(guest.tee.calls.len(), 0);
}

#[test]
fn list_pages_run_out_and_come_back() {
    let mut guest = Guest::new();
    let pages: Vec<u64> = (0..1024).map(page).collect();
    let list = RAM + PAGE_SIZE;
    guest.memory.list(list, pages);
    let big = tmem(list, 1024 * PAGE_SIZE, 1);
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[big; 4]);
    guest.tee.then(suspend(0));
    assert_eq!(guest.send(RAM), Rpc::ForeignIntr.x0());
    // Twelve of sixteen list pages are with the first call.
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[big; 2]);
    assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::OUT_OF_MEMORY));
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[big]);
    assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::SUCCESS));
    guest.tee.then(|_, _| [5, 0, 0, 0]);
    assert_eq!(guest.resume(0)[0], 5);
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[big; 4]);
    assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::SUCCESS));
}
