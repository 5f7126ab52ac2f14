// SPDX-License-Identifier: MIT OR Apache-2.0
//! `tee-client`: uses the TEE from Linux's user space, through the `optee` driver's `/dev/tee0`.
//!
//! It is a static AArch64 Linux program without a C library: built for the bare-metal target like the firmware, it
//! makes its system calls itself. So it needs no cross toolchain, and what crosses from user space to the kernel is all
//! in this crate.
//!
//! | module | what |
//! |---|---|
//! | [`command`] | the command line |
//! | [`client`] | what each command asks of the TEE and says to the user; the exit status |
//! | [`ioctl`] | the driver's interface: requests and their structures |
//! | [`device`] | the driver, seen as a [`client::Tee`] |
//! | `arch` | system calls and the program's entry: the only unsafe code |
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]
#![deny(unreachable_pub)]

#[cfg(target_os = "none")]
pub mod arch;
pub mod client;
pub mod command;
pub mod device;
pub mod ioctl;
