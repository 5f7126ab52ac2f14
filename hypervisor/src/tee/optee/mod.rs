// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mediator: between a VM that speaks the OP-TEE SMC ABI and the TEE that answers it.
//!
//! A guest's message names memory by addresses that mean nothing outside the VM, and the guest can rewrite it at any
//! time. So the TEE never sees a guest's message, only the mediator's copy of it in a *shadow page*: non-secure memory
//! that no guest has mapped. While copying, the mediator replaces every address by the physical one, having checked
//! that the page is this VM's own RAM. The way back carries results only, never an address.
//!
//! | file | what |
//! |---|---|
//! | [`mod@probe`] | is there a TEE that takes VMs, what can it do, and what may be asked of it |
//! | [`vm`] | one VM's side: its fast calls, the order of its yielding ones |
//! | [`state`] | what its lock protects, and the way of a message to the TEE and back |
//! | [`call`] | the calls a VM has under way |
//! | [`message`] | a message, from the guest to the shadow page and back |
//! | [`page_list`] | page lists, from IPAs to physical addresses |
//! | [`buffer`] | the buffers a VM has registered |
//! | [`reclaim`] | those that an earlier kernel of the VM left |
//! | [`rpc`] | what the TEE asks of the guest, and the guest's answers |
//! | [`shadow`] | the memory that the TEE reads instead of the guest's |
//!
//! # How to use it
//!
//! By the operations of a [`Mediator`](crate::tee::Mediator), which [`Optee`] is. At boot, `probe`. For each VM that is
//! to have the TEE, `vm_made` with a [`Shadow`] of its own; then every call that a vCPU makes to the trusted OS (SMCCC
//! owners 50 to 63, by SMC or HVC) goes to `call`. When the VM ends: first no vCPU of it may be inside `call` any more,
//! then `vm_gone`, and only after that its RAM may be used for something else: until `VM_DESTROYED` the TEE may write
//! to every page that the VM shared with it.
//!
//! # What a guest gets to see
//!
//! Memory is only ever shared dynamically, so of the TEE's capabilities a guest sees `UNREGISTERED_SHM`, `DYNAMIC_SHM`,
//! `MEMREF_NULL` and `RPC_ARG`, and `ASYNC_NOTIF` where the machine's device tree names the interrupt by which the TEE
//! notifies: a VM that has enabled notifications is interrupted whenever the TEE notifies anybody, and asks the TEE
//! what there is for itself, which may be nothing; another VM's values it never sees. Function ids that belong to the
//! hypervisor (`VM_CREATED`, `VM_DESTROYED`), to what is not mediated (reserved or protected memory, booting CPUs) or
//! to nobody never reach the TEE: the answer is SMCCC's NOT_SUPPORTED, -1. Whatever the guest puts into x7, the TEE
//! sees the id of its VM there.
//!
//! # Bounds
//!
//! All tables are of fixed size, per VM, so that no VM can take anything from another: [`MAX_CALLS`], [`MAX_BUFFERS`],
//! [`MAX_PINNED_PAGES`] of all buffers together, and one may have them all ([`MAX_BUFFER_PAGES`]). Work done for one
//! call is bounded by them as well: a page of a list costs some twenty instructions at EL2, and the lists of all of a
//! VM's calls have [`shadow::LIST_PAGES`] together. A VM takes 288 KiB of the hypervisor's heap for that, which is part
//! of the memory that VMs have as RAM otherwise: 256 KiB of shadow pages, and a table of 32 KiB.
#![forbid(unsafe_code)]

pub mod buffer;
pub mod call;
pub mod message;
pub mod page_list;
pub mod probe;
pub mod reclaim;
pub mod rpc;
pub mod shadow;
pub mod state;
pub mod vm;

#[cfg(test)]
mod tests;

pub use buffer::{Buffers, MAX_BUFFERS, MAX_PINNED_PAGES};
pub use call::MAX_CALLS;
pub use page_list::MAX_BUFFER_PAGES;
pub use probe::{CreateError, NoTee, Optee};
pub use shadow::{Shadow, ShadowPage};
pub use vm::Mediation;
