// SPDX-License-Identifier: MIT OR Apache-2.0
//! The OP-TEE SMC ABI (OP-TEE `core/arch/arm/include/sm/optee_smc.h`).
//!
//! All calls are SMC32: the upper halves of their arguments are not part of them. x7 is the client id
//! ([`crate::client::ClientId`]). Unused results are 0.

use crate::smccc::function_ids;
use bitflags::bitflags;
use core::fmt;

function_ids! {
    /// How many functions the trusted OS API has.
    OPTEE_SMC_CALLS_COUNT = 0xBF00_FF00;
    /// The API's UUID in x0 to x3: [`CALLS_UID`].
    OPTEE_SMC_CALLS_UID = 0xBF00_FF01;
    /// The API's revision: [`CALLS_REVISION`].
    OPTEE_SMC_CALLS_REVISION = 0xBF00_FF03;
    /// UUID of the trusted OS itself: [`OS_UUID`].
    OPTEE_SMC_CALL_GET_OS_UUID = 0xB200_0000;
    /// Revision of the trusted OS: major, minor, build id.
    OPTEE_SMC_CALL_GET_OS_REVISION = 0xB200_0001;
    /// Where the reserved shared memory is.
    OPTEE_SMC_GET_SHM_CONFIG = 0xB200_0007;
    /// Mutex of an outer cache controller of Armv7.
    OPTEE_SMC_L2CC_MUTEX = 0xB200_0008;
    /// x1: capabilities of the normal world; answers OK, [`SecureCaps`], the greatest notification, number of RPC
    /// parameters.
    OPTEE_SMC_EXCHANGE_CAPABILITIES = 0xB200_0009;
    /// Takes one cached shared-memory cookie back; ENOTAVAIL when none is left.
    OPTEE_SMC_DISABLE_SHM_CACHE = 0xB200_000A;
    /// Allows the TEE to keep shared memory between calls.
    OPTEE_SMC_ENABLE_SHM_CACHE = 0xB200_000B;
    /// Releases a secondary CPU, where the TEE and not the monitor does so.
    OPTEE_SMC_BOOT_SECONDARY = 0xB200_000C;
    /// The hypervisor says: VM x1 exists from now on.
    OPTEE_SMC_VM_CREATED = 0xB200_000D;
    /// The hypervisor says: VM x1 is gone.
    OPTEE_SMC_VM_DESTROYED = 0xB200_000E;
    /// How many yielding calls of one VM can be under way: OK, count.
    OPTEE_SMC_GET_THREAD_COUNT = 0xB200_000F;
    /// Asynchronous notifications on.
    OPTEE_SMC_ENABLE_ASYNC_NOTIF = 0xB200_0010;
    /// Fetches an asynchronous notification: OK, its value, whether there was one (bit 0) and is another (bit 1).
    OPTEE_SMC_GET_ASYNC_NOTIF_VALUE = 0xB200_0011;
    /// Where the protected memory is.
    OPTEE_SMC_GET_PROTMEM_CONFIG = 0xB200_0014;
    /// Goes on with a call that is suspended in an RPC: x3 and what else the RPC said must be preserved.
    OPTEE_SMC_CALL_RETURN_FROM_RPC = 0x3200_0003;
    /// A message: physical address in x1 (upper half) and x2 (lower half).
    OPTEE_SMC_CALL_WITH_ARG = 0x3200_0004;
    /// A message with the RPC's message behind it.
    OPTEE_SMC_CALL_WITH_RPC_ARG = 0x3200_0012;
    /// Both messages in registered memory: cookie in x1 and x2, offset in x3.
    OPTEE_SMC_CALL_WITH_REGD_ARG = 0x3200_0013;
}

/// Answer of CALLS_UID: 384fb3e0-e7f8-11e3-af63-0002a5d5c51b.
pub const CALLS_UID: [u32; 4] = [0x384F_B3E0, 0xE7F8_11E3, 0xAF63_0002, 0xA5D5_C51B];
/// Answer of GET_OS_UUID: 486178e0-e7f8-11e3-bc5e-0002a5d5c51b.
pub const OS_UUID: [u32; 4] = [0x4861_78E0, 0xE7F8_11E3, 0xBC5E_0002, 0xA5D5_C51B];
/// Answer of CALLS_REVISION: 2.0.
pub const CALLS_REVISION: [u32; 2] = [2, 0];

/// What a TEE call returns in x0 (`OPTEE_SMC_RETURN_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ReturnCode {
    /// Done; for a yielding call the message says more.
    Ok = 0,
    /// No thread is free.
    EThreadLimit = 1,
    /// Not possible while calls are under way.
    EBusy = 2,
    /// No such suspended call.
    EResume = 3,
    /// The message's address is not one that may be used.
    EBadAddr = 4,
    /// The message says nothing that can be done.
    EBadCmd = 5,
    /// Out of memory.
    ENoMem = 6,
    /// Not available: no such VM, no room for one, nothing cached.
    ENotAvail = 7,
    /// No such function: SMCCC's NOT_SUPPORTED as an SMC32 result.
    UnknownFunction = 0xFFFF_FFFF,
}

impl ReturnCode {
    /// Returns the code in x0, if it is one; `None` for an RPC and for numbers nobody defines.
    pub const fn from_x0(x0: u64) -> Option<Self> {
        Some(match x0 as u32 {
            0 => Self::Ok,
            1 => Self::EThreadLimit,
            2 => Self::EBusy,
            3 => Self::EResume,
            4 => Self::EBadAddr,
            5 => Self::EBadCmd,
            6 => Self::ENoMem,
            7 => Self::ENotAvail,
            0xFFFF_FFFF => Self::UnknownFunction,
            _ => return None,
        })
    }

