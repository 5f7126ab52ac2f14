//! A mutex between the calls of one VM, held across suspensions.
#![expect(unsafe_code, reason = "gives access to what the mutex guards")]

use super::layout::THREADS;
use crate::entry::call::Call;
use crate::sync::{Lock, Waits};
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use shared_abi::tee::TeeResult;

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
    /// An open mutex around `value`.
    pub const fn new(value: T) -> Self {
        Self { state: Lock::new(State { held: false, waiters: 0 }), value: UnsafeCell::new(value) }
    }

    /// How often calls waited for its state: short, unlike for what it guards.
    pub fn waits(&self) -> &Waits {
        self.state.waits()
    }

    /// Takes the mutex for `call`.
    ///
    /// # Errors
    ///
    /// What the normal world answers when it is asked to let the call sleep; the mutex is not held then.
    pub fn lock<'m, 'p>(&'m self, call: &'m Call<'m, 'p>) -> Result<Guard<'m, 'p, T>, TeeResult> {
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
            if let Err(error) = call.sleep(call.thread() as u64) {
                self.state.with(|state| state.waiters &= !me);
                return Err(error);
            }
        }
    }
}

/// The right to the value; ends when dropped, and wakes one call that waits.
pub struct Guard<'m, 'p, T> {
    mutex: &'m Mutex<T>,
    call: &'m Call<'m, 'p>,
}

impl<T> Deref for Guard<'_, '_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard is the only one.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, '_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard is the only one, and borrowed mutably.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for Guard<'_, '_, T> {
    fn drop(&mut self) {
        let next = self.mutex.state.with(|state| {
            state.held = false;
            let next = state.waiters.trailing_zeros();
            // Woken once; it says so again if somebody else was faster.
            state.waiters &= state.waiters.wrapping_sub(1);
            (next < 32).then_some(next)
        });
        if let Some(thread) = next {
            // A normal world that does not deliver this keeps its own call asleep.
            let _ = self.call.wake(thread.into());
        }
    }
}
