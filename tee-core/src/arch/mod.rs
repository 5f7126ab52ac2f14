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

#[cfg(target_os = "none")]
pub use aarch64::{
    context::Context, context::suspend, cpu::Masked, cpu::confined, cpu::index as cpu_index, machine::Machine, trace,
};
#[cfg(not(target_os = "none"))]
pub use host::{
    context::Context, context::suspend, cpu::Masked, cpu::confined, cpu::index as cpu_index, machine::Machine, trace,
};

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
