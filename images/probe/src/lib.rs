// SPDX-License-Identifier: MIT OR Apache-2.0
//! The probe: a program that plays a script of steps at the exception level at which it is started.
//!
//! At EL1 it is a guest and as hostile as its script; at EL2 it stands in the hypervisor's place. So the layers that
//! are shipped hold no hostile code, and the same script can be played to other firmware. What it needs of the machine
//! is an arm64 boot protocol, a PL011 at 0x0900_0000 and PSCI.
//!
//! # Where the script comes from
//!
//! Looked for in this order; the first one found is played:
//!
//! 1. Behind the image itself, where [`image`] says: one file for somebody else's firmware.
//! 2. In `/chosen` of the device tree, as the property `triptych,script`: in the hypervisor's place.
//! 3. In the initial RAM disk (`linux,initrd-start` and `-end` in `/chosen`): as a guest, by the guest's own module.
//!
//! [`script`] is the script's form, which the lab writes from a scenario's `[[step]]` tables, and [`player`] plays it.
//!
//! # What it prints
//!
//! A line for each expectation that does not hold, with the scenario's file and line, and one at the end:
//!
//! ```text
//! [probe] step 7 (second-vm.toml:31 VM_CREATED again): x0 = 0x0, expected 0x7
//! [probe] done: 12 steps, 19 expectations, 1 failed
//! ```
//!
//! Then it powers the machine off. A step of the boot CPU that must not return is its last one: the probe prints
//! `[probe] done but for step …` before it.
//!
//! # MMU and caches
//!
//! Both stay off: every address is physical (at EL1, an IPA) and nothing is between a step and the memory it names.
//! All memory is Device memory then, so the probe is compiled without unaligned accesses (this target's default) and
//! uses no exclusive ones ([`lock`]). On a machine with real caches it would have to clean what it shares with the TEE;
//! QEMU has none.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]
#![deny(unreachable_pub)]

#[cfg(target_os = "none")]
#[allow(unsafe_code, reason = "assembly and system registers")]
pub mod arch;
pub mod image;
pub mod lock;
#[cfg(target_os = "none")]
#[allow(unsafe_code, reason = "turns addresses that others hand over into slices")]
pub mod memory;
#[cfg(target_os = "none")]
#[allow(unsafe_code, reason = "MMIO")]
pub mod platform;
pub mod player;
pub mod script;
pub mod shared;
pub mod tree;
