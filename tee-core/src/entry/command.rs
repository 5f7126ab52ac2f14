//! What a message asks for.

use super::{session, shm};
use crate::call::Call;
use crate::msg::Message;
use crate::trace::{event, refused};
use shared_abi::optee_msg::{Cmd, MsgHeader};
use shared_abi::tee::{Origin, TeeResult};

/// What became of a message, and who says so.
pub(super) struct Outcome {
    result: TeeResult,
    origin: Origin,
}

impl Outcome {
    pub(super) fn of_tee(result: Result<(), TeeResult>) -> Self {
        Self { result: result.err().unwrap_or(TeeResult::SUCCESS), origin: Origin::Tee }
    }

    pub(super) fn of_app(result: Result<(), TeeResult>) -> Self {
        Self { result: result.err().unwrap_or(TeeResult::SUCCESS), origin: Origin::TrustedApp }
    }
}

/// Nobody knows the message's command.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownCommand;

/// Does what a message asks for, and leaves the answer in it.
pub fn handle(call: &Call<'_, '_>, message: &mut Message) -> Result<(), UnknownCommand> {
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
    event!(Reply { result: outcome.result.0, origin: outcome.origin as u32, session: message.header().session });
    message.conclude(outcome.result, outcome.origin);
    Ok(())
}
