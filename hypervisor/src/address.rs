// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two kinds of address that a hypervisor must never mix up.
//!
//! A guest names its memory by intermediate physical addresses ([`Ipa`]); the machine, the TEE and stage 2's tables by
//! physical ones ([`Pa`]). Nothing converts one into the other but a VM's own stage 2.

use core::fmt;

/// Size of the pages that stage 2 and OP-TEE's page lists count in: 4 KiB.
pub const PAGE_SIZE: u64 = 4096;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// Address of the page in which this address lies.
            pub const fn page(self) -> Self {
                Self(self.0 & !(PAGE_SIZE - 1))
            }

            /// Returns the offset in that page.
            pub const fn offset(self) -> u64 {
                self.0 & (PAGE_SIZE - 1)
            }

            /// Says whether the address is a multiple of `align`, which must be a power of two.
            pub const fn is_aligned(self, align: u64) -> bool {
                self.0 & (align - 1) == 0
            }

            /// Returns the address `bytes` further up; `None` beyond the end of the address space.
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, " {:#x}"), self.0)
            }
        }
    };
}

address! {
    /// An intermediate physical address: what a guest takes for a physical one (Arm ARM D8.1.1).
    Ipa, "IPA"
}

address! {
    /// A physical address of the machine.
    Pa, "PA"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_splits_into_its_page_and_its_offset() {
        let ipa = Ipa(0x4000_1234);
        assert_eq!(ipa.page(), Ipa(0x4000_1000));
        assert_eq!(ipa.offset(), 0x234);
        assert!(ipa.is_aligned(4) && !ipa.is_aligned(8));
    }

    #[test]
    fn adding_does_not_wrap() {
        assert_eq!(Pa(u64::MAX).checked_add(1), None);
        assert_eq!(Pa(1).checked_add(1), Some(Pa(2)));
    }

    #[test]
    fn an_address_prints_as_what_it_is() {
        assert_eq!(format!("{:?} {}", Ipa(0x40), Pa(0x80)), "IPA 0x40 0x80");
    }
}
