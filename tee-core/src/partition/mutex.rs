// SPDX-License-Identifier: MIT OR Apache-2.0
//! A mutex between the calls of one VM, held across suspensions.
#![expect(unsafe_code, reason = "gives access to what the mutex guards")]

use super::layout::THREADS;
use super::threads::ThreadId;
use crate::sync::{Lock, Waits};
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use shared_abi::tee::TeeResult;

/// A call that can wait for another one of its VM.
pub trait Sleeper {
    /// Returns the thread that it runs on.
    fn thread(&self) -> ThreadId;

    /// Sleeps until somebody wakes `thread`, or for no reason.
    ///
    /// # Errors
    ///
    /// What the normal world answers when it is asked for it.
    fn sleep(&self, thread: ThreadId) -> Result<(), TeeResult>;

    /// Wakes the call on a thread that sleeps, also if it only will in a moment.
    fn wake(&self, thread: ThreadId);
}

struct State {
    held: bool,
    /// Bit n: thread n sleeps, or is about to.
    waiters: u32,
}

const _: () = assert!(THREADS <= 32);

/// Guards a value of type `T`. A call that must wait sleeps in the normal world, by the notification RPC, so that its
/// CPU does other work; a normal world that never wakes it hurts its own VM alone.
pub struct Mutex<T> {
    state: Lock<State>,
    value: UnsafeCell<T>,
}

// SAFETY: `held` is set for one guard at a time, and only a guard reaches the value.
unsafe impl<T: Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// Makes an open mutex around `value`.
    pub const fn new(value: T) -> Self {
        Self { state: Lock::new(State { held: false, waiters: 0 }), value: UnsafeCell::new(value) }
    }

    /// Counts how often calls waited for its state: short, unlike for what it guards.
    pub fn waits(&self) -> &Waits {
        self.state.waits()
    }

    /// Takes the mutex for `call`.
    ///
    /// # Errors
    ///
    /// What the normal world answers when it is asked to let the call sleep; the mutex is not held then.
    pub fn lock<'m, S: Sleeper>(&'m self, call: &'m S) -> Result<Guard<'m, T, S>, TeeResult> {
        let me = 1 << call.thread();
        loop {
            let taken = self.state.with(|state| {
                let free = !state.held;
                state.held = true;
                state.waiters = if free { state.waiters & !me } else { state.waiters | me };
                free
            });
            if taken {
                return Ok(Guard { mutex: self, call });
            }
            if let Err(error) = call.sleep(call.thread()) {
                self.state.with(|state| state.waiters &= !me);
                return Err(error);
            }
        }
    }
}

/// The right to the value; ends when dropped, and wakes one call that waits.
pub struct Guard<'m, T, S: Sleeper> {
    mutex: &'m Mutex<T>,
    call: &'m S,
}

impl<T, S: Sleeper> Deref for Guard<'_, T, S> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard is the only one.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T, S: Sleeper> DerefMut for Guard<'_, T, S> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard is the only one, and borrowed mutably.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T, S: Sleeper> Drop for Guard<'_, T, S> {
    fn drop(&mut self) {
        let next = self.mutex.state.with(|state| {
            state.held = false;
            let next = state.waiters.trailing_zeros();
            // Woken once; it says so again if somebody else was faster.
            state.waiters &= state.waiters.wrapping_sub(1);
            (next < 32).then_some(next)
        });
        if let Some(thread) = next {
            self.call.wake(thread as ThreadId);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    /// What happens while a call sleeps, and how that ends.
    type Other<'a> = Box<dyn FnOnce() -> Result<(), TeeResult> + 'a>;

    /// A call that meets others while it sleeps, the last one first.
    struct Caller<'a> {
        thread: ThreadId,
        others: RefCell<Vec<Other<'a>>>,
        woken: &'a Cell<Vec<ThreadId>>,
    }

    impl Sleeper for Caller<'_> {
        fn thread(&self) -> ThreadId {
            self.thread
        }

        fn sleep(&self, thread: ThreadId) -> Result<(), TeeResult> {
            assert_eq!(thread, self.thread);
            let other = self.others.borrow_mut().pop();
            other.expect("a mutex that is free is taken")()
        }

        fn wake(&self, thread: ThreadId) {
            let mut woken = self.woken.take();
            woken.push(thread);
            self.woken.set(woken);
        }
    }

    fn caller<'a>(thread: ThreadId, woken: &'a Cell<Vec<ThreadId>>) -> Caller<'a> {
        Caller { thread, others: RefCell::default(), woken }
    }

    #[test]
    fn who_waits_is_woken_once_and_takes_it_only_when_it_is_free() {
        let (mutex, woken) = (Mutex::new(0), Cell::default());
        let first = caller(0, &woken);
        let held = Cell::new(Some(mutex.lock(&first).unwrap()));
        let second = caller(1, &woken);
        // Woken for no reason at first, then by the first one's end: what was pushed last comes first.
        second.others.borrow_mut().push(Box::new(|| {
            let mut guard = held.take().unwrap();
            *guard += 1;
            drop(guard);
            Ok(())
        }));
        second.others.borrow_mut().push(Box::new(|| Ok(())));
        let guard = mutex.lock(&second).unwrap();
        assert_eq!((*guard, woken.take()), (1, vec![1]));
        drop(guard);
        assert_eq!(woken.take(), [0; 0]);
    }

    #[test]
    fn who_cannot_sleep_is_not_woken() {
        let (mutex, woken) = (Mutex::new(0), Cell::default());
        let (first, second) = (caller(0, &woken), caller(1, &woken));
        let guard = mutex.lock(&first).unwrap();
        second.others.borrow_mut().push(Box::new(|| Err(TeeResult::COMMUNICATION)));
        assert_eq!(mutex.lock(&second).err(), Some(TeeResult::COMMUNICATION));
        drop(guard);
        assert_eq!(woken.take(), [0; 0]);
    }
}
