// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a scenario to a verdict.
//!
//! The machine is QEMU's `virt`. A *scenario* (`scenarios/*.toml`) says what boots, what is sent to it and what must be
//! seen; [`run`] is the way from that file to a verdict, and every other module is one station of it.
//!
//! # Rooms
//!
//! From the highest to the lowest. Imports go down this list only, and rooms of one line do not know each other
//! (`lab/tests/rooms` holds it).
//!
//! 1. `junit`: an outcome for CI systems
//! 2. `run`: from what is prepared to an outcome
//! 3. `witness`: who hears the machine, types into it and judges it
//! 4. `machine`: a machine that runs
//! 5. `prepare`: from a plan to all that a machine needs
//! 6. `qemu`, `tree`: QEMU and its command line; the device tree that tells of the VMs
//! 7. `flash`, `foreign`, `guests`: what is in the machine's flash; layers out of packages; what is in the VMs
//! 8. `firmware`: the layers, built
//! 9. `workspace`: where the checkout is, and what is written
//! 10. `runs`: folders of runs
//! 11. `lock`, `plan`, `typist`: one process at a time in a folder; a run as it was asked for; typing into a console
//! 12. `files`, `judge`, `linux`, `progress`: files that the user names; expectations held against what was said;
//!     making the Linux guest; telling that something takes long
//! 13. `stack`: which layers are ours and which somebody else's
//! 14. `debian`, `kernel`, `mishap`, `scenario`, `screen`, `tee_image`, `whereabouts`: packages of Debian's; unpacking
//!     kernels; lines that no run should have, such as a panic; scenario files; the terminal; the formats of TEE
//!     images; where CPUs are
//! 15. `clock`, `console`, `elf`, `gdb`, `keeper`, `models`, `paste`, `qmp`, `toolchain`, `transplant`, `xtest`: a
//!     machine's time; lines of a console; ELF; a debugger's protocol; QEMU outliving nobody; CPU models; a line to
//!     paste into a shell; QEMU's monitor; cargo and the compiler; other images in somebody else's flash; the cases of
//!     OP-TEE's test suite
#![forbid(unsafe_code)]
// They panic where nobody reads any more; `screen` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![deny(unreachable_pub)]

pub mod clock;
pub mod console;
mod debian;
pub mod elf;
pub mod files;
pub mod firmware;
pub mod flash;
mod foreign;
pub mod gdb;
pub mod guests;
pub mod judge;
pub mod junit;
mod keeper;
pub mod kernel;
pub mod linux;
pub mod lock;
pub mod machine;
pub mod mishap;
pub mod models;
pub mod paste;
pub mod plan;
pub mod prepare;
pub mod progress;
pub mod qemu;
pub mod qmp;
pub mod run;
pub mod runs;
pub mod scenario;
pub mod screen;
pub mod stack;
mod tee_image;
pub mod toolchain;
mod transplant;
pub mod tree;
mod typist;
pub mod whereabouts;
pub mod witness;
pub mod workspace;
mod xtest;
