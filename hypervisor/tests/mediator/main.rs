// SPDX-License-Identifier: MIT OR Apache-2.0
//! Machines that look for what nobody thought of in the mediator: random calls of a VM's vCPUs, within each other and
//! with memory that changes under them, answered by a TEE that does anything it may; all held against a model.

#[expect(dead_code, unused_imports, reason = "the TEE's machines choose in more ways")]
#[path = "../../../tee-core/tests/machines/draw.rs"]
mod draw;
mod model;
mod ram;
mod search;
mod world;
