// SPDX-License-Identifier: MIT OR Apache-2.0
//! The trusted OS, and what stands between it and a VM: a mediator.
//!
//! A mediator knows the ABI of one kind of trusted OS: which calls a VM may make, what in them names memory, what of an
//! answer the VM may see. It is a folder, and a type that can do what a [`Mediator`] can; the rest of the hypervisor
//! knows no more of it, and goes by the names at the end of this file.
#![forbid(unsafe_code)]

pub mod conduit;
pub mod mediator;
pub mod optee;

pub use conduit::{Conduit, Smc};
pub use mediator::Mediator;

/// The trusted OS that this hypervisor knows.
pub type Tee = optee::Optee;
/// What its mediator keeps for a VM.
pub type Mediation = <Tee as Mediator>::Mediation;
/// The memory that it uses on behalf of a VM.
pub type Shadow = <Tee as Mediator>::Shadow;
