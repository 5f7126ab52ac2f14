// SPDX-License-Identifier: MIT OR Apache-2.0
//! The TEE of OP-TEE issue 7182, by its mechanism: what the feature `as-reported` makes of this crate.
//!
//! It is another image, for `make reproduce`; nothing of this is in the default one. Three mistakes together stop it at
//! the second VM_CREATED, and each has a feature that mends it alone:
//!
//! | mistake | where | mended by |
//! |---|---|---|
//! | an id that names the hypervisor is accepted as a VM's | `ids.rs` | `client-id` |
//! | a new partition's data comes through whatever mapping is current | `template.rs` | `pristine-template` |
//! | what the normal world brings about is an assertion | [`bget`] | `fallible-pool` |
//!
//! The second one breaks a condition that the default code keeps: `Space::build` runs while a partition is selected.
//!
//! Each file here but [`bget`] and [`assertion`] stands in the place of a module of the default code, which is chosen
//! where that module is declared:
//!
//! | file | in the place of | what |
//! |---|---|---|
//! | `ids.rs` | `ids` | which numbers a VM can have |
//! | `malloc.rs` | `heap::blocks` | the heap's allocator |
//! | `template.rs` | `nexus::pristine` | what a new partition begins as |
//! | `start.rs` | `nexus::start` | when its runtime is initialised |
//! | `caller.rs` | `entry::caller` | what is selected when a call arrives |

pub(crate) mod assertion;
#[allow(
    unreachable_pub,
    reason = "the heap of the image as reported names it in public; in other builds only tests do"
)]
pub(crate) mod bget;
