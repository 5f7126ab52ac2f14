//! The devices of QEMU's `virt`.

pub mod gic;
pub mod rtc;
pub mod uart;
