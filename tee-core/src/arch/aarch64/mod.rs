// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real machine: an AArch64 CPU at S-EL1.

pub mod boot;
pub mod context;
pub mod cpu;
pub mod exceptions;
pub mod machine;
pub mod mmu;
pub mod nexus_map;
pub mod scrub;
pub mod smc;
