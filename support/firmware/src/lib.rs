// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Triptych's firmware does alike at every level: how an image that runs anywhere starts, its console, the
//! board that it runs on, how its records leave it, and how much a layer says about what others make happen.
//!
//! What layers agree on is `shared-abi`'s; here is what acts. A room of this crate knows no layer: it is told by who
//! uses it what is a layer's own.
//!
//! # Rooms
//!
//! Imports go down this list only, and rooms of one line do not know each other (`lab/tests/rooms` holds it).
//!
//! 1. `arch`, `platform`: the first instructions; devices that more than one program drives
//! 2. `board`: which devices there are, and where
//! 3. `trace`: how records leave a layer
//! 4. `own`, `lines`: what is one CPU's own; how much a layer says about what others make happen
//!
//! `unsafe` stands in `arch`, `platform`, `own` and `trace::recorder`.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]
#![deny(unreachable_pub)]

#[cfg(target_os = "none")]
#[allow(unsafe_code)]
pub mod arch;
pub mod board;
pub mod lines;
pub mod own;
#[cfg(target_os = "none")]
#[allow(unsafe_code)]
pub mod platform;
pub mod trace;
