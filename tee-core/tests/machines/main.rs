// SPDX-License-Identifier: MIT OR Apache-2.0
//! Machines that look for what nobody thought of: random and mutated sequences of calls from several VMs, through the
//! raw entry of the TEE, each answer and each byte of memory compared with a reference model.

mod boundary;
mod bytes;
mod draw;
mod finding;
mod found;
mod generate;
mod oracle;
mod play;
mod stateful;
mod step;
