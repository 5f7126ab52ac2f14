// SPDX-License-Identifier: MIT OR Apache-2.0
//! A fake machine for the host, which tests and fuzzers drive.
//!
//! Its non-secure RAM is a vector that they read and write, also in the middle of a call; its CPUs are threads of the
//! host; the threads of the TEE are coroutines, of which a CPU runs one at a time; its foreign interrupts come when
//! they say so.

pub mod context;
pub mod cpu;
pub mod machine;
mod mmu;
pub mod ram;
mod tlb;
pub mod window;
