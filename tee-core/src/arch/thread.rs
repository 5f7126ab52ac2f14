// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a thread is started with, and why it stops.

use core::marker::PhantomData;

/// A thread of a VM, as its own code has it: its partition is selected whenever it runs, on whatever CPU. It can
/// suspend itself.
///
/// ```compile_fail,E0061
/// fn suspend_the_cpu() {
///     tee_core::arch::suspend([0; 3]);
/// }
/// ```
///
/// ```compile_fail,E0133
/// fn pretend() {
///     tee_core::arch::suspend(&tee_core::arch::ThisThread::new(), [0; 3]);
/// }
/// ```
pub struct ThisThread(PhantomData<*const ()>);

impl ThisThread {
    /// Stands for the thread that executes this.
    ///
    /// # Safety
    ///
    /// The caller must be the first function of a thread.
    pub const unsafe fn new() -> Self {
        Self(PhantomData)
    }
}

/// The first function of a thread, which ends with [`finish`](super::finish). It gets what it was started with.
pub type First = extern "C-unwind" fn(of: *const (), u64, u64, u64, u64, u64, u64) -> !;

/// What a thread is started with.
#[derive(Clone, Copy)]
pub struct Start {
    /// Its first function.
    pub first: First,
    /// What that is given: a pointer and six numbers.
    pub of: *const (),
    /// The numbers.
    pub numbers: [u64; 6],
    /// Address of the end of its stack.
    pub stack: usize,
}

/// Why a thread stopped running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Its call is done; the return code.
    Done(u64),
    /// It asks the normal world something: x0 to x2 for it.
    Rpc([u64; 3]),
    /// An interrupt that is not the TEE's is pending.
    ForeignInterrupt,
}
