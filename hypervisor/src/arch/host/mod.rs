// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fake machine: what the tests of a thread run on, one CPU of it at a time.

pub mod context;
pub mod cpu;
pub mod debug;
pub mod guest;
pub mod interface;
pub mod interrupt;
pub mod machine;
pub mod mmu;
pub mod pmu;
pub mod smc;
pub mod timer;
pub mod vectors;
pub mod virtual_interface;
