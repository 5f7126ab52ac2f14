// SPDX-License-Identifier: MIT OR Apache-2.0
//! The locks of the TEE.
//!
//! They are spin locks that are only ever held with interrupts masked. A thread that held one while a foreign interrupt
//! suspended it would keep it for as long as the normal world likes. So a lock masks before it takes and unmasks after
//! it released, and it gives its value to a closure, not as a guard, so that two of them cannot be released in the
//! wrong order.
//!
//! Each counts how often somebody found it taken. That costs nothing where nobody waits: the one who does counts.

use crate::arch::Masked;
use core::sync::atomic::{AtomicU32, Ordering};

/// How often somebody had to wait.
#[derive(Default)]
pub struct Waits(AtomicU32);

impl Waits {
    /// Begins with never.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Returns how often, modulo 2^32.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Starts anew: what is guarded belongs to somebody else now.
    pub fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A lock that one may hold at a time.
pub struct Lock<T> {
    inner: spin::Mutex<T>,
    waits: Waits,
}

impl<T> Lock<T> {
    /// Makes an open lock around `value`.
    pub const fn new(value: T) -> Self {
        Self { inner: spin::Mutex::new(value), waits: Waits::new() }
    }

    /// Runs `f` on the value. Short and bounded work only.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        self.with_for(&self.waits, f)
    }

    /// Runs `f` on the value, and counts here if it had to wait: for somebody who wants to know that of himself.
    #[inline]
    pub fn with_for<R>(&self, waits: &Waits, f: impl FnOnce(&mut T) -> R) -> R {
        let _masked = Masked::new();
        let mut guard = match self.inner.try_lock() {
            Some(guard) => guard,
            None => self.wait(waits),
        };
        f(&mut guard)
    }

    #[cold]
    #[inline(never)]
    fn wait(&self, waits: &Waits) -> spin::MutexGuard<'_, T> {
        waits.count();
        self.inner.lock()
    }

    /// Counts how often somebody waited for it.
    pub fn waits(&self) -> &Waits {
        &self.waits
    }
}

/// A lock that many may hold at a time to read.
pub struct ReadLock<T> {
    inner: spin::RwLock<T>,
}

impl<T> ReadLock<T> {
    /// Makes an open lock around `value`.
    pub const fn new(value: T) -> Self {
        Self { inner: spin::RwLock::new(value) }
    }

    /// Runs `f` on the value, and on how to say who it was that waited: nobody knows before he has looked.
    #[inline]
    pub fn read<R>(&self, f: impl FnOnce(&T, Waited) -> R) -> R {
        let _masked = Masked::new();
        match self.inner.try_read() {
            Some(value) => f(&value, Waited(false)),
            None => f(&self.inner.read(), Waited(true)),
        }
    }

    /// Runs `f` on the value, to change it.
    pub fn write<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let _masked = Masked::new();
        f(&mut self.inner.write())
    }
}

/// Whether a lock was found taken.
#[derive(Clone, Copy)]
pub struct Waited(bool);

impl Waited {
    /// Counts here that somebody waited.
    pub fn count(self, waits: &Waits) {
        if self.0 {
            waits.count();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn only_who_finds_a_lock_taken_is_counted() {
        let (lock, mine) = (Lock::new(0), Waits::new());
        let (taken, released) = (Barrier::new(2), AtomicU32::new(0));
        lock.with(|value| *value += 1);
        assert_eq!((lock.waits().get(), mine.get()), (0, 0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                lock.with(|value| {
                    taken.wait();
                    // Until the other one has said that it waits.
                    while mine.get() == 0 {
                        core::hint::spin_loop();
                    }
                    *value += 1;
                    released.store(1, Ordering::Relaxed);
                });
            });
            taken.wait();
            lock.with_for(&mine, |value| *value += 1);
            assert_eq!(released.load(Ordering::Relaxed), 1);
        });
        assert_eq!((lock.waits().get(), mine.get()), (0, 1));
        mine.reset();
        lock.with_for(&mine, |value| assert_eq!(*value, 3));
        assert_eq!(mine.get(), 0);
    }

    #[test]
    fn readers_do_not_wait_for_each_other() {
        let (lock, waits) = (ReadLock::new(7), Waits::new());
        lock.read(|outer, waited| {
            waited.count(&waits);
            lock.read(|inner, waited| {
                waited.count(&waits);
                assert_eq!(outer, inner);
            });
        });
        assert_eq!(waits.get(), 0);
        lock.write(|value| *value = 8);
        lock.read(|value, _| assert_eq!(*value, 8));
    }
}
