// SPDX-License-Identifier: MIT OR Apache-2.0
//! What exists without any VM: no heap, only fixed tables and the page pool, so that no VM can exhaust it.

pub mod current;
pub mod lifecycle;
pub mod peephole;
#[cfg_attr(as_reported, path = "../as_reported/template.rs")]
pub mod pristine;
pub mod space;
#[cfg_attr(as_reported, path = "../as_reported/start.rs")]
mod start;
pub mod tee;
pub mod tree;
pub mod vms;
