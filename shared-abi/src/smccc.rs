// SPDX-License-Identifier: MIT OR Apache-2.0
//! Function ids of the SMC Calling Convention (Arm DEN 0028, version 1.4).

use core::fmt;
use core::str::FromStr;

/// The function id in w0 of an SMC or HVC (SMCCC 1.4 §2.5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(pub u32);

/// Who answers a call: bits 29:24 of its function id (SMCCC 1.4 §6, table 6-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwningEntity {
    /// Arm architecture calls.
    Arch,
    /// CPU service calls.
    Cpu,
    /// Silicon partner calls.
    Sip,
    /// OEM calls.
    Oem,
    /// Standard secure services: PSCI, TRNG, SDEI.
    Standard,
    /// Standard hypervisor services.
    StandardHypervisor,
    /// Vendor-specific hypervisor services.
    VendorHypervisor,
    /// Vendor-specific EL3 monitor services.
    VendorMonitor,
    /// Trusted applications, 48 and 49.
    TrustedApp,
    /// The trusted OS, 50 to 63: OP-TEE uses 50 and 63, and 62 towards the monitor.
    TrustedOs,
    /// Numbers that the convention reserves.
    Reserved,
}

impl FunctionId {
    /// Says whether the call is a fast one, which runs to its end; the others may yield. Bit 31.
    pub const fn is_fast(self) -> bool {
        self.0 & (1 << 31) != 0
    }

    /// Says whether the call takes 64-bit arguments (SMC64). Bit 30.
    pub const fn is_64(self) -> bool {
        self.0 & (1 << 30) != 0
    }

    /// Returns the owning entity, bits 29:24.
    pub const fn owner(self) -> OwningEntity {
        match (self.0 >> 24) & 0x3F {
            0 => OwningEntity::Arch,
            1 => OwningEntity::Cpu,
            2 => OwningEntity::Sip,
            3 => OwningEntity::Oem,
            4 => OwningEntity::Standard,
            5 => OwningEntity::StandardHypervisor,
            6 => OwningEntity::VendorHypervisor,
            7 => OwningEntity::VendorMonitor,
            48..=49 => OwningEntity::TrustedApp,
            50..=63 => OwningEntity::TrustedOs,
            _ => OwningEntity::Reserved,
        }
    }

    /// Says whether the trusted OS owns the id, which costs less to ask than who does.
    #[inline(always)]
    pub const fn is_of_trusted_os(self) -> bool {
        (self.0 >> 24) & 0x3F >= 50
    }

    /// Returns the function number, bits 15:0.
    pub const fn number(self) -> u16 {
        self.0 as u16
    }

    /// Returns the name that its specification gives the id, if we know one.
    pub fn name(self) -> Option<&'static str> {
        tables().find(|(id, _)| *id == self).map(|(_, name)| *name)
    }
}

fn tables() -> impl Iterator<Item = &'static (FunctionId, &'static str)> {
    NAMES.iter().chain(crate::psci::NAMES).chain(crate::optee_smc::NAMES).chain(crate::opteed::NAMES)
}

impl fmt::Display for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:08x}", self.0),
        }
    }
}

impl fmt::Debug for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} (0x{:08x})", self.0)
    }
}

/// Why a text is no function id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFunction;

impl fmt::Display for UnknownFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither the name of a function nor a number such as 0xb200000d")
    }
}

impl core::error::Error for UnknownFunction {}

/// Parses a name of the specifications (`OPTEE_SMC_VM_CREATED`) or a number, `0x` for hexadecimal.
impl FromStr for FunctionId {
    type Err = UnknownFunction;

    fn from_str(text: &str) -> Result<Self, UnknownFunction> {
        if let Some((id, _)) = tables().find(|(_, name)| *name == text) {
            return Ok(*id);
        }
        let number = match text.strip_prefix("0x") {
            // `from_str_radix` would also take a sign.
            Some(hex) if !hex.starts_with('+') => u32::from_str_radix(hex, 16),
            Some(_) => return Err(UnknownFunction),
            None if text.starts_with('+') => return Err(UnknownFunction),
            None => text.parse(),
        };
        number.map(FunctionId).map_err(|_| UnknownFunction)
    }
}

