// SPDX-License-Identifier: MIT OR Apache-2.0
//! Triptych's secure monitor, EL3: it boots the chain, and is what every SMC passes through.
//!
//! Two images come from this crate. The boot stage runs in place in the flash: it checks every image against the
//! manifest, completes the device tree, and hands over to the runtime, which stays. What a call costs and what a call
//! means are kept apart: assembly in `arch` saves and restores, [`dispatch`] and [`services`] decide, and those run on
//! the host as well, where their tests are.
//!
//! The `smccc` crate has no place here: it makes calls, and this is where they arrive. Ids come from `shared-abi`,
//! PSCI's types from `arm-psci`.
//!
//! # Rooms
//!
//! Imports go down this list only, and rooms of one line do not know each other (`lab/tests/rooms` holds it). What is
//! below calls what is above by a trait that it has for it: the vectors their handlers, PSCI the secure payload.
//!
//! 1. `boot`, `runtime`: the two programs
//! 2. `dispatch`: which service a call goes to
//! 3. `services`, `fault`: what is answered, and what should not happen
//! 4. `trace`: what the monitor tells about itself
//! 5. `platform`: the board: UART, interrupt controller, power, memory that is not Rust's own
//! 6. `arch`: the CPU: assembly, system registers, what each CPU owns
//! 7. `handoff`, `world`: what the boot stage hands over; what a CPU holds for each world
//! 8. `digest`, `complaints`: SHA-256; what is said of lower levels
//!
//! `unsafe` stands in `arch` and `platform`, and in the two programs where they begin.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]
#![deny(unreachable_pub)]

#[cfg(target_os = "none")]
#[allow(unsafe_code)]
pub mod arch;
pub mod boot;
pub mod complaints;
pub mod digest;
pub mod dispatch;
#[cfg(target_os = "none")]
pub mod fault;
pub mod handoff;
#[cfg(target_os = "none")]
#[allow(unsafe_code)]
pub mod platform;
#[cfg(target_os = "none")]
pub mod runtime;
pub mod services;
pub mod trace;
pub mod world;
