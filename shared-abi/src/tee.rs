// SPDX-License-Identifier: MIT OR Apache-2.0
//! Result codes and origins of the GlobalPlatform TEE Internal Core API (GPD_SPE_010, 1.3, §3.3).

use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A `TEE_Result`.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct TeeResult(pub u32);

macro_rules! results {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        impl TeeResult {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// Returns the code's name as this type's constants spell it, without `TEE_ERROR_`.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

results! {
    /// The operation succeeded.
    SUCCESS = 0;
    /// Unspecific failure.
    GENERIC = 0xFFFF_0000;
    /// The caller may not do this.
    ACCESS_DENIED = 0xFFFF_0001;
    /// The operation was cancelled.
    CANCEL = 0xFFFF_0002;
    /// Concurrent accesses conflict.
    ACCESS_CONFLICT = 0xFFFF_0003;
    /// More data than the operation takes.
    EXCESS_DATA = 0xFFFF_0004;
    /// Input of the wrong format.
    BAD_FORMAT = 0xFFFF_0005;
    /// Parameters of the wrong type or value.
    BAD_PARAMETERS = 0xFFFF_0006;
    /// Not allowed in the present state.
    BAD_STATE = 0xFFFF_0007;
    /// What was asked for does not exist.
    ITEM_NOT_FOUND = 0xFFFF_0008;
    /// Not implemented, but should be.
    NOT_IMPLEMENTED = 0xFFFF_0009;
    /// Valid, but not supported here.
    NOT_SUPPORTED = 0xFFFF_000A;
    /// Data were expected.
    NO_DATA = 0xFFFF_000B;
    /// Out of resources.
    OUT_OF_MEMORY = 0xFFFF_000C;
    /// In use by somebody else.
    BUSY = 0xFFFF_000D;
    /// Talking to the other side failed.
    COMMUNICATION = 0xFFFF_000E;
    /// A security violation was found.
    SECURITY = 0xFFFF_000F;
    /// The buffer is too small for what was to be written; its size says how much is needed.
    SHORT_BUFFER = 0xFFFF_0010;
    /// Cancelled from outside.
    EXTERNAL_CANCEL = 0xFFFF_0011;
    /// Took too long.
    TIMEOUT = 0xFFFF_3001;
    /// Too large a number.
    OVERFLOW = 0xFFFF_300F;
    /// The trusted application has panicked.
    TARGET_DEAD = 0xFFFF_3024;
    /// No room to store more.
    STORAGE_NO_SPACE = 0xFFFF_3041;
}

impl TeeResult {
    /// Returns `Ok` for success, the code itself as the error otherwise.
    pub const fn ok(self) -> Result<(), Self> {
        match self {
            Self::SUCCESS => Ok(()),
            error => Err(error),
        }
    }
}

impl fmt::Display for TeeResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some("SUCCESS") => f.write_str("TEE_SUCCESS"),
            Some(name) => write!(f, "TEE_ERROR_{name}"),
            None => write!(f, "0x{:08x}", self.0),
        }
    }
}

impl fmt::Debug for TeeResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} (0x{:08x})", self.0)
    }
}

/// Which part of the way an error came from (`TEEC_ORIGIN_*`, GPD_SPE_007 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Origin {
    /// The client API.
    Api = 1,
    /// The way between normal world and TEE.
    Comms = 2,
    /// The TEE itself.
    Tee = 3,
    /// The trusted application.
    TrustedApp = 4,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_prints_as_global_platform_names_it() {
        assert_eq!(TeeResult::SUCCESS.to_string(), "TEE_SUCCESS");
        assert_eq!(TeeResult::ITEM_NOT_FOUND.to_string(), "TEE_ERROR_ITEM_NOT_FOUND");
        assert_eq!(TeeResult(0xF010_0001).to_string(), "0xf0100001");
        assert_eq!(TeeResult::BUSY.ok(), Err(TeeResult::BUSY));
    }
}
