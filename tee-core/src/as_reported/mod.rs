//! The TEE of OP-TEE issue 7182, by its mechanism: what the feature `as-reported` makes of this crate.
//!
//! It is another image, for `make reproduce`; nothing of this is in the default one. Three mistakes together stop it at
//! the second VM_CREATED, and each has a feature that mends it alone:
//!
//! | mistake | where | mended by |
//! |---|---|---|
//! | an id that names the hypervisor is accepted as a VM's | [`ids`] | `client-id` |
//! | a new partition's data comes through whatever mapping is current | [`template`] | `pristine-template` |
//! | what the normal world brings about is an assertion | [`bget`] | `fallible-pool` |
//!
//! The second one breaks a condition that the default code keeps: `Space::build` runs while a partition is selected.
//!
//! The default code calls in here at these places: the monitor's entries (`arch::aarch64::smc`), a new partition's
//! contents (`nexus::space`), the map without a partition (`arch::aarch64::boot`), VM_CREATED (`nexus::lifecycle`), and
//! the heap's allocator (`heap`, `partition`).

pub mod assertion;
pub mod bget;
#[cfg(as_reported)]
pub mod ids;
#[cfg(as_reported)]
pub mod malloc;
#[cfg(as_reported)]
pub mod start;
#[cfg(as_reported)]
pub mod template;
