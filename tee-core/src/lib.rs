//! Triptych's TEE core, S-EL1.
//!
//! The *nexus* ([`nexus`]) is what exists without any VM: the VM table, the secure pages, the map of non-secure RAM. A
//! *partition* ([`partition`]) is one VM's TEE, in pages of its own, mapped only while a call of that VM runs. Calls
//! arrive in [`entry`], and applications ([`app`]) answer them.
//!
//! The rooms, from the lowest to the highest. A room imports from those above it in this list alone:
//!
//! | room | what |
//! |---|---|
//! | `ids` | numbers of VMs |
//! | [`memory`] | which memory there is, and whose |
//! | [`arch`] | registers, translation tables and contexts; on the host a fake of the machine |
//! | [`sync`] | locks |
//! | `platform` | UART, interrupt controller, memory for traces |
//! | [`trace`] | what the TEE tells about itself, in builds that trace |
//! | [`heap`] | a partition's heap: explicit, fallible, counted |
//! | [`partition`] | one VM's threads, sessions, registered memory, secrets |
//! | [`nexus`] | VMs and their lifecycle, page pool, non-secure RAM; the whole is [`nexus::tee::Tee`] |
//! | [`msg`] | messages: allegations copied once, then checked, then used |
//! | [`call`] | a call under way: what it has, allocates, and asks the normal world |
//! | [`app`] | applications: what answers a session |
//! | [`entry`] | where calls enter: fast calls, yielding calls, commands |
//! | [`host`] | what plays monitor and normal world on the host |
//! | `as_reported` | what the image of the report has in the place of some modules |
//!
//! There is no global allocator: what a VM can make the TEE allocate comes from that VM's heap, by a handle that can
//! refuse. On the host everything but `arch::aarch64` and `platform` compiles as well, with [`arch`]'s fake machine:
//! calls are then made with [`nexus::tee::Tee::smc`], registers in and registers out.
#![cfg_attr(target_os = "none", no_std)]
#![deny(unsafe_code)]

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
pub mod msg;
pub mod nexus;
pub mod partition;
#[cfg(target_os = "none")]
pub mod platform;
pub mod sync;
pub mod trace;
