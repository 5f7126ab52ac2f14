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
    /// How many share it; [`ALONE`] if one has it for itself.
    held: u32,
    /// Bit n: thread n sleeps, or is about to, until it can have it for itself.
    waiters: u32,
    /// Bit n: until it can share it.
    readers: u32,
}

/// Held by one alone: more than there can be of others.
const ALONE: u32 = u32::MAX;

impl State {
    /// Says who is to be woken if one waits to have it alone: the first of them, once. It says so again if somebody
    /// else was faster.
    fn next(&mut self) -> u32 {
        let others = self.waiters & self.waiters.wrapping_sub(1);
        core::mem::replace(&mut self.waiters, others) ^ others
    }
}

const _: () = assert!(THREADS <= 32);

/// Guards a value of type `T`, for one call or for those that only look. A call that must wait sleeps in the normal
/// world, by the notification RPC, so that its CPU does other work; a normal world that never wakes it hurts its own VM
/// alone.
pub struct Mutex<T> {
    state: Lock<State>,
    value: UnsafeCell<T>,
}

// SAFETY: only guards reach the value: one alone to change it, or those of whoever only looks.
unsafe impl<T: Send + Sync> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// Makes an open mutex around `value`.
    pub const fn new(value: T) -> Self {
        Self { state: Lock::new(State { held: 0, waiters: 0, readers: 0 }), value: UnsafeCell::new(value) }
    }

    /// Counts how often calls waited for its state: short, unlike for what it guards.
    pub fn waits(&self) -> &Waits {
        self.state.waits()
    }

    /// Takes the mutex for `call` alone.
    ///
    /// # Errors
    ///
    /// What the normal world answers when it is asked to let the call sleep; the mutex is not held then.
    pub fn lock<'m, S: Sleeper>(&'m self, call: &'m S) -> Result<Guard<'m, T, S>, TeeResult> {
        let me = 1 << call.thread();
        loop {
            let taken = self.state.with(|state| {
                let free = state.held == 0;
                if free {
                    state.held = ALONE;
                }
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

    /// Takes the mutex for `call` and whoever else only looks.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock`]'s.
    pub fn read<'m, S: Sleeper>(&'m self, call: &'m S) -> Result<ReadGuard<'m, T, S>, TeeResult> {
        let me = 1 << call.thread();
        loop {
            let taken = self.state.with(|state| {
                let free = state.held != ALONE;
                if free {
                    state.held += 1;
                } else {
                    state.readers |= me;
                }
                free
            });
            if taken {
                return Ok(ReadGuard { mutex: self, call });
            }
            if let Err(error) = call.sleep(call.thread()) {
                self.state.with(|state| state.readers &= !me);
                return Err(error);
            }
        }
    }
}

/// Wakes the calls on these threads.
fn wake(call: &impl Sleeper, mut threads: u32) {
    while threads != 0 {
        call.wake(threads.trailing_zeros() as ThreadId);
        threads &= threads - 1;
    }
}

/// The right to look at the value, with others. The last one to give it up wakes one call that waits.
pub struct ReadGuard<'m, T, S: Sleeper> {
    mutex: &'m Mutex<T>,
    call: &'m S,
}

impl<T, S: Sleeper> Deref for ReadGuard<'_, T, S> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: while there are such guards nobody has the value alone.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T, S: Sleeper> Drop for ReadGuard<'_, T, S> {
    fn drop(&mut self) {
        let next = self.mutex.state.with(|state| {
            state.held -= 1;
            if state.held == 0 { state.next() } else { 0 }
        });
        wake(self.call, next);
    }
}

/// The right to the value; ends when dropped, and wakes those that wait to look, or else one call that waits.
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
            state.held = 0;
            match core::mem::take(&mut state.readers) {
                0 => state.next(),
                readers => readers,
            }
        });
        wake(self.call, next);
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
    fn those_who_look_share_it_and_who_wants_it_alone_waits_for_the_last_of_them() {
        let (mutex, woken) = (Mutex::new(7), Cell::default());
        let (first, second) = (caller(0, &woken), caller(1, &woken));
        let (one, two) = (mutex.read(&first).unwrap(), mutex.read(&second).unwrap());
        assert_eq!((*one, *two), (7, 7));
        let held = Cell::new(Some((one, two)));
        let writer = caller(2, &woken);
        writer.others.borrow_mut().push(Box::new(|| {
            let (one, two) = held.take().unwrap();
            drop(two);
            assert_eq!(woken.take(), [0; 0], "one still looks");
            drop(one);
            Ok(())
        }));
        let mut alone = mutex.lock(&writer).unwrap();
        *alone += 1;
        assert_eq!(woken.take(), [2]);
        drop(alone);
        assert_eq!((*mutex.read(&first).unwrap(), woken.take()), (8, vec![]));
    }

    #[test]
    fn all_who_wait_to_look_are_woken_together_and_before_who_wants_it_alone() {
        let (mutex, woken) = (Mutex::new(()), Cell::default());
        let first = caller(0, &woken);
        let held = Cell::new(Some(mutex.lock(&first).unwrap()));
        // Each comes while the one below it sleeps; then the first one gives it up.
        let writer = caller(3, &woken);
        writer.others.borrow_mut().push(Box::new(|| {
            drop(held.take());
            assert_eq!(woken.take(), [1, 2]);
            Err(TeeResult::COMMUNICATION)
        }));
        let other = caller(2, &woken);
        other.others.borrow_mut().push(Box::new(|| {
            assert!(mutex.lock(&writer).is_err());
            Ok(())
        }));
        let shared = Cell::new(None);
        let reader = caller(1, &woken);
        reader.others.borrow_mut().push(Box::new(|| {
            shared.set(Some(mutex.read(&other).unwrap()));
            Ok(())
        }));
        let mine = mutex.read(&reader).unwrap();
        drop(shared.take());
        drop(mine);
        assert_eq!(woken.take(), [0; 0], "nobody waits any more");
        drop(mutex.lock(&first).unwrap());
        assert_eq!(woken.take(), [0; 0], "woken once");
    }

    #[test]
    fn who_cannot_sleep_to_look_is_not_woken() {
        let (mutex, woken) = (Mutex::new(0), Cell::default());
        let (first, second) = (caller(0, &woken), caller(1, &woken));
        let guard = mutex.lock(&first).unwrap();
        second.others.borrow_mut().push(Box::new(|| Err(TeeResult::COMMUNICATION)));
        assert_eq!(mutex.read(&second).err(), Some(TeeResult::COMMUNICATION));
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
