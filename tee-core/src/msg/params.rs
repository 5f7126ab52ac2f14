// SPDX-License-Identifier: MIT OR Apache-2.0
//! A message's parameters as applications see them: directions and sizes checked, memory resolved.

use super::buffer::{Buffer, Lost};
use crate::nexus::tee::Tee;
use shared_abi::optee_msg::{Direction, MsgParam};
use shared_abi::tee::TeeResult;

/// Parameters of a trusted application's function (GPD_SPE_010 §4.1).
pub const COUNT: usize = 4;

/// A reference to memory of the caller.
pub struct Memref<'p> {
    dir: Direction,
    buffer: Buffer<'p>,
    /// What the caller is told of the size; at first what the caller said.
    size: usize,
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
    /// Makes a parameter of memory.
    pub fn memref(dir: Direction, buffer: Buffer<'p>) -> Self {
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
    /// Says which way the bytes go.
    pub fn dir(&self) -> Direction {
        self.dir
    }

    /// Counts the buffer's bytes.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Says whether the buffer has no bytes.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Says whether there is no buffer at all.
    pub fn is_null(&self) -> bool {
        self.buffer.is_null()
    }

    /// Copies the buffer's bytes from offset `at` on into the TEE.
    pub fn read(&self, tee: &Tee, at: usize, into: &mut [u8]) -> Result<(), TeeResult> {
        self.buffer.read(tee, at, into).map_err(|Lost| TeeResult::BAD_PARAMETERS)
    }

    /// Copies bytes to offset `at` of the buffer.
    pub fn write(&self, tee: &Tee, at: usize, bytes: &[u8]) -> Result<(), TeeResult> {
        self.buffer.write(tee, at, bytes).map_err(|Lost| TeeResult::SHORT_BUFFER)
    }

    /// Says that `size` bytes are there, or would be: SHORT_BUFFER then.
    pub fn announce(&mut self, size: usize) -> Result<(), TeeResult> {
        self.size = size;
        if size > self.len() { Err(TeeResult::SHORT_BUFFER) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::normal_world::{NormalWorld, RAM};

    #[test]
    fn a_buffer_is_empty_when_it_has_no_bytes() {
        let world = NormalWorld::new();
        for len in [0, 1, 8] {
            let buffer = Buffer::contiguous(world.tee.claim(RAM.base, 8).unwrap()).part(0, len).unwrap();
            let Parameter::Memref(memref) = Parameter::memref(Direction::In, buffer) else { panic!() };
            assert_eq!((memref.len() as u64, memref.is_empty(), memref.is_null()), (len, len == 0, false));
        }
    }
}
