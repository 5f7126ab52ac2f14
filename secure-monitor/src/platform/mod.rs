// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine: the only home of MMIO, and of memory that is not Rust's own.

pub mod console;
pub mod gic;
pub mod memory;
pub mod power;
pub mod recorder;
