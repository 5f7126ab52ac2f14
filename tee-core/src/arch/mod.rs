//! The machine: registers, translation tables, contexts of threads. The only home of assembly and system registers.
//!
//! Two machines offer the same things: the real one, and on the host a fake that the tests drive.
#![expect(unsafe_code, reason = "the home of assembly, system registers and translation tables")]

#[cfg(target_os = "none")]
pub mod aarch64;
#[cfg(any(target_os = "none", test))]
mod affinity;
#[cfg(not(target_os = "none"))]
pub mod host;
pub mod peephole;
pub mod root;

#[cfg(target_os = "none")]
pub use aarch64::{
    context::{Context, finish, suspend},
    cpu::{Masked, confined, index as cpu_index},
    machine::Machine,
};
#[cfg(not(target_os = "none"))]
pub use host::{
    context::{Context, finish, suspend},
    cpu::{Masked, confined, index as cpu_index},
    machine::Machine,
};

/// The CPU that runs this, as its own code has it: who has the value decides what is mapped. There is one for each CPU,
/// on its stack, for as long as a call takes; it cannot be sent, shared or made twice.
///
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<tee_core::arch::ThisCpu>();
/// ```
///
/// ```compile_fail,E0277
/// fn share<T: Sync>() {}
/// share::<tee_core::arch::ThisCpu>();
/// ```
///
/// ```compile_fail,E0277
/// fn copy<T: Clone>() {}
/// copy::<tee_core::arch::ThisCpu>();
/// ```
///
/// ```compile_fail,E0133
/// let cpu = tee_core::arch::ThisCpu::new();
/// ```
pub struct ThisCpu(core::marker::PhantomData<*const ()>);

impl ThisCpu {
    /// The CPU that executes this.
    ///
    /// # Safety
    ///
    /// There must be no other value of this CPU, and no partition be selected on it.
    pub const unsafe fn new() -> Self {
        Self(core::marker::PhantomData)
    }
}

/// A thread of a VM, as its own code has it: its partition is selected whenever it runs, on whatever CPU. It can suspend
/// itself.
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
pub struct ThisThread(core::marker::PhantomData<*const ()>);

impl ThisThread {
    /// The thread that executes this.
    ///
    /// # Safety
    ///
    /// The caller must be the first function of a thread.
    pub const unsafe fn new() -> Self {
        Self(core::marker::PhantomData)
    }
}

/// A caller's x0 to x7.
pub type Arguments = [u64; 8];
/// A caller's x0 to x3; what a call does not use is 0.
pub type Answer = [u64; 4];

/// The first function of a thread, which ends with [`finish`]. It gets what it was started with.
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

/// The eight bytes at an address as they are, whether a value stands there or nothing that the language knows of.
///
/// # Safety
///
/// They must be readable, and aligned.
#[inline(always)]
pub unsafe fn load(at: *const u64) -> u64 {
    let bytes;
    // SAFETY: promised by the caller.
    unsafe {
        #[cfg(target_arch = "aarch64")]
        core::arch::asm!("ldr {}, [{}]", out(reg) bytes, in(reg) at, options(readonly, nostack, preserves_flags));
        #[cfg(target_arch = "x86_64")]
        core::arch::asm!("mov {}, [{}]", out(reg) bytes, in(reg) at, options(readonly, nostack, preserves_flags));
    }
    bytes
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