/// Declares function ids as constants and the table of their names.
macro_rules! function_ids {
    ($($(#[$doc:meta])* $name:ident = $id:expr;)*) => {
        $($(#[$doc])* pub const $name: $crate::smccc::FunctionId = $crate::smccc::FunctionId($id);)*

        /// Every function id of this module with its name.
        pub const NAMES: &[($crate::smccc::FunctionId, &str)] = &[$(($name, stringify!($name)),)*];
    };
}
pub(crate) use function_ids;

function_ids! {
    /// Version of the convention: major in bits 30:16, minor in 15:0 (SMCCC 1.4 §7.2).
    SMCCC_VERSION = 0x8000_0000;
    /// Whether an architecture call is there (SMCCC 1.4 §7.3).
    SMCCC_ARCH_FEATURES = 0x8000_0001;
    /// Identifies the silicon; optional (SMCCC 1.4 §7.4).
    SMCCC_ARCH_SOC_ID_32 = 0x8000_0002;
    /// Identifies the silicon, 64-bit form; optional.
    SMCCC_ARCH_SOC_ID_64 = 0xC000_0002;
    /// Which optional features the firmware enabled for lower levels; optional (SMCCC 1.4 §7.5).
    SMCCC_ARCH_FEATURE_AVAILABILITY = 0xC000_0003;
    /// Mitigation of CVE-2017-5715, branch target injection (SMCCC 1.4 §7.6).
    SMCCC_ARCH_WORKAROUND_1 = 0x8000_8000;
    /// Mitigation of CVE-2018-3639, speculative store bypass (SMCCC 1.4 §7.7).
    SMCCC_ARCH_WORKAROUND_2 = 0x8000_7FFF;
    /// Mitigation of CVE-2022-23960, branch history injection (SMCCC 1.4 §7.8).
    SMCCC_ARCH_WORKAROUND_3 = 0x8000_3FFF;
    /// How many functions the standard services have (SMCCC 1.4 §6.2).
    SMCCC_STD_CALL_COUNT = 0x8400_FF00;
    /// UUID of the standard services.
    SMCCC_STD_CALL_UID = 0x8400_FF01;
    /// Revision of the standard services.
    SMCCC_STD_REVISION = 0x8400_FF03;
    /// Version of the true random number interface (Arm DEN 0098).
    TRNG_VERSION = 0x8400_0050;
    /// Whether a TRNG function is there (Arm DEN 0098).
    TRNG_FEATURES = 0x8400_0051;
    /// Which TRNG back end serves (Arm DEN 0098).
    TRNG_GET_UUID = 0x8400_0052;
    /// Entropy, up to 96 bits (Arm DEN 0098).
    TRNG_RND_32 = 0x8400_0053;
    /// Entropy, up to 192 bits (Arm DEN 0098).
    TRNG_RND_64 = 0xC400_0053;
    /// UUID of the vendor's hypervisor services (SMCCC 1.4 §6.2).
    VENDOR_HYP_CALL_UID = 0x8600_FF01;
}

/// The version these layers implement, as SMCCC_VERSION returns it: 1.4.
pub const VERSION: u32 = 0x1_0004;
/// The call succeeded.
pub const SUCCESS: i32 = 0;
/// The answer to every function id that nobody serves (SMCCC 1.4 §5.2).
pub const NOT_SUPPORTED: i32 = -1;
/// The function is there, but this implementation does not need it (SMCCC 1.4 §7.1).
pub const NOT_REQUIRED: i32 = -2;
/// An argument is out of its range (SMCCC 1.4 §7.1).
pub const INVALID_PARAMETER: i32 = -3;

/// Returns an error code as it stands in x0: sign-extended to 64 bits (SMCCC 1.4 §5.2: "-1, sign-extended").
pub const fn in_x0(code: i32) -> u64 {
    code as i64 as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_known_id_prints_its_name_and_is_parsed_from_it() {
        for (id, name) in tables() {
            assert_eq!(id.to_string(), *name);
            assert_eq!(name.parse(), Ok(*id));
            assert_eq!(format!("0x{:08x}", id.0).parse(), Ok(*id));
        }
    }

    #[test]
    fn no_id_and_no_name_stands_twice() {
        let (ids, names): (HashSet<_>, HashSet<_>) = tables().copied().unzip();
        assert_eq!(ids.len(), tables().count());
        assert_eq!(names.len(), tables().count());
    }

    #[test]
    fn what_has_no_name_prints_as_a_number() {
        assert_eq!(FunctionId(0xB200_FFFF).to_string(), "0xb200ffff");
        assert_eq!("0xb200ffff".parse(), Ok(FunctionId(0xB200_FFFF)));
        for text in ["", "0x", "SMCCC", "0x1_0000", "-1", "+1", "0x+1", "4294967296"] {
            assert_eq!(text.parse::<FunctionId>(), Err(UnknownFunction), "{text}");
        }
    }

    #[test]
    fn the_fields_of_an_id_are_where_the_convention_puts_them() {
        let created = crate::optee_smc::OPTEE_SMC_VM_CREATED;
        assert!(created.is_fast() && !created.is_64());
        assert_eq!(created.owner(), OwningEntity::TrustedOs);
        assert_eq!(created.number(), 13);
        assert!(!crate::optee_smc::OPTEE_SMC_CALL_WITH_ARG.is_fast());
        assert_eq!(crate::psci::PSCI_CPU_ON_64.owner(), OwningEntity::Standard);
        assert!(crate::psci::PSCI_CPU_ON_64.is_64());
        assert_eq!(SMCCC_ARCH_WORKAROUND_1.owner(), OwningEntity::Arch);
        assert_eq!(FunctionId(0x8800_0000).owner(), OwningEntity::Reserved);
        for owner in 0..64 {
            for id in [FunctionId(owner << 24), FunctionId(0xC0FF_FFFF | owner << 24)] {
                assert_eq!(id.is_of_trusted_os(), id.owner() == OwningEntity::TrustedOs, "{id}");
            }
        }
    }
}
