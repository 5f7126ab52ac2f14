//! Messages: fetched once, checked, acted upon, answered.

pub mod allegation;
pub mod buffer;
pub mod page_list;
pub mod params;
mod session;
mod shm;

use crate::entry::call::Call;
use crate::entry::fast::RPC_PARAMS;
use crate::tee::Tee;
use crate::trace::{event, refused};
use buffer::{Buffer, Lost};
use core::mem::offset_of;
use heapless::Vec;
use shared_abi::optee_msg::{Cmd, MsgHeader, MsgParam, arg_size};
use shared_abi::tee::{Origin, TeeResult};

/// Parameters of the longest message there is: OPEN_SESSION's two, and a function's four. A message with more is
/// refused before any of them is read (CVE-2022-46152).
pub const MAX_PARAMS: usize = 2 + params::COUNT;

/// A message, copied.
pub struct Message {
    header: MsgHeader,
    params: Vec<MsgParam, MAX_PARAMS, u8>,
    /// Bit n: parameter n has something for the caller.
    out: u8,
}

impl Message {
    /// A message that asks for nothing, to be filled where it stands: it is too large to be handed around.
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

    /// The parameters.
    fn params(&self) -> &[MsgParam] {
        &self.params
    }

    /// Takes what a function left in parameter `n` for the caller.
    fn store(&mut self, n: usize, parameter: &params::Parameter<'_>) {
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

impl Default for Message {
    fn default() -> Self {
        Self::new()
    }
}

/// What became of a message, and who says so.
struct Outcome {
    result: TeeResult,
    origin: Origin,
}

impl Outcome {
    fn of_tee(result: Result<(), TeeResult>) -> Self {
        Self { result: result.err().unwrap_or(TeeResult::SUCCESS), origin: Origin::Tee }
    }

    fn of_app(result: Result<(), TeeResult>) -> Self {
        Self { result: result.err().unwrap_or(TeeResult::SUCCESS), origin: Origin::TrustedApp }
    }
}

/// Nobody knows the message's command.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownCommand;

/// Does what a message asks for, and leaves the answer in it.
pub fn handle(call: &Call<'_, '_>, message: &mut Message) -> Result<(), UnknownCommand> {
    let MsgHeader { cmd: command, func: function, session, num_params: params, .. } = message.header;
    event!(Message { command, function, session, params });
    let outcome = match Cmd(message.header.cmd) {
        Cmd::OPEN_SESSION => session::open(call, message),
        Cmd::INVOKE_COMMAND => session::invoke(call, message),
        Cmd::CLOSE_SESSION => Outcome::of_tee(session::close(call, message)),
        Cmd::CANCEL => Outcome::of_tee(session::cancel(call, message)),
        Cmd::REGISTER_SHM => Outcome::of_tee(shm::register(call, message)),
        Cmd::UNREGISTER_SHM => Outcome::of_tee(shm::unregister(call, message)),
        _ => return Err(refused!(UnknownFunction, command.into(), UnknownCommand)),
    };
    (message.header.ret, message.header.ret_origin) = (outcome.result.0, outcome.origin as u32);
    event!(Reply { result: outcome.result.0, origin: outcome.origin as u32, session: message.header.session });
    Ok(())
}
