// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the normal world says is there.

use super::buffer::{Buffer, Lost};
use crate::nexus::tee::Tee;
use core::marker::PhantomData;
use zerocopy::{FromBytes, IntoBytes};

/// A `T` that the normal world alleges to stand in a buffer.
///
/// It can be copied out, which uses it up: what is checked is the copy, and what is used is the copy. There is no way
/// to look at the same bytes a second time through it, so what another CPU of the normal world writes there meanwhile
/// cannot slip in between check and use (a double fetch).
pub struct Allegation<'b, 'p, T> {
    buffer: &'b Buffer<'p>,
    at: usize,
    what: PhantomData<T>,
}

impl<'b, 'p, T: FromBytes + IntoBytes> Allegation<'b, 'p, T> {
    pub(super) fn new(buffer: &'b Buffer<'p>, at: usize) -> Self {
        Self { buffer, at, what: PhantomData }
    }

    /// Copies it out.
    #[inline(always)]
    pub fn copy_out(self, tee: &Tee) -> Result<T, Lost> {
        /// Copied in words where the buffer's address allows it, whatever `T` asks for.
        #[repr(align(8))]
        struct Aligned<T>(T);

        let mut copy = Aligned(T::new_zeroed());
        self.buffer.read(tee, self.at, copy.0.as_mut_bytes())?;
        Ok(copy.0)
    }
}
