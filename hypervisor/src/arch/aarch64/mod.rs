// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real machine: AArch64 at EL2.

pub mod boot;
pub mod context;
pub mod cpu;
pub mod debug;
pub mod guest;
pub mod interrupt;
pub mod mmu;
pub mod pmu;
pub mod smc;
pub mod stack;
pub mod sysreg;
pub mod timer;
pub mod vectors;
pub mod virtual_interface;
