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
//! 7. `flash`, `guests`: what is in the machine's flash, and in its VMs
//! 8. `firmware`: the layers, built
//! 9. `workspace`: where the checkout is, and what is written
//! 10. `runs`: folders of runs
//! 11. `lock`, `plan`, `typist`: who has a folder; a run as it was asked for; what is typed
//! 12. `files`, `judge`, `linux`, `progress`, `stack`: files of the user's; verdicts; the Linux guest; what takes long;
//!     whose the layers are
//! 13. `kernel`, `mishap`, `scenario`, `screen`, `tee_image`: kernels as they come; what nobody expects; scenario
//!     files; the terminal; TEEs as they come
//! 14. `clock`, `console`, `elf`, `gdb`, `keeper`, `models`, `paste`, `qmp`, `toolchain`, `transplant`: the ground
#![forbid(unsafe_code)]
// They panic where nobody reads any more; `screen` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![deny(unreachable_pub)]

pub mod clock;
pub mod console;
pub mod elf;
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
pub mod tee_image;
pub mod toolchain;
pub mod transplant;
pub mod tree;
pub mod typist;
pub mod witness;
pub mod workspace;
