// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab: builds Triptych's layers, puts them into a machine, watches it and judges what it saw.
//!
//! Each of its stations is a crate. [`lab_run`] is the way from a scenario to a verdict; [`lab_script`] and
//! [`lab_trace`] are below it, [`lab_report`], [`lab_bench`], [`lab_reproduce`] and [`lab_course`] above. Here is what
//! people call.
//!
//! # Rooms
//!
//! From the highest to the lowest. Imports go down this list only, and rooms of one line do not know each other
//! (`lab/tests/rooms` holds it).
//!
//! 1. `pictures`: what the documents show, drawn from runs
//! 2. `command`, `shell`: what a command line asks for; typing into a machine
//! 3. `book`, `contract`, `debug`, `feeder`, `watch`: the documents as a book; a guest's hardware against QEMU's; a
//!    machine that waits for gdb; what goes into a machine's console; a run on the screen, live
#![forbid(unsafe_code)]
// They panic where nobody reads any more; `lab_run::screen` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![deny(unreachable_pub)]

pub mod book;
pub mod command;
pub mod contract;
pub mod debug;
pub mod feeder;
pub mod pictures;
pub mod shell;
pub mod watch;
