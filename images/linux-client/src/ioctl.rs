// SPDX-License-Identifier: MIT OR Apache-2.0
//! The TEE driver's interface to user space: Linux's `include/uapi/linux/tee.h`.

use uuid::Uuid;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `_IOR`: the kernel writes the argument. What the direction says is part of the number, not of what happens: the
/// driver reads and writes behind most of these.
const READ: u32 = 2;
/// `_IOW`.
const WRITE: u32 = 1;
/// `TEE_IOC_MAGIC`.
const MAGIC: u32 = 0xa4;

/// Returns a request number, as asm-generic/ioctl.h packs it: direction, size of the argument, magic, number.
const fn request<Argument>(direction: u32, number: u32) -> u32 {
    direction << 30 | (size_of::<Argument>() as u32) << 16 | MAGIC << 8 | number
}

/// Fills a [`Version`].
pub const VERSION: u32 = request::<Version>(READ, 0);
/// Allocates memory shared with the TEE, by [`ShmAlloc`]; answers a file descriptor to map it.
pub const SHM_ALLOC: u32 = request::<ShmAlloc>(READ | WRITE, 1);
/// Opens a session: a [`Buffer`] that holds an [`OpenSession`].
pub const OPEN_SESSION: u32 = request::<Buffer>(READ, 2);
/// Invokes a command: a [`Buffer`] that holds an [`Invoke`].
pub const INVOKE: u32 = request::<Buffer>(READ, 3);
/// Closes a session.
pub const CLOSE_SESSION: u32 = request::<CloseSession>(READ, 5);

/// `TEE_IMPL_ID_OPTEE`.
pub const IMPLEMENTATION_OPTEE: u32 = 1;
/// `TEE_IOCTL_LOGIN_PUBLIC`: the client claims no identity.
const LOGIN_PUBLIC: u32 = 0;

/// `struct tee_ioctl_version_data`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Version {
    /// Whose TEE it is.
    pub implementation: u32,
    /// Capabilities that only this implementation knows.
    pub implementation_capabilities: u32,
    /// `TEE_GEN_CAP_*`.
    pub capabilities: u32,
}

/// `struct tee_ioctl_shm_alloc_data`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ShmAlloc {
    /// Bytes wanted; answered with what was allocated.
    pub size: u64,
    /// 0; answered with `TEE_IOCTL_SHM_*`.
    pub flags: u32,
    /// Answered: what a parameter names the memory by.
    pub id: i32,
}

/// `struct tee_ioctl_buf_data`: where the argument is.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Buffer {
    /// Its address.
    pub address: u64,
    /// Its length, which the driver compares with the number of parameters in it.
    pub length: u64,
}

/// `struct tee_ioctl_open_session_arg`, without parameters.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OpenSession {
    uuid: [u8; 16],
    client_uuid: [u8; 16],
    client_login: u32,
    cancel_id: u32,
    /// Answered: the session.
    pub session: u32,
    /// Answered: the result.
    pub result: u32,
    /// Answered: where the result came from.
    pub origin: u32,
    parameter_count: u32,
}

impl OpenSession {
    /// Asks for a session with the trusted application `uuid`. The driver hands the octets on in the order of RFC 9562.
    pub fn new(uuid: Uuid) -> Self {
        Self {
            uuid: uuid.into_bytes(),
            client_uuid: [0; 16],
            client_login: LOGIN_PUBLIC,
            cancel_id: 0,
            session: 0,
            result: 0,
            origin: 0,
            parameter_count: 0,
        }
    }
}

/// `struct tee_ioctl_invoke_arg` and its parameters: always four, unused ones are [`Parameter::NONE`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Invoke {
    function: u32,
    session: u32,
    cancel_id: u32,
    /// Answered: the result.
    pub result: u32,
    /// Answered: where the result came from.
    pub origin: u32,
    parameter_count: u32,
    /// The parameters, answered in place.
    pub parameters: [Parameter; 4],
}

impl Invoke {
    /// Asks `session` for the command `function`.
    pub fn new(session: u32, function: u32, parameters: [Parameter; 4]) -> Self {
        Self { function, session, cancel_id: 0, result: 0, origin: 0, parameter_count: 4, parameters }
    }
}

/// `struct tee_ioctl_close_session_arg`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CloseSession {
    /// The session.
    pub session: u32,
}

/// `struct tee_ioctl_param`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Parameter {
    attribute: u64,
    /// A value, or the offset in the shared memory.
    a: u64,
    /// A value, or the size; for an output memory the driver puts the size there that the TEE filled or would need.
    b: u64,
    /// A value, or the shared memory's identifier.
    c: u64,
}

/// `TEE_IOCTL_PARAM_ATTR_TYPE_*`.
const VALUE_INPUT: u64 = 1;
const MEMORY_INPUT: u64 = 5;
const MEMORY_OUTPUT: u64 = 6;

impl Parameter {
    /// No parameter.
    pub const NONE: Self = Self { attribute: 0, a: 0, b: 0, c: 0 };

    /// Makes a parameter of two numbers for the TEE.
    pub const fn value(a: u64, b: u64) -> Self {
        Self { attribute: VALUE_INPUT, a, b, c: 0 }
    }

    /// Makes one of a part of the shared memory `id` that the TEE reads.
    pub const fn input(id: i32, offset: usize, size: usize) -> Self {
        Self::memory(MEMORY_INPUT, id, offset, size)
    }

    /// Makes one of a part of the shared memory `id` that the TEE writes.
    pub const fn output(id: i32, offset: usize, size: usize) -> Self {
        Self::memory(MEMORY_OUTPUT, id, offset, size)
    }

    /// Says how much of an output the TEE filled.
    pub const fn filled(&self) -> u64 {
        self.b
    }

    const fn memory(attribute: u64, id: i32, offset: usize, size: usize) -> Self {
        Self { attribute, a: offset as u64, b: size as u64, c: id as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn request_numbers_are_those_of_the_kernel_headers() {
        // What a C compiler makes of tee.h on arm64.
        assert_eq!(VERSION, 0x800c_a400);
        assert_eq!(SHM_ALLOC, 0xc010_a401);
        assert_eq!(OPEN_SESSION, 0x8010_a402);
        assert_eq!(INVOKE, 0x8010_a403);
        assert_eq!(CLOSE_SESSION, 0x8004_a405);
    }

    #[test]
    fn the_driver_finds_the_parameters_right_behind_the_argument() {
        // sizeof(struct tee_ioctl_open_session_arg), sizeof(struct tee_ioctl_invoke_arg).
        assert_eq!(size_of::<OpenSession>(), 56);
        assert_eq!(offset_of!(Invoke, parameters), 24);
        assert_eq!(size_of::<Invoke>(), 24 + 4 * 32);
    }

    #[test]
    fn a_uuid_is_handed_over_in_reading_order() {
        let open = OpenSession::new(Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff));
        assert_eq!(open.as_bytes()[..4], [0x00, 0x11, 0x22, 0x33]);
        assert_eq!(open.as_bytes()[15], 0xff);
    }

    #[test]
    fn a_memory_parameter_names_offset_size_and_identifier() {
        let parameter = Parameter::output(7, 1024, 256);
        assert_eq!((parameter.attribute, parameter.a, parameter.b, parameter.c), (6, 1024, 256, 7));
    }
}
