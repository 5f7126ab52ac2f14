// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a message asks for.

use super::outcome::Outcome;
use super::{session, shm};
use crate::call::Call;
use crate::msg::Message;
use crate::trace::{event, refused};
use shared_abi::optee_msg::{Cmd, MsgHeader};

/// Nobody knows the message's command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownCommand;

/// Does what a message asks for, and leaves the answer in it.
pub(crate) fn handle(call: &Call<'_, '_>, message: &mut Message) -> Result<(), UnknownCommand> {
    let MsgHeader { cmd: command, func: function, session, num_params: params, .. } = *message.header();
    event!(Message { command, function, session, params });
    let outcome = match Cmd(command) {
        Cmd::OPEN_SESSION => session::open(call, message),
        Cmd::INVOKE_COMMAND => session::invoke(call, message),
        Cmd::CLOSE_SESSION => Outcome::of_tee(session::close(call, message)),
        Cmd::CANCEL => Outcome::of_tee(session::cancel(call, message)),
        Cmd::REGISTER_SHM => Outcome::of_tee(shm::register(call, message)),
        Cmd::UNREGISTER_SHM => Outcome::of_tee(shm::unregister(call, message)),
        _ => return Err(refused!(UnknownFunction, command.into(), UnknownCommand)),
    };
    let (result, origin) = (outcome.result(), outcome.origin());
    event!(Reply { result: result.0, origin: origin as u32, session: message.header().session });
    message.conclude(result, origin);
    Ok(())
}
