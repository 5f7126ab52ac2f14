// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hypervisor's boot, from the first Rust instruction to the first guest.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![deny(unreachable_pub)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod boot;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("This is firmware: build it with --target aarch64-unknown-none-softfloat and boot it (`make run`).");
}
