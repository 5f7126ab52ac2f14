//! The only home of assembly and system registers. Not compiled for the host.

pub mod boot;
pub mod context;
pub mod cpu;
pub mod debug;
pub mod guest;
pub mod mmu;
pub mod pmu;
pub mod predictor;
pub mod smc;
pub mod stack;
pub mod sysreg;
pub mod timer;
pub mod vectors;
pub mod virtual_interface;
