//! A message's parameters as the pseudo-TAs see them: directions and sizes checked, memory resolved.

use super::buffer::{Buffer, Lost};
use super::page_list;
use crate::entry::call::Call;
use crate::partition::shm::Cookie;
use crate::trace::refused;
use shared_abi::optee_msg::{Direction, MsgParam, Param};
use shared_abi::tee::TeeResult;
use zerocopy::{FromBytes, IntoBytes};

/// Parameters of a trusted application's function (GPD_SPE_010 §4.1).
pub const COUNT: usize = 4;

/// A reference to memory of the caller.
pub struct Memref<'p> {
    /// Which way the bytes go.
    pub dir: Direction,
    buffer: Buffer<'p>,
    /// What the caller is told of the size; at first what the caller said.
    pub size: usize,
}

/// A parameter.
pub enum Parameter<'p> {
    /// Nothing.
    None,
    /// Two numbers.
    Value {
        /// Which way they go.
        dir: Direction,
        /// The first.
        a: u32,
        /// The second.
        b: u32,
    },
    /// Memory.
    Memref(Memref<'p>),
}

/// All of a function's parameters.
pub type Parameters<'p> = [Parameter<'p>; COUNT];

impl<'p> Parameter<'p> {
    /// Checks a parameter and resolves what it refers to.
    pub fn resolve(call: &Call<'_, 'p>, param: &MsgParam) -> Result<Self, TeeResult> {
        if param.is_meta() {
            return Err(refused!(BadParameter, param.attr, TeeResult::BAD_PARAMETERS));
        }
        match Param::parse(param).map_err(|_| refused!(BadParameter, param.attr, TeeResult::BAD_PARAMETERS))? {
            Param::None => Ok(Self::None),
            Param::Value { dir, value: [a, b, _] } => Ok(Self::Value { dir, a: a as u32, b: b as u32 }),
            Param::Tmem { dir, buf_ptr: 0, .. } => Ok(Self::memref(dir, Buffer::null())),
            Param::Tmem { dir, buf_ptr, size, noncontig: true, .. } => {
                Ok(Self::memref(dir, Buffer::listed(page_list::fetch(call, buf_ptr, size)?)))
            }
            Param::Tmem { dir, buf_ptr, size, noncontig: false, .. } => {
                let range = call.tee().claim(buf_ptr, size);
                let range = range.ok_or_else(|| refused!(BadAddress, buf_ptr, TeeResult::BAD_PARAMETERS))?;
                Ok(Self::memref(dir, Buffer::contiguous(range)))
            }
            Param::Rmem { dir, offs, size, shm_ref } => {
                let memory = Cookie::new(shm_ref).and_then(|cookie| call.partition().shm.enter(cookie));
                let memory = memory.ok_or_else(|| refused!(UnknownCookie, shm_ref, TeeResult::BAD_PARAMETERS))?;
                // As OP-TEE: the one wrong number that is called a violation (CVE-2019-1010292).
                let part = Buffer::registered(memory).part(offs, size);
                Ok(Self::memref(dir, part.map_err(|Lost| refused!(BadParameter, offs, TeeResult::SECURITY))?))
            }
        }
    }

    fn memref(dir: Direction, buffer: Buffer<'p>) -> Self {
        let size = buffer.len();
        Self::Memref(Memref { dir, buffer, size })
    }

    /// Puts what the function made of the parameter into the message: numbers and sizes that go out.
    pub fn store(&self, param: &mut MsgParam) -> bool {
        match self {
            Self::Value { dir, a, b } if dir.writes() => (param.a, param.b) = ((*a).into(), (*b).into()),
            Self::Memref(memref) if memref.dir.writes() => param.b = memref.size as u64,
            _ => return false,
        }
        true
    }
}

impl Memref<'_> {
    /// Bytes of the buffer.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether the buffer has no bytes.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Whether there is no buffer at all.
    pub fn is_null(&self) -> bool {
        self.buffer.is_null()
    }

    /// Copies the buffer's first bytes into the TEE.
    pub fn read(&self, call: &Call<'_, '_>, into: &mut [u8]) -> Result<(), TeeResult> {
        self.buffer.read(call.tee(), 0, into).map_err(|Lost| TeeResult::BAD_PARAMETERS)
    }

    /// Copies a value out of the buffer.
    pub fn fetch<T: FromBytes + IntoBytes>(&self, call: &Call<'_, '_>, at: usize) -> Result<T, TeeResult> {
        let copy = self.buffer.allege(at).and_then(|allegation| allegation.copy_out(call.tee()));
        copy.map_err(|Lost| TeeResult::BAD_PARAMETERS)
    }

    /// Copies bytes to offset `at` of the buffer.
    pub fn write(&self, call: &Call<'_, '_>, at: usize, bytes: &[u8]) -> Result<(), TeeResult> {
        self.buffer.write(call.tee(), at, bytes).map_err(|Lost| TeeResult::SHORT_BUFFER)
    }

    /// Says that `size` bytes are there, or would be: SHORT_BUFFER then.
    pub fn announce(&mut self, size: usize) -> Result<(), TeeResult> {
        self.size = size;
        if size > self.len() { Err(TeeResult::SHORT_BUFFER) } else { Ok(()) }
    }
}
