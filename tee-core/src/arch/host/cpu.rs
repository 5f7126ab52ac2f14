// SPDX-License-Identifier: MIT OR Apache-2.0
//! The CPU that a thread of the host plays.
//!
//! A suspended call of the TEE may go on under another thread of the host. So nothing here is inlined: the compiler
//! could keep the address of a thread's own variable across a suspension.

use super::context::Yielder;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::ptr::null;
use std::sync::Mutex;

/// CPUs that a thread of the host can play, one at a time.
pub const EACH: usize = 4;

/// Which threads of the host play CPUs, by number: so that each CPU has one of its own.
static THREADS: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

/// A number that no other thread of the host has.
struct Number(usize);

impl Number {
    fn new() -> Self {
        let mut threads = THREADS.lock().unwrap();
        let number = (0..).find(|number| !threads.contains(number)).expect("there are fewer threads than numbers");
        threads.insert(number);
        Self(number)
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        THREADS.lock().unwrap().remove(&self.0);
    }
}

/// What the CPU that runs is doing.
struct State {
    /// Which of the thread's CPUs it is.
    which: Cell<usize>,
    /// Whether it is in a call.
    in_call: Cell<bool>,
    /// How often interrupts are masked.
    masked: Cell<usize>,
    /// The way out of the thread of the TEE that runs; null on the CPU's own stack.
    thread: Cell<*const Yielder>,
}

impl State {
    const fn idle(which: usize) -> Self {
        let (which, in_call) = (Cell::new(which), Cell::new(false));
        Self { which, in_call, masked: Cell::new(0), thread: Cell::new(null()) }
    }

    fn swap(&self, other: &Self) {
        self.which.swap(&other.which);
        self.in_call.swap(&other.in_call);
        self.masked.swap(&other.masked);
        self.thread.swap(&other.thread);
    }
}

thread_local! {
    static NUMBER: Number = Number::new();
    static STATE: State = const { State::idle(0) };
}

/// Returns the CPU's number.
#[inline(never)]
pub fn index() -> usize {
    NUMBER.with(|number| number.0) * EACH + STATE.with(|state| state.which.get())
}

/// Runs `f` on another CPU of this thread of the host, which does nothing else. The current one stands still meanwhile.
pub fn on<R>(which: usize, f: impl FnOnce() -> R) -> R {
    assert!(which < EACH, "there are not so many CPUs");
    let back = Back(State::idle(which));
    swap(&back.0);
    f()
}

/// What a CPU was doing, and does again when this is dropped, also by a panic of the test.
struct Back(State);

impl Drop for Back {
    fn drop(&mut self) {
        swap(&self.0);
    }
}

#[inline(never)]
fn swap(other: &State) {
    STATE.with(|state| state.swap(other));
}

/// Runs `f` as the one call that this CPU is in.
pub fn in_call<R>(f: impl FnOnce() -> R) -> R {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            set_in_call(false);
            set_thread(null());
        }
    }
    assert!(!set_in_call(true), "the CPU is in a call already");
    let _end = End;
    f()
}

#[inline(never)]
fn set_in_call(now: bool) -> bool {
    STATE.with(|state| state.in_call.replace(now))
}

/// Runs `f` on a CPU that is in no call: what another one does in the middle of a call of this one.
pub(super) fn elsewhere<R>(f: impl FnOnce() -> R) -> R {
    on(EACH - 1, f)
}

/// Returns the way out of the thread of the TEE that runs on this CPU; null if none does.
#[inline(never)]
pub(super) fn thread() -> *const Yielder {
    STATE.with(|state| state.thread.get())
}

/// Makes a thread of the TEE the one that runs on this CPU, or none. Returns what did before.
#[inline(never)]
pub(super) fn set_thread(thread: *const Yielder) -> *const Yielder {
    STATE.with(|state| state.thread.replace(thread))
}

/// Returns the index, as the real machine does; nobody here executes ahead.
pub fn confined(index: usize, len: usize) -> usize {
    if index < len { index } else { 0 }
}

/// Interrupts are masked on this CPU for as long as it lives.
pub struct Masked(PhantomData<*const ()>);

impl Masked {
    /// Masks interrupts.
    #[inline(never)]
    pub fn new() -> Self {
        STATE.with(|state| state.masked.update(|depth| depth + 1));
        Self(PhantomData)
    }

    /// Says whether interrupts are masked.
    #[inline(never)]
    pub fn is() -> bool {
        STATE.with(|state| state.masked.get() != 0)
    }
}

impl Drop for Masked {
    #[inline(never)]
    fn drop(&mut self) {
        STATE.with(|state| state.masked.update(|depth| depth - 1));
    }
}
