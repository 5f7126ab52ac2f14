// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab: builds Triptych's layers, puts them into a machine, watches it and judges what it saw.
//!
//! The machine is QEMU's `virt`. A *scenario* (`scenarios/*.toml`) says what boots, what is sent to it and what must be
//! seen; [`run`] is the way from that file to a verdict, and every other module is one station of it.
#![forbid(unsafe_code)]
// They panic where nobody reads any more; `screen` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![deny(unreachable_pub)]

pub mod bench;
pub mod book;
pub mod check;
pub mod clock;
pub mod command;
pub mod console;
pub mod contract;
pub mod debug;
pub mod elf;
pub mod feeder;
pub mod files;
pub mod firmware;
pub mod flash;
pub mod gdb;
pub mod guests;
pub mod judge;
pub mod junit;
pub mod keeper;
pub mod kernel;
pub mod linux;
pub mod lock;
pub mod machine;
pub mod mishap;
pub mod models;
pub mod paste;
pub mod pictures;
pub mod plan;
pub mod prepare;
pub mod probe;
pub mod progress;
pub mod qemu;
pub mod qmp;
pub mod report;
pub mod reproduce;
pub mod run;
pub mod runs;
pub mod scenario;
pub mod screen;
pub mod shell;
pub mod stack;
pub mod tee_image;
pub mod toolchain;
pub mod trace;
pub mod transplant;
pub mod tree;
pub mod typist;
pub mod watch;
pub mod witness;
pub mod workspace;
