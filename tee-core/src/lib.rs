//! Triptych's TEE core, S-EL1.
//!
//! The *nexus* ([`nexus`]) is what exists without any VM: the VM table, the secure pages, the map of non-secure RAM. A
//! *partition* ([`partition`]) is one VM's TEE, in pages of its own, mapped only while a call of that VM runs. Calls
//! arrive in [`entry`], their messages are read in [`msg`], and the pseudo-TAs in [`pta`] answer them.
//!
//! | module | what |
//! |---|---|
//! | [`tee`] | the whole of it: [`tee::Tee`], with one function for fast and one for yielding calls |
//! | [`nexus`] | VMs and their lifecycle, page pool, non-secure RAM |
//! | [`partition`] | one VM's threads, sessions, registered memory, mutexes |
//! | [`heap`] | a partition's heap: explicit, fallible, counted |
//! | [`entry`] | fast calls, yielding calls, RPCs |
//! | [`msg`] | messages: allegations copied once, then checked, then used |
//! | [`pta`] | pseudo-TAs |
//! | [`arch`] | registers, translation tables and contexts; on the host a fake of the machine |
//! | [`trace`] | what the TEE tells about itself, in builds that trace |
//! | `platform` | UART and interrupt controller |
//!
//! There is no global allocator: what a VM can make the TEE allocate comes from that VM's heap, by a handle that can
//! refuse. On the host everything but `arch::aarch64` and `platform` compiles as well, with [`arch`]'s fake machine:
//! calls are then made with [`tee::Tee::smc`], registers in and registers out.
#![cfg_attr(target_os = "none", no_std)]
#![deny(unsafe_code)]

pub mod arch;
// What the image of the report has besides: see its documentation. On the host for its tests.
#[cfg(any(as_reported, test))]
mod as_reported;
pub mod entry;
pub mod heap;
#[cfg_attr(as_reported, path = "as_reported/ids.rs")]
mod ids;
pub mod msg;
pub mod nexus;
pub mod partition;
#[cfg(target_os = "none")]
pub mod platform;
pub mod pta;
pub mod sync;
pub mod tee;
pub mod trace;
