//! What exists without any VM: no heap, only fixed tables and the page pool, so that no VM can exhaust it.

pub mod current;
pub mod device_tree;
pub mod lifecycle;
pub mod ns_ram;
pub mod pages;
pub mod peephole;
#[cfg(not(as_reported))]
pub mod pristine;
pub mod space;
pub mod vms;