    /// Returns the name that `optee_smc.h` gives the code.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OPTEE_SMC_RETURN_OK",
            Self::EThreadLimit => "OPTEE_SMC_RETURN_ETHREAD_LIMIT",
            Self::EBusy => "OPTEE_SMC_RETURN_EBUSY",
            Self::EResume => "OPTEE_SMC_RETURN_ERESUME",
            Self::EBadAddr => "OPTEE_SMC_RETURN_EBADADDR",
            Self::EBadCmd => "OPTEE_SMC_RETURN_EBADCMD",
            Self::ENoMem => "OPTEE_SMC_RETURN_ENOMEM",
            Self::ENotAvail => "OPTEE_SMC_RETURN_ENOTAVAIL",
            Self::UnknownFunction => "OPTEE_SMC_RETURN_UNKNOWN_FUNCTION",
        }
    }
}

impl fmt::Display for ReturnCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a suspended call wants of the normal world: the low half of an RPC's x0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Rpc {
    /// Memory for a message, x1 bytes. The answer: address in x1, x2 (0: none), cookie in x4, x5.
    Alloc = 0,
    /// Give that memory back: cookie in x1, x2.
    Free = 2,
    /// An interrupt of the normal world is pending: take it, then resume.
    ForeignIntr = 4,
    /// The RPC message says what: cookie of its memory in x1, x2.
    Cmd = 5,
}

impl Rpc {
    /// Upper half of x0 of every RPC.
    pub const PREFIX: u32 = 0xFFFF_0000;

    /// Returns x0 of this RPC.
    pub const fn x0(self) -> u64 {
        (Self::PREFIX | self as u32) as u64
    }

    /// Returns the RPC that x0 asks for. `None` if x0 is a return code, and for RPCs nobody defines.
    pub const fn from_x0(x0: u64) -> Option<Self> {
        match x0 as u32 ^ Self::PREFIX {
            0 => Some(Self::Alloc),
            2 => Some(Self::Free),
            4 => Some(Self::ForeignIntr),
            5 => Some(Self::Cmd),
            _ => None,
        }
    }

    /// Returns the name that `optee_smc.h` gives the request.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alloc => "OPTEE_SMC_RETURN_RPC_ALLOC",
            Self::Free => "OPTEE_SMC_RETURN_RPC_FREE",
            Self::ForeignIntr => "OPTEE_SMC_RETURN_RPC_FOREIGN_INTR",
            Self::Cmd => "OPTEE_SMC_RETURN_RPC_CMD",
        }
    }
}

bitflags! {
    /// What the TEE can do: x1 of EXCHANGE_CAPABILITIES (`OPTEE_SMC_SEC_CAP_*`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct SecureCaps: u32 {
        /// Shared memory is reserved at a fixed place.
        const HAVE_RESERVED_SHM = 1 << 0;
        /// Buffers need not be registered.
        const UNREGISTERED_SHM = 1 << 1;
        /// Any non-secure RAM can be registered, and messages can stand anywhere in it.
        const DYNAMIC_SHM = 1 << 2;
        /// VMs can be created.
        const VIRTUALIZATION = 1 << 3;
        /// A memory reference may be null.
        const MEMREF_NULL = 1 << 4;
        /// Asynchronous notifications.
        const ASYNC_NOTIF = 1 << 5;
        /// The RPC's message can come with the call.
        const RPC_ARG = 1 << 6;
        /// Looks for an RPMB device itself.
        const RPMB_PROBE = 1 << 7;
        /// Protected memory.
        const PROTMEM = 1 << 8;
        /// Protected memory anywhere.
        const DYNAMIC_PROTMEM = 1 << 9;
    }
}

/// x1 of EXCHANGE_CAPABILITIES as the normal world sends it: it is a uniprocessor system. The only bit there is.
pub const NSEC_CAP_UNIPROCESSOR: u32 = 1 << 0;

/// Makes a 64-bit value of two 32-bit registers, the upper half first.
pub const fn from_halves(high: u64, low: u64) -> u64 {
    (high << 32) | (low & 0xFFFF_FFFF)
}

/// Returns the two 32-bit halves of a value, the upper one first.
pub const fn to_halves(value: u64) -> (u64, u64) {
    (value >> 32, value & 0xFFFF_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smccc::OwningEntity;

    #[test]
    fn every_call_belongs_to_the_trusted_os_and_is_smc32() {
        for (id, name) in NAMES {
            assert_eq!(id.owner(), OwningEntity::TrustedOs, "{name}");
            assert!(!id.is_64(), "{name}");
        }
    }

    #[test]
    fn a_return_code_and_an_rpc_are_never_confused() {
        for x0 in (0..=0x10).chain(0xFFFE_FFF0..=0xFFFF_0010).chain([0xFFFF_FFFF]) {
            assert!(ReturnCode::from_x0(x0).is_none() || Rpc::from_x0(x0).is_none(), "{x0:x}");
        }
        for rpc in [Rpc::Alloc, Rpc::Free, Rpc::ForeignIntr, Rpc::Cmd] {
            assert_eq!(Rpc::from_x0(rpc.x0()), Some(rpc));
        }
        assert_eq!(Rpc::ForeignIntr.x0(), 0xFFFF_0004);
        for code in 0..=7 {
            assert_eq!(ReturnCode::from_x0(code).unwrap() as u64, code);
        }
    }

    #[test]
    fn halves_make_the_value_whatever_stands_above_them() {
        assert_eq!(from_halves(0x1, 0xFFFF_FFFF_0000_0002), 0x1_0000_0002);
        assert_eq!(to_halves(0x1_0000_0002), (1, 2));
    }
}
