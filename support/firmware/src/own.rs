// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is one CPU's own, in memory that all share.
#![expect(unsafe_code, reason = "what is a CPU's own")]

use core::cell::UnsafeCell;

/// What one CPU alone touches.
pub struct Own<T>(UnsafeCell<T>);

// SAFETY: one CPU alone touches what is in it (`Own::borrow`).
unsafe impl<T: Send> Sync for Own<T> {}

impl<T> Own<T> {
    /// Makes one, before its CPU has it.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Borrows it.
    ///
    /// # Safety
    ///
    /// On the CPU whose own it is, once at a time: before the borrow ends nothing else comes to it, not even an
    /// exception that is returned from.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "who borrows promises that nobody else does")]
    pub unsafe fn borrow(&self) -> &mut T {
        // SAFETY: as the caller promises, nobody else has a reference.
        unsafe { &mut *self.0.get() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cpu_finds_its_own() {
        let all = [const { Own::new(0) }; 4];
        std::thread::scope(|scope| {
            for (cpu, own) in all.iter().enumerate() {
                // SAFETY: this thread alone is that CPU.
                scope.spawn(move || (0..1000).for_each(|_| unsafe { *own.borrow() += cpu }));
            }
        });
        // SAFETY: the threads are gone.
        assert_eq!(all.map(|own| unsafe { *own.borrow() }), [0, 1000, 2000, 3000]);
    }
}
