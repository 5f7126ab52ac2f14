// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the mediator records.

use super::*;
use crate::trace::taken;
use shared_abi::trace::{Event, Owner, Refusal};

/// The events since the last look, all of which must be about the guest.
fn events() -> Vec<Event> {
    let taken = taken();
    assert!(taken.iter().all(|(client, _)| *client == 3), "{taken:?}");
    taken.into_iter().map(|(_, event)| event).collect()
}

fn memory(owner: Owner, ipa: u64, pages: u64) -> Event {
    Event::Memory { owner, base: machine(ipa), size: pages * PAGE_SIZE, ipa }
}

#[test]
fn a_buffer_is_shared_from_its_registration_to_its_end() {
    let mut guest = Guest::new();
    assert_eq!(guest.register(0xC0, 0, 2 * PAGE_SIZE, &[page(0), page(2)]), TeeResult::SUCCESS);
    let registered = Event::ShmRegister { cookie: 0xC0, pages: 2, first: machine(page(0)) };
    assert_eq!(events(), [memory(Owner::Shared, page(0), 1), memory(Owner::Shared, page(2), 1), registered]);
    assert_eq!(guest.unregister(0xC0), TeeResult::SUCCESS);
    let unregistered = Event::ShmUnregister { cookie: 0xC0 };
    assert_eq!(events(), [unregistered, memory(Owner::Vm, page(0), 1), memory(Owner::Vm, page(2), 1)]);
}

#[test]
fn a_page_of_two_buffers_stays_shared_until_both_are_gone() {
    let mut guest = Guest::new();
    guest.register(1, 0, PAGE_SIZE, &[page(0)]);
    guest.register(2, 0, PAGE_SIZE, &[page(0)]);
    events();
    guest.unregister(1);
    assert_eq!(events().last(), Some(&memory(Owner::Shared, page(0), 1)));
    guest.unregister(2);
    assert_eq!(events().last(), Some(&memory(Owner::Vm, page(0), 1)));
}

#[test]
fn a_buffer_that_the_tee_refuses_was_shared_for_a_while_but_never_registered() {
    let mut guest = Guest::new();
    guest.tee.then(|seen, x| seen.finish(&x, TeeResult::OUT_OF_MEMORY));
    guest.register(1, 0, PAGE_SIZE, &[page(0)]);
    assert_eq!(events(), [memory(Owner::Shared, page(0), 1), memory(Owner::Vm, page(0), 1)]);
}

#[test]
fn a_refusal_names_what_it_is_about_and_is_recorded_once() {
    let outside = RAM + PAGES * PAGE_SIZE;
    let refused = |reason, value| [Event::Refused { reason, value }];
    let mut guest = Guest::new();

    guest.send(outside);
    assert_eq!(events(), refused(Refusal::BadAddress, outside));
    guest.register(1, 0, 2 * PAGE_SIZE, &[page(0), outside]);
    assert_eq!(events(), refused(Refusal::BadAddress, outside));
    guest.resume(77);
    assert_eq!(events(), refused(Refusal::BadThread, 77));
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[rmem(Direction::In, 0, 1, 0xBAD)]);
    guest.send(RAM);
    assert_eq!(events(), refused(Refusal::UnknownCookie, 0xBAD));
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[MsgParam { attr: 0x205, ..Default::default() }]);
    guest.send(RAM);
    assert_eq!(events(), refused(Refusal::BadMessage, 0x205));
    guest.call(OPTEE_SMC_VM_DESTROYED, [1, 0, 0, 0, 0]);
    assert_eq!(events(), refused(Refusal::NotForCaller, u64::from(OPTEE_SMC_VM_DESTROYED.0)));
    guest.call(FunctionId(0xB200_0077), [0; 5]);
    assert_eq!(events(), refused(Refusal::UnknownFunction, 0xB200_0077));
    assert_eq!(guest.tee.calls.len(), 0);
}

#[test]
fn a_cookie_names_one_buffer_at_a_time() {
    let mut guest = Guest::new();
    guest.register(5, 0, PAGE_SIZE, &[page(0)]);
    events();
    guest.register(5, 0, PAGE_SIZE, &[page(1)]);
    assert_eq!(events(), [Event::Refused { reason: Refusal::InUse, value: 5 }]);
}
