// SPDX-License-Identifier: MIT OR Apache-2.0
//! Under which number a VM is known: its id.

use shared_abi::client::VmId;

/// Returns the number that the VM of this id was created with.
pub(crate) const fn number(id: VmId) -> u16 {
    id.get()
}
