// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the chain is told in `/chosen` of the device tree and more than one layer knows.
//!
//! The tree is what every chain has: TF-A hands it to the TEE as our monitor does, in x2 of the first entry, when no
//! code of the normal world has run yet. (x3 is 0 there, and the manifest of our flash isn't read.)

/// Whom the TEE serves: [`SINGLE`], or, without the property, VMs that a hypervisor creates.
pub const TEE: &str = "triptych,tee";
/// The value of [`TEE`] for one normal world without a mediator.
pub const SINGLE: &str = "single";
