//! The CPU that a thread of the host plays.
//!
//! A suspended call of the TEE may go on under another thread of the host. So nothing here is inlined: the compiler could
//! keep the address of a thread's own variable across a suspension.

use super::context::Yielder;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::null;

/// What a CPU is doing.
#[derive(Clone, Copy)]
struct State {
    /// How often interrupts are masked.
    masked: usize,
    /// The way out of the thread of the TEE that runs; null on the CPU's own stack.
    thread: *const Yielder,
}

const IDLE: State = State { masked: 0, thread: null() };

thread_local! {
    static STATE: Cell<State> = const { Cell::new(IDLE) };
}

#[inline(never)]
fn state() -> State {
    STATE.get()
}

#[inline(never)]
fn set(state: State) {
    STATE.set(state);
}

/// Runs `f` as another CPU would, in the middle of what this one does.
pub fn elsewhere<R>(f: impl FnOnce() -> R) -> R {
    let here = state();
    set(IDLE);
    let result = f();
    set(here);
    result
}

/// The way out of the thread of the TEE that runs on this CPU; null if none does.
pub(super) fn thread() -> *const Yielder {
    state().thread
}

/// A thread of the TEE runs on this CPU from now on, or none. Returns what did before.
pub(super) fn set_thread(thread: *const Yielder) -> *const Yielder {
    let before = state();
    set(State { thread, ..before });
    before.thread
}

/// Interrupts are masked on this CPU for as long as it lives.
pub struct Masked(PhantomData<*const ()>);

impl Masked {
    /// Masks.
    #[expect(clippy::new_without_default, reason = "masking interrupts is nothing that goes without saying")]
    pub fn new() -> Self {
        let before = state();
        set(State { masked: before.masked + 1, ..before });
        Self(PhantomData)
    }

    /// Whether interrupts are masked.
    pub fn is() -> bool {
        state().masked != 0
    }
}

impl Drop for Masked {
    fn drop(&mut self) {
        let before = state();
        set(State { masked: before.masked - 1, ..before });
    }
}
