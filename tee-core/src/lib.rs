// SPDX-License-Identifier: MIT OR Apache-2.0
//! Triptych's TEE core, S-EL1.
//!
//! The *nexus* ([`nexus`]) is what exists without any VM: the VM table, the secure pages, the map of non-secure RAM. A
//! *partition* ([`partition`]) is one VM's TEE, in pages of its own, mapped only while a call of that VM runs. Calls
//! arrive in [`entry`], and applications ([`app`]) answer them.
//!
//! # Rooms
//!
//! From the highest to the lowest. A room imports from those below it in this list alone.
//!
//! 1. `as_reported`: what the image of the report has in the place of modules of other rooms
//! 2. `host`: what plays the monitor and the normal world on the host
//! 3. `entry`: where calls enter: fast calls, yielding calls, what a message asks for
//! 4. `app`: applications, which answer sessions: a registry, and the pseudo-TAs
//! 5. `call`: a call under way: what it has, allocates, and asks the normal world
//! 6. `msg`: messages: allegations copied once, then checked, then used
//! 7. `nexus`: VMs and their lifecycle, page pool, selection; the whole is [`nexus::tee::Tee`]
//! 8. `partition`: one VM's threads, sessions, registered memory, secrets
//! 9. `heap`: a partition's heap: explicit, fallible, counted
//! 10. `trace`: what the TEE tells about itself, in builds that trace
//! 11. `platform`: UART, interrupt controller, memory for traces
//! 12. `sync`: locks
//! 13. `arch`: registers, translation tables and contexts; on the host a fake of the machine
//! 14. `memory`: which memory there is, and whose
//! 15. `mode`: whom the TEE serves
//! 16. `ids`: numbers of VMs
//!
//! A partition stands below the nexus, because the nexus makes, selects and ends partitions, and no partition knows of
//! others.
//!
//! # No allocator
//!
//! There is no global allocator: what a VM can make the TEE allocate comes from that VM's heap, by a handle that can
//! refuse. On the host everything but `arch::aarch64` and `platform` compiles as well, with [`arch`]'s fake machine:
//! calls are then made with [`nexus::tee::Tee::smc`], registers in and registers out.
#![cfg_attr(target_os = "none", no_std)]
#![deny(unsafe_code)]
#![deny(unreachable_pub)]

pub mod app;
pub mod arch;
// What the image of the report has besides: see its documentation. On the host for its tests.
#[cfg(any(as_reported, test))]
mod as_reported;
pub mod call;
pub mod entry;
pub mod heap;
#[cfg(not(target_os = "none"))]
pub mod host;
#[cfg_attr(as_reported, path = "as_reported/ids.rs")]
mod ids;
pub mod memory;
pub mod mode;
pub mod msg;
pub mod nexus;
pub mod partition;
#[cfg(target_os = "none")]
pub mod platform;
pub mod sync;
pub mod trace;
