// SPDX-License-Identifier: MIT OR Apache-2.0
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
pub mod tables;
mod thread;

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

pub use thread::{Exit, First, Start, ThisThread};

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
    /// Stands for the CPU that executes this.
    ///
    /// # Safety
    ///
    /// There must be no other value of this CPU, and no partition be selected on it.
    pub const unsafe fn new() -> Self {
        Self(core::marker::PhantomData)
    }
}

/// A caller's x0 to x7.
pub type Arguments = [u64; 8];
/// A caller's x0 to x3; what a call does not use is 0.
pub type Answer = [u64; 4];

/// Loads the eight bytes at an address as they are, whether a value stands there or nothing that the language knows of.
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
