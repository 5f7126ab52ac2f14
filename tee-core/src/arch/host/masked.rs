//! The fake interrupt mask.

use core::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Interrupts are masked on this CPU for as long as it lives.
pub struct Masked(PhantomData<*const ()>);

impl Masked {
    /// Masks.
    #[expect(clippy::new_without_default, reason = "masking interrupts is nothing that goes without saying")]
    pub fn new() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self(PhantomData)
    }

    /// Whether interrupts are masked.
    pub fn is() -> bool {
        DEPTH.get() != 0
    }
}

impl Drop for Masked {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}
