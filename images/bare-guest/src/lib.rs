// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest without an operating system: one program at EL1 that uses the TEE and says what the TEE answered.
//!
//! It needs what the guest contract gives it (a device tree in x0, a PL011, a GICv3, PSCI) and is an arm64 `Image`, so
//! that any loader of Linux starts it. Without `/firmware/optee` in its device tree it says so and powers off.
//!
//! With a TEE it does what Linux's driver and a client would do: asks who is there and what it can do, registers a
//! buffer whose pages are not in order, sends its messages from there, lists the TEE's devices, and then plays the
//! *steps* of its command line with the pseudo-TA `vault`.
//!
//! # The command line
//!
//! `bootargs` in `/chosen`: steps separated by spaces, played in order.
//!
//! | step | what |
//! |---|---|
//! | `vault.put=NAME:VALUE` | puts a secret |
//! | `vault.get=NAME` | gets a secret and prints it |
//! | `vault.expect=NAME:VALUE` | gets it, and fails unless it is that |
//! | `vault.expect-missing=NAME` | fails unless there is no such secret |
//! | `vault.delete=NAME` | deletes it |
//! | `wait-ms=N` | sleeps so long |
//! | `wait-line` | sleeps until somebody types a line into the VM's console |
//! | `call=0xID` | calls a function, without arguments, and prints what x0 answers |
//! | `read=0xADDRESS` | reads a word of memory and prints it; where there is none the exception ends the VM |
//! | `print=WORD` | prints the word, for others to wait for |
//!
//! Without a step it plays [`script::DEFAULT`]. It ends with the line `bare-guest: PASS`, or `bare-guest: FAIL` and how
//! many steps failed, and powers off.
#![cfg_attr(not(test), no_std)]
#![deny(unreachable_pub)]

#[cfg(target_os = "none")]
pub mod arch;
pub mod inventory;
pub mod optee;
#[cfg(target_os = "none")]
pub mod platform;
pub mod script;
pub mod story;
