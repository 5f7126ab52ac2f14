//! The machine's devices, the only home of MMIO. Addresses are [`shared_abi::layout`]'s. Not compiled for the host.

pub mod console;
pub mod gic;
pub mod memory;
pub mod rtc;
#[cfg(feature = "trace")]
pub mod trace;
pub mod uart;
