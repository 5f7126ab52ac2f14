//! The one kind of lock of the TEE.

use crate::arch::Masked;

/// A spin lock that is only ever held with interrupts masked.
///
/// A thread that held one while a foreign interrupt suspended it would keep it for as long as the normal world likes.
/// So the lock masks before it takes and unmasks after it released, and it gives its value to a closure, not as a guard,
/// so that two of them cannot be released in the wrong order.
pub struct Lock<T>(spin::Mutex<T>);

impl<T> Lock<T> {
    /// An open lock around `value`.
    pub const fn new(value: T) -> Self {
        Self(spin::Mutex::new(value))
    }

    /// Runs `f` on the value. Short and bounded work only.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let _masked = Masked::new();
        f(&mut self.0.lock())
    }
}
