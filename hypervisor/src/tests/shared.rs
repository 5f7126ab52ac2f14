// SPDX-License-Identifier: MIT OR Apache-2.0
//! What CPUs share, such that a test may have another CPU act before any access to it.

use core::sync::atomic;
pub use core::sync::atomic::Ordering;
use std::boxed::Box;
use std::cell::RefCell;

/// What another CPU does, and before how many more accesses it is its turn.
type Act = (usize, Box<dyn FnOnce()>);

std::thread_local! {
    static ACT: RefCell<Option<Act>> = const { RefCell::new(None) };
}

/// Something happens before this thread's access number `step`, from now on.
pub fn act_at(step: usize, act: impl FnOnce() + 'static) {
    ACT.with(|waiting| *waiting.borrow_mut() = Some((step, Box::new(act))));
}

/// Nothing is to happen any more. Whether it still was to.
pub fn take_back() -> bool {
    ACT.with(|waiting| waiting.borrow_mut().take().is_some())
}

/// An access.
fn step() {
    let act = ACT.with(|waiting| {
        let mut waiting = waiting.borrow_mut();
        match waiting.as_mut()? {
            (0, _) => waiting.take(),
            (left, _) => {
                *left -= 1;
                None
            }
        }
    });
    if let Some((_, act)) = act {
        act();
    }
}

macro_rules! shared {
    ($name:ident of $value:ty, beside loads and stores: $($operation:ident),*) => {
        /// Its name's.
        pub struct $name(atomic::$name);

        impl $name {
            pub const fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            pub fn load(&self, order: Ordering) -> $value {
                step();
                self.0.load(order)
            }

            pub fn store(&self, value: $value, order: Ordering) {
                step();
                self.0.store(value, order);
            }

            $(pub fn $operation(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.$operation(value, order)
            })*
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new(Default::default())
            }
        }
    };
}

shared!(AtomicBool of bool, beside loads and stores:);
shared!(AtomicU8 of u8, beside loads and stores: swap, fetch_or, fetch_and);
shared!(AtomicU32 of u32, beside loads and stores: fetch_or, fetch_and);
shared!(AtomicU64 of u64, beside loads and stores: fetch_or, fetch_and);

impl AtomicU64 {
    pub fn fetch_update(&self, set: Ordering, get: Ordering, new: impl FnMut(u64) -> Option<u64>) -> Result<u64, u64> {
        step();
        self.0.fetch_update(set, get, new)
    }
}
