// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine's CPUs: the only home of assembly and system registers.
//!
//! Two machines offer the same things: the real one, and on the host a fake that the tests drive.

pub mod interface;
pub mod pstate;

#[cfg(target_os = "none")]
pub mod aarch64;
#[cfg(not(target_os = "none"))]
pub mod host;

#[cfg(target_os = "none")]
pub use aarch64::{context, cpu, debug, guest, interrupt, mmu, pmu, smc, timer, vectors, virtual_interface};
#[cfg(not(target_os = "none"))]
pub use host::{context, cpu, debug, guest, interrupt, mmu, pmu, smc, timer, vectors, virtual_interface};

/// Declares a function that gives what there is one of in a machine, which begins like this: on the real one a static,
/// on the host one for each thread, so that each test has a machine of its own.
macro_rules! one_per_machine {
    ($(#[$doc:meta])* $visibility:vis fn $name:ident() -> &'static $type:ty = $init:expr;) => {
        $(#[$doc])*
        #[inline(always)]
        $visibility fn $name() -> &'static $type {
            #[cfg(target_os = "none")]
            {
                static IT: $type = $init;
                &IT
            }
            #[cfg(not(target_os = "none"))]
            {
                std::thread_local! {
                    static IT: &'static $type = std::boxed::Box::leak(std::boxed::Box::new($init));
                }
                IT.with(|it| *it)
            }
        }
    };
}

pub(crate) use one_per_machine;
