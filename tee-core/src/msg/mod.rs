// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages: fetched once, checked, answered. What the normal world says in them is an allegation until it is checked.

pub mod allegation;
pub mod buffer;
pub mod params;

use crate::nexus::tee::Tee;
use buffer::{Buffer, Lost};
use core::mem::offset_of;
use heapless::Vec;
use shared_abi::optee_msg::{Cmd, MsgHeader, MsgParam, arg_size};
use shared_abi::tee::{Origin, TeeResult};

/// Parameters of the longest message there is: OPEN_SESSION's two, and a function's four. A message with more is
/// refused before any of them is read (CVE-2022-46152).
pub const MAX_PARAMS: usize = 2 + params::COUNT;

/// Parameters that an RPC's message may have, as EXCHANGE_CAPABILITIES says.
pub const RPC_PARAMS: usize = 4;

/// A message, copied.
pub struct Message {
    header: MsgHeader,
    params: Vec<MsgParam, MAX_PARAMS, u8>,
    /// Bit n: parameter n has something for the caller.
    out: u8,
}

impl Message {
    /// Makes a message that asks for nothing, to be filled where it stands: it is too large to be handed around.
    pub const fn new() -> Self {
        let header =
            MsgHeader { cmd: 0, func: 0, session: 0, cancel_id: 0, pad: 0, ret: 0, ret_origin: 0, num_params: 0 };
        Self { header, params: Vec::new(), out: 0 }
    }

    /// Copies the message at offset `at`. `with_rpc` says that memory for an RPC's message must follow it; where, is
    /// the answer.
    #[inline]
    pub fn fetch(&mut self, tee: &Tee, buffer: &Buffer<'_>, at: usize, with_rpc: bool) -> Result<Option<usize>, Lost> {
        if !at.is_multiple_of(align_of::<u64>()) {
            return Err(Lost);
        }
        self.header = buffer.allege(at)?.copy_out(tee)?;
        let count = self.header.num_params as usize;
        if count > MAX_PARAMS {
            return Err(Lost);
        }
        self.params.clear();
        for n in 0..count {
            let param = buffer.allege(at + arg_size(n))?.copy_out(tee)?;
            self.params.push(param).map_err(|_| Lost)?;
        }
        let rpc_at = at + arg_size(count);
        let rpc_fits = rpc_at + arg_size(RPC_PARAMS) <= buffer.len();
        match (with_rpc, rpc_fits) {
            (true, false) => Err(Lost),
            _ => Ok(with_rpc.then_some(rpc_at)),
        }
    }

    /// Gives the header.
    pub fn header(&self) -> &MsgHeader {
        &self.header
    }

    /// Names the session that the message is about.
    pub fn set_session(&mut self, session: u32) {
        self.header.session = session;
    }

    /// Says what became of the message, and who says so.
    pub fn conclude(&mut self, result: TeeResult, origin: Origin) {
        (self.header.ret, self.header.ret_origin) = (result.0, origin as u32);
    }

    /// Gives the parameters.
    pub fn params(&self) -> &[MsgParam] {
        &self.params
    }

    /// Takes what a function left in parameter `n` for the caller.
    pub fn store(&mut self, n: usize, parameter: &params::Parameter<'_>) {
        if let Some(param) = self.params.get_mut(n)
            && parameter.store(param)
        {
            self.out |= 1 << n;
        }
    }

    /// Writes the answer: result, origin, session, and the numbers that go out; nothing else of the message.
    pub fn reply(&self, tee: &Tee, buffer: &Buffer<'_>, at: usize) -> Result<(), Lost> {
        if self.header.cmd == Cmd::OPEN_SESSION.0 {
            buffer.put(tee, at + offset_of!(MsgHeader, session), &self.header.session)?;
        }
        buffer.put(tee, at + offset_of!(MsgHeader, ret), &[self.header.ret, self.header.ret_origin])?;
        for (n, param) in self.params().iter().enumerate().filter(|(n, _)| self.out & (1 << n) != 0) {
            buffer.put(tee, at + arg_size(n) + offset_of!(MsgParam, a), &[param.a, param.b])?;
        }
        Ok(())
    }
}
