//! The machine: the only home of MMIO.

pub mod console;
pub mod gic;
pub mod memory;
pub mod power;
