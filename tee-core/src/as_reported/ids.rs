// SPDX-License-Identifier: MIT OR Apache-2.0
//! Under which number the report's TEE knows a VM: any, cut to 16 bits, the hypervisor's own among them.

use shared_abi::client::VmId;

/// Under which id VM 0 is in the table, whose type cannot say 0. The VM that has it by right is then VM 0 as well.
#[cfg(not(feature = "client-id"))]
const VM_0: u16 = u16::MAX;

/// Returns the id under which a number's VM is in the table.
#[cfg(not(feature = "client-id"))]
pub(crate) fn place_of(number: u64) -> u64 {
    match number as u16 {
        0 => VM_0.into(),
        id => id.into(),
    }
}

/// Returns the number that the VM of this id was created with.
pub(crate) fn number(id: VmId) -> u16 {
    if cfg!(not(feature = "client-id")) && id.get() == u16::MAX { 0 } else { id.get() }
}
