// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where records go on the host: to the test that asks for them.

use crate::arch::Arguments;
use shared_abi::trace::World;
use shared_abi::trace::event::{Conduit, Encoded, Event};
use std::cell::RefCell;
use std::sync::{Arc, Mutex};

/// What is told on the CPU, which is a thread of the host, that began it.
#[derive(Clone, Default)]
pub struct Tape(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    client: u16,
    events: Vec<(u16, Event)>,
}

thread_local! {
    static TAPE: RefCell<Option<Tape>> = const { RefCell::new(None) };
}

impl Tape {
    /// Begins a tape.
    pub fn begin() -> Self {
        let tape = Self::default();
        TAPE.set(Some(tape.clone()));
        tape
    }

    /// Finds the tape of this thread. Not inlined: see [`crate::arch::host::cpu`].
    #[inline(never)]
    fn own() -> Option<Self> {
        TAPE.with_borrow(Clone::clone)
    }

    /// Takes what was told since it was asked last, and about whom.
    pub fn take(&self) -> Vec<(u16, Event)> {
        std::mem::take(&mut self.0.lock().unwrap().events)
    }
}

/// Tells of an event.
pub fn write(client: Option<u16>, event: &Encoded) {
    if let Some(tape) = Tape::own() {
        let event = Event::decode(event).expect("what is told can be read");
        let mut told = tape.0.lock().unwrap();
        let client = client.unwrap_or(told.client);
        told.events.push((client, event));
    }
}

/// Tells that a call has arrived; from now on what this CPU tells is about who makes it.
pub fn called(x: &Arguments) {
    if let Some(tape) = Tape::own() {
        tape.0.lock().unwrap().client = x[7] as u16;
    }
    write(None, &Event::Call { conduit: Conduit::Smc, from: World::Normal, vcpu: 0, x: *x }.encode());
}

/// Tells last words.
pub fn write_last(event: &Encoded) {
    write(None, event);
}
