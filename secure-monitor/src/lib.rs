//! Triptych's secure monitor, EL3: it boots the chain, and is what every SMC passes through.
//!
//! Two images come from this crate. `boot` runs in place in the flash: it checks every image against the manifest,
//! completes the device tree, and hands over to `runtime`, which stays. What a call costs and what a call means are
//! kept apart: assembly in `arch` saves and restores, [`dispatch`] and [`services`] decide, and the latter run on the
//! host as well, where the tests are.
//!
//! The `smccc` crate has no place here: it makes calls, and this is where they arrive. Ids come from `shared-abi`,
//! PSCI's types from `arm-psci`.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

#[cfg(target_os = "none")]
#[allow(unsafe_code)]
pub mod arch;
pub mod complaints;
pub mod devicetree;
pub mod digest;
pub mod dispatch;
#[cfg(target_os = "none")]
#[allow(unsafe_code)]
pub mod fault;
pub mod handoff;
pub mod loader;
#[cfg(target_os = "none")]
#[allow(unsafe_code)]
pub mod monitor;
#[cfg(target_os = "none")]
#[allow(unsafe_code)]
pub mod platform;
pub mod services;
pub mod trace;
pub mod world;
