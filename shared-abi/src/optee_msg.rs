// SPDX-License-Identifier: MIT OR Apache-2.0
//! The OP-TEE message ABI (OP-TEE `core/include/optee_msg.h` and `optee_rpc_cmd.h`).
//!
//! A message is a [`MsgHeader`] followed by its [`MsgParam`]s, in memory that the normal world shares. What is read
//! from there is an allegation: copy it once into these types, then look at it.

use core::fmt;
use uuid::Uuid;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct optee_msg_arg` without its parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MsgHeader {
    /// What is asked: [`Cmd`], or in an RPC [`RpcCmd`].
    pub cmd: u32,
    /// INVOKE_COMMAND: the trusted application's function.
    pub func: u32,
    /// The session, out of OPEN_SESSION and into the others.
    pub session: u32,
    /// Names the call for CANCEL.
    pub cancel_id: u32,
    /// Padding.
    pub pad: u32,
    /// Out: a [`crate::tee::TeeResult`].
    pub ret: u32,
    /// Out: a [`crate::tee::Origin`].
    pub ret_origin: u32,
    /// Parameters that follow.
    pub num_params: u32,
}

/// `struct optee_msg_param`: the attribute says how to read the three numbers; see [`Param`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MsgParam {
    /// Type in bits 7:0, then [`ATTR_META`] and [`ATTR_NONCONTIG`].
    pub attr: u64,
    /// Value a; address of a temporary reference; offset of a registered one.
    pub a: u64,
    /// Value b; size in bytes of either reference.
    pub b: u64,
    /// Value c; cookie of the shared memory.
    pub c: u64,
}

/// The type field of a parameter's attribute (`OPTEE_MSG_ATTR_TYPE_MASK`).
pub const ATTR_TYPE_MASK: u64 = 0xFF;
/// The parameter is the protocol's own, not the trusted application's.
pub const ATTR_META: u64 = 1 << 8;
/// The address is that of a list of pages ([`PageList`]).
pub const ATTR_NONCONTIG: u64 = 1 << 9;
/// Size of the pages of a page list, whatever the page size of either side.
pub const PAGE_SIZE: usize = 4096;
/// Most parameters of a message: it fits a page (`OPTEE_MSG_MAX_NUM_PARAMS`).
pub const MAX_PARAMS: usize = (PAGE_SIZE - size_of::<MsgHeader>()) / size_of::<MsgParam>();

/// Returns the bytes of a message of so many parameters (`OPTEE_MSG_GET_ARG_SIZE`).
pub const fn arg_size(num_params: usize) -> usize {
    size_of::<MsgHeader>() + num_params * size_of::<MsgParam>()
}

/// Which way a parameter goes. The numbers are those of the value types; references add their base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Direction {
    /// Into the TEE (in an RPC: out of it).
    In = 1,
    /// Out of the TEE (in an RPC: into it).
    Out = 2,
    /// Both.
    InOut = 3,
}

impl Direction {
    /// Says whether the receiver of the message may read it.
    pub const fn reads(self) -> bool {
        self as u64 & 1 != 0
    }

    /// Says whether the receiver of the message may write it.
    pub const fn writes(self) -> bool {
        self as u64 & 2 != 0
    }

    const fn from_bits(bits: u64) -> Option<Self> {
        match bits {
            1 => Some(Self::In),
            2 => Some(Self::Out),
            3 => Some(Self::InOut),
            _ => None,
        }
    }
}

const TYPE_RMEM: u64 = 0x4;
const TYPE_TMEM: u64 = 0x8;

/// A parameter by its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param {
    /// Nothing.
    None,
    /// Three numbers.
    Value {
        /// Which way they go.
        dir: Direction,
        /// The numbers.
        value: [u64; 3],
    },
    /// A temporary reference: memory that need not be registered.
    Tmem {
        /// Which way the bytes go.
        dir: Direction,
        /// Address of the first byte; of the page list if `noncontig`, its offset in the page being the buffer's.
        buf_ptr: u64,
        /// Bytes.
        size: u64,
        /// Cookie.
        shm_ref: u64,
        /// Whether `buf_ptr` is a page list's.
        noncontig: bool,
    },
    /// A reference into registered memory.
    Rmem {
        /// Which way the bytes go.
        dir: Direction,
        /// Offset of the first byte.
        offs: u64,
        /// Bytes.
        size: u64,
        /// Cookie.
        shm_ref: u64,
    },
}

/// The attribute names no type that OP-TEE defines, or one that carries a flag it cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAttribute(pub u64);

impl Param {
    /// Reads a parameter by its attribute, whose [`ATTR_META`] is left to the caller (see [`MsgParam::is_meta`]).
    pub fn parse(param: &MsgParam) -> Result<Self, UnknownAttribute> {
        let bad = UnknownAttribute(param.attr);
        let MsgParam { attr, a, b, c } = *param;
        if attr & !(ATTR_TYPE_MASK | ATTR_META | ATTR_NONCONTIG) != 0 {
            return Err(bad);
        }
        let noncontig = attr & ATTR_NONCONTIG != 0;
        let kind = attr & ATTR_TYPE_MASK;
        if kind == 0 {
            return if noncontig { Err(bad) } else { Ok(Self::None) };
        }
        let dir = Direction::from_bits(kind & 3).ok_or(bad)?;
        match kind & !3 {
            0 if !noncontig => Ok(Self::Value { dir, value: [a, b, c] }),
            TYPE_RMEM if !noncontig => Ok(Self::Rmem { dir, offs: a, size: b, shm_ref: c }),
            TYPE_TMEM => Ok(Self::Tmem { dir, buf_ptr: a, size: b, shm_ref: c, noncontig }),
            _ => Err(bad),
        }
    }

    /// Returns the parameter as it stands in a message, [`ATTR_META`] clear.
    pub const fn to_msg(self) -> MsgParam {
        match self {
            Self::None => MsgParam { attr: 0, a: 0, b: 0, c: 0 },
            Self::Value { dir, value: [a, b, c] } => MsgParam { attr: dir as u64, a, b, c },
            Self::Tmem { dir, buf_ptr, size, shm_ref, noncontig } => MsgParam {
                attr: TYPE_TMEM | dir as u64 | if noncontig { ATTR_NONCONTIG } else { 0 },
                a: buf_ptr,
                b: size,
                c: shm_ref,
            },
            Self::Rmem { dir, offs, size, shm_ref } => {
                MsgParam { attr: TYPE_RMEM | dir as u64, a: offs, b: size, c: shm_ref }
            }
        }
    }
}

impl MsgParam {
    /// Says whether the parameter is the protocol's own ([`ATTR_META`]).
    pub const fn is_meta(&self) -> bool {
        self.attr & ATTR_META != 0
    }

    /// Marks the parameter as the protocol's own.
    pub const fn meta(self) -> Self {
        Self { attr: self.attr | ATTR_META, ..self }
    }
}

/// Reads the UUID that OPEN_SESSION carries in the octets of its first parameter.
pub fn uuid_of(param: &MsgParam) -> Uuid {
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(&param.a.to_le_bytes());
    octets[8..].copy_from_slice(&param.b.to_le_bytes());
    Uuid::from_bytes(octets)
}

/// Returns the numbers a and b whose octets in memory are the UUID's.
pub fn uuid_to_value(uuid: &Uuid) -> (u64, u64) {
    let octets = uuid.as_bytes();
    let half = |at: usize| u64::from_le_bytes(core::array::from_fn(|i| octets[at + i]));
    (half(0), half(8))
}

/// Declares a command number with its names.
macro_rules! commands {
    ($(#[$doc:meta])* $type:ident, $prefix:literal, { $($(#[$item_doc:meta])* $name:ident = $value:expr;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $type(pub u32);

        impl $type {
            $($(#[$item_doc])* pub const $name: Self = Self($value);)*

            /// Every command OP-TEE defines that these layers know.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the name that OP-TEE's headers give the command.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(concat!($prefix, stringify!($name))),)*
                    _ => None,
                }
            }

            /// Returns the command of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|command| command.name() == Some(name))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

commands! {
    /// What a message asks of the TEE (`OPTEE_MSG_CMD_*`).
    Cmd, "OPTEE_MSG_CMD_", {
        /// Opens a session. Meta parameters: the UUID; the client's UUID and, in c, its login.
        OPEN_SESSION = 0;
        /// Calls a function of a session's trusted application.
        INVOKE_COMMAND = 1;
        /// Closes a session.
        CLOSE_SESSION = 2;
        /// Cancels the call whose `cancel_id` this is.
        CANCEL = 3;
        /// Registers the memory of the one parameter, a non-contiguous temporary reference, under its cookie.
        REGISTER_SHM = 4;
        /// Ends the registration of the one parameter's cookie.
        UNREGISTER_SHM = 5;
        /// Work of asynchronous notifications.
        DO_BOTTOM_HALF = 6;
        /// No more asynchronous notifications.
        STOP_ASYNC_NOTIF = 7;
        /// Lends protected memory.
        LEND_PROTMEM = 8;
        /// Takes protected memory back.
        RECLAIM_PROTMEM = 9;
        /// Asks for the protected memory's shape.
        GET_PROTMEM_CONFIG = 10;
        /// Assigns protected memory to a use.
        ASSIGN_PROTMEM = 11;
    }
}

commands! {
    /// What an RPC's message asks of the normal world (`OPTEE_RPC_CMD_*`).
    RpcCmd, "OPTEE_RPC_CMD_", {
        /// Loads a trusted application.
        LOAD_TA = 0;
        /// Talks to a replay-protected memory block.
        RPMB = 1;
        /// Accesses files of the secure storage.
        FS = 2;
        /// Asks for the time.
        GET_TIME = 3;
        /// Sleeps or wakes: value a is [`NOTIFICATION_WAIT`] or [`NOTIFICATION_SEND`], b the key.
        NOTIFICATION = 4;
        /// Sleeps a while.
        SUSPEND = 5;
        /// Allocates shared memory: value a is [`SHM_TYPE_APPL`] or [`SHM_TYPE_KERNEL`], b the size.
        SHM_ALLOC = 6;
        /// Frees shared memory: value a as for SHM_ALLOC, b the cookie.
        SHM_FREE = 7;
        /// Profile of a trusted application.
        GPROF = 9;
        /// Sockets.
        SOCKET = 10;
        /// Function trace of a trusted application.
        FTRACE = 11;
        /// Plugins of the supplicant.
        SUPP_PLUGIN = 12;
        /// I2C transfers.
        I2C_TRANSFER = 21;
        /// Begins to look for RPMB devices.
        RPMB_PROBE_RESET = 22;
        /// The next RPMB device.
        RPMB_PROBE_NEXT = 23;
        /// Talks to the RPMB device found.
        RPMB_FRAMES = 24;
    }
}

/// [`RpcCmd::NOTIFICATION`]: sleep until the key is sent.
pub const NOTIFICATION_WAIT: u64 = 0;
/// [`RpcCmd::NOTIFICATION`]: wake who sleeps on the key.
pub const NOTIFICATION_SEND: u64 = 1;
/// [`RpcCmd::SHM_ALLOC`]: memory that user space (tee-supplicant) can see.
pub const SHM_TYPE_APPL: u64 = 0;
/// [`RpcCmd::SHM_ALLOC`]: memory for the kernel's own use.
pub const SHM_TYPE_KERNEL: u64 = 1;
/// Login of a client that says nothing of itself (`OPTEE_MSG_LOGIN_PUBLIC`).
pub const LOGIN_PUBLIC: u64 = 0;

/// One page of a list of pages that need not be contiguous.
///
/// The pages' addresses, and in the last place the address of the next such page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PageList {
    /// Physical addresses of the buffer's pages.
    pub pages: [u64; PageList::ENTRIES],
    /// Physical address of the next page of the list, when there are more than [`PageList::ENTRIES`] pages.
    pub next: u64,
}

impl PageList {
    /// Addresses in one page of the list.
    pub const ENTRIES: usize = PAGE_SIZE / size_of::<u64>() - 1;
}

/// Says how many pages `size` bytes from offset `offset` of a page touch. `None` when that overflows.
pub const fn pages_of(offset: u64, size: u64) -> Option<u64> {
    let in_page = offset & (PAGE_SIZE as u64 - 1);
    match in_page.checked_add(size) {
        Some(end) => Some(end.div_ceil(PAGE_SIZE as u64)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pta;

    #[test]
    fn the_structures_have_the_headers_layout() {
        assert_eq!(size_of::<MsgHeader>(), 32);
        assert_eq!(core::mem::offset_of!(MsgHeader, ret), 20);
        assert_eq!(core::mem::offset_of!(MsgHeader, num_params), 28);
        assert_eq!(size_of::<MsgParam>(), 32);
        assert_eq!(size_of::<PageList>(), PAGE_SIZE);
        assert_eq!(MAX_PARAMS, 127);
        assert_eq!(arg_size(MAX_PARAMS), PAGE_SIZE);
    }

    #[test]
    fn a_parameter_survives_the_way_through_a_message() {
        for dir in [Direction::In, Direction::Out, Direction::InOut] {
            for param in [
                Param::None,
                Param::Value { dir, value: [1, 2, 3] },
                Param::Rmem { dir, offs: 1, size: 2, shm_ref: 3 },
                Param::Tmem { dir, buf_ptr: 1, size: 2, shm_ref: 3, noncontig: false },
                Param::Tmem { dir, buf_ptr: 1, size: 2, shm_ref: 3, noncontig: true },
            ] {
                assert_eq!(Param::parse(&param.to_msg()), Ok(param));
                assert_eq!(Param::parse(&param.to_msg().meta()), Ok(param));
            }
        }
    }

    #[test]
    fn the_attributes_have_op_tees_numbers() {
        let attr = |param: Param| param.to_msg().attr;
        assert_eq!(attr(Param::Value { dir: Direction::InOut, value: [0; 3] }), 3);
        assert_eq!(attr(Param::Rmem { dir: Direction::In, offs: 0, size: 0, shm_ref: 0 }), 5);
        let tmem = Param::Tmem { dir: Direction::Out, buf_ptr: 0, size: 0, shm_ref: 0, noncontig: true };
        assert_eq!(attr(tmem), 0x20a);
    }

    #[test]
    fn an_attribute_nobody_defines_is_refused() {
        for attr in [4, 8, 0xc, 0xd, 0x10, 0x80, 0x200, 0x201, 0x205, 0x400, 0x1_0009, 1 << 63] {
            let param = MsgParam { attr, ..Default::default() };
            assert_eq!(Param::parse(&param), Err(UnknownAttribute(attr)), "{attr:#x}");
        }
    }

    #[test]
    fn a_uuid_travels_as_its_octets() {
        let (a, b) = uuid_to_value(&pta::device::UUID);
        assert_eq!(a.to_le_bytes()[..4], [0x70, 0x11, 0xa6, 0x88]);
        assert_eq!(uuid_of(&MsgParam { attr: 0, a, b, c: 0 }), pta::device::UUID);
    }

    #[test]
    fn every_command_is_found_by_its_name() {
        for cmd in Cmd::ALL {
            assert_eq!(Cmd::from_name(cmd.name().unwrap()), Some(*cmd));
        }
        for cmd in RpcCmd::ALL {
            assert_eq!(RpcCmd::from_name(cmd.name().unwrap()), Some(*cmd));
        }
        assert_eq!(Cmd::OPEN_SESSION.to_string(), "OPTEE_MSG_CMD_OPEN_SESSION");
        assert_eq!(Cmd(99).to_string(), "99");
    }

    #[test]
    fn pages_are_counted_without_wrapping() {
        assert_eq!(pages_of(0, 0), Some(0));
        assert_eq!(pages_of(0xFFF, 2), Some(2));
        assert_eq!(pages_of(0x1FFF, 1), Some(1));
        assert_eq!(pages_of(1, u64::MAX), None);
    }
}
