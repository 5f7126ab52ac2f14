// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who speaks to the TEE: the client id that the hypervisor stamps into x7.
//!
//! The id 0 names the hypervisor itself (`HYP_CLNT_ID`), every other one a VM. OP-TEE up to 4.4 took the number as it
//! came, so that "a VM with the hypervisor's id" could be created (issue 7182), and so could one whose number only
//! became 0 when it was cut to 16 bits. Here such a value cannot exist: see [`VmId`].

use core::fmt;
use core::num::NonZeroU16;

/// The id of a virtual machine: 1 to 65535. No value of this type names the hypervisor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VmId(NonZeroU16);

impl VmId {
    /// Returns the VM of this number, or `None` for 0, which is the hypervisor's.
    pub const fn new(id: u16) -> Option<Self> {
        match NonZeroU16::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// Parses the 32-bit argument of `VM_CREATED` and `VM_DESTROYED`. `None` for 0 and for a number that has any of
    /// bits 31:16 set: the number is never cut to fit.
    pub const fn from_argument(argument: u32) -> Option<Self> {
        if argument > u16::MAX as u32 { None } else { Self::new(argument as u16) }
    }

    /// Returns the number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for VmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vm{}", self.0)
    }
}

impl fmt::Debug for VmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who made a call, as x7 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientId {
    /// The hypervisor itself, or a normal world without one: `HYP_CLNT_ID`, 0.
    Hypervisor,
    /// A virtual machine.
    Vm(VmId),
}

impl ClientId {
    /// Parses x7. It is an SMC32 argument, so bits 63:32 are not part of it (SMCCC 1.4 §3.1); `None` if what remains
    /// can name nobody.
    pub const fn from_x7(x7: u64) -> Option<Self> {
        match x7 as u32 {
            0 => Some(Self::Hypervisor),
            id => match VmId::from_argument(id) {
                Some(vm) => Some(Self::Vm(vm)),
                None => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_but_the_vms_own_makes_its_id() {
        assert_eq!(VmId::from_argument(0), None);
        assert_eq!(VmId::from_argument(0x1_0000), None);
        assert_eq!(VmId::from_argument(0x1_0001), None);
        assert_eq!(VmId::from_argument(u32::MAX), None);
        assert_eq!(VmId::from_argument(1).unwrap().get(), 1);
        assert_eq!(VmId::from_argument(0xFFFF).unwrap().get(), 0xFFFF);
    }

    #[test]
    fn the_high_half_of_x7_is_not_part_of_the_client_id() {
        assert_eq!(ClientId::from_x7(0xDEAD_BEEF_0000_0000), Some(ClientId::Hypervisor));
        assert_eq!(ClientId::from_x7(0x1_0000_0002), Some(ClientId::Vm(VmId::new(2).unwrap())));
        assert_eq!(ClientId::from_x7(0x1_0000), None);
    }

    #[test]
    fn a_vm_prints_as_the_consoles_prefix() {
        assert_eq!(format!("{}", VmId::new(2).unwrap()), "vm2");
    }
}
