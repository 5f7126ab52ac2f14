//! EL2's stacks: one for each CPU.
//!
//! A guest's exit starts at the top of its CPU's stack and has left it when the guest is entered again, so nothing is
//! kept on it between exits.

use alloc::boxed::Box;
use core::cell::UnsafeCell;

/// Bytes of stack for each CPU. Booting takes half: a VM is made on the stack before it gets its place.
pub const SIZE: usize = 32 << 10;

/// A stack, aligned as AAPCS64 §6.4.5.1 wants it.
#[repr(C, align(16))]
pub struct Stack(UnsafeCell<[u8; SIZE]>);

// SAFETY: No Rust code refers to the bytes; the one CPU whose SP points into them does.
unsafe impl Sync for Stack {}

/// The first CPU's.
pub static BOOT: Stack = Stack(UnsafeCell::new([0; SIZE]));

impl Stack {
    /// The address after the stack's last byte: where SP begins.
    pub fn top(&self) -> u64 {
        self.0.get() as u64 + SIZE as u64
    }

    /// A stack for another CPU.
    pub fn allocate() -> &'static Self {
        Box::leak(Box::new(Self(UnsafeCell::new([0; SIZE]))))
    }
}
