// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sessions: OPEN_SESSION, INVOKE_COMMAND, CLOSE_SESSION, CANCEL.

use super::outcome::Outcome;
use crate::app::reach::Reach;
use crate::app::registry::App;
use crate::call::Call;
use crate::msg::Message;
use crate::msg::params::{COUNT, Parameter, Parameters};
use crate::partition::sessions::{Refused, SessionId};
use crate::trace::refused;
use shared_abi::optee_msg::{ATTR_META, Direction, MsgParam, uuid_of};
use shared_abi::tee::TeeResult;

/// The protocol's own parameters at the start of OPEN_SESSION.
const META: usize = 2;
/// What both of them must be: a value that goes in, marked as the protocol's own.
const META_ATTR: u64 = ATTR_META | Direction::In as u64;

/// Says whether a client may call itself this (GPD_SPE_007 §4.3, and OP-TEE's login of the normal world's kernel).
fn is_login(number: u64) -> bool {
    matches!(number as u32, 0 | 1 | 2 | 4 | 5 | 6 | 0x8000_0000)
}

/// Opens a session.
pub(super) fn open(call: &Call<'_, '_>, message: &mut Message) -> Outcome {
    message.set_session(0);
    let app = match open_meta(call, message.params()) {
        Ok(app) => app,
        Err(error) => return Outcome::of_tee(Err(error)),
    };
    let mut parameters = none();
    if let Err(error) = resolve(call, &message.params()[META..], &mut parameters) {
        return Outcome::of_tee(Err(error));
    }
    let reach = Reach::outside(call);
    if let Err(error) = app.open(reach, &parameters) {
        return Outcome::of_app(Err(error));
    }
    match call.partition().sessions().open(app.id()) {
        Some(SessionId(id)) => {
            message.set_session(id);
            Outcome::of_app(Ok(()))
        }
        None => {
            app.close(reach);
            refused!(Full, 0, Outcome::of_tee(Err(TeeResult::OUT_OF_MEMORY)))
        }
    }
}

/// Finds whom the caller wants to speak to, from the two parameters that say so and who the caller is.
fn open_meta(call: &Call<'_, '_>, params: &[MsgParam]) -> Result<App, TeeResult> {
    let [target, client, ..] = params else {
        return Err(refused!(BadMessage, params.len() as u64, TeeResult::BAD_PARAMETERS));
    };
    if target.attr != META_ATTR || client.attr != META_ATTR || !is_login(client.c) {
        return Err(refused!(BadMessage, client.c, TeeResult::BAD_PARAMETERS));
    }
    App::by_uuid(call.tee().machine(), &uuid_of(target))
        .ok_or_else(|| refused!(UnknownApplication, target.a, TeeResult::ITEM_NOT_FOUND))
}

/// Calls a function in a session.
pub(super) fn invoke(call: &Call<'_, '_>, message: &mut Message) -> Outcome {
    let mut parameters = none();
    if let Err(error) = resolve(call, message.params(), &mut parameters) {
        return Outcome::of_tee(Err(error));
    }
    let id = SessionId(message.header().session);
    let Some(session) = call.partition().sessions().enter(id) else {
        return refused!(UnknownSession, id.0.into(), Outcome::of_tee(Err(TeeResult::BAD_PARAMETERS)));
    };
    let Some(app) = App::of(session.app()) else { return Outcome::of_tee(Err(TeeResult::ITEM_NOT_FOUND)) };
    let result = app.invoke(Reach::new(call, id), message.header().func, &mut parameters);
    for (n, parameter) in parameters.iter().enumerate() {
        message.store(n, parameter);
    }
    Outcome::of_app(result)
}

/// Closes a session.
pub(super) fn close(call: &Call<'_, '_>, message: &Message) -> Result<(), TeeResult> {
    no_params(message)?;
    let session = message.header().session;
    let app = call.partition().sessions().close(SessionId(session)).map_err(|refused| why(refused, session))?;
    if let Some(app) = App::of(app) {
        app.close(Reach::outside(call));
    }
    Ok(())
}

/// Asks the calls under way in a session to end.
pub(super) fn cancel(call: &Call<'_, '_>, message: &Message) -> Result<(), TeeResult> {
    no_params(message)?;
    let session = message.header().session;
    call.partition().sessions().cancel(SessionId(session)).map_err(|refused| why(refused, session))
}

fn no_params(message: &Message) -> Result<(), TeeResult> {
    match message.params().len() {
        0 => Ok(()),
        count => Err(refused!(BadMessage, count as u64, TeeResult::BAD_PARAMETERS)),
    }
}

fn why(refused: Refused, session: u32) -> TeeResult {
    match refused {
        Refused::Unknown => refused!(UnknownSession, session.into(), TeeResult::BAD_PARAMETERS),
        Refused::Busy => refused!(InUse, session.into(), TeeResult::BUSY),
    }
}

fn none<'p>() -> Parameters<'p> {
    core::array::from_fn(|_| Parameter::None)
}

/// Resolves the parameters where they stand: they are too large to be handed around.
fn resolve<'p>(call: &Call<'_, 'p>, params: &[MsgParam], into: &mut Parameters<'p>) -> Result<(), TeeResult> {
    if params.len() > COUNT {
        return Err(refused!(BadMessage, params.len() as u64, TeeResult::BAD_PARAMETERS));
    }
    for (parameter, param) in into.iter_mut().zip(params) {
        *parameter = call.resolve(param)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::app::witness::{Asked, UUID, asked};
    use crate::host::normal_world::{NormalWorld, meta};
    use crate::partition::sessions::MAX_SESSIONS;
    use shared_abi::optee_msg::{Cmd, Direction, Param};
    use shared_abi::tee::{Origin, TeeResult};

    #[test]
    fn an_application_knows_of_each_session_that_it_agreed_to() {
        let world = NormalWorld::with_vms(&[1]);
        let session = world.open(1, &UUID).unwrap();
        assert_eq!(world.invoke(1, session, 7, &[]), TeeResult::SUCCESS);
        assert_eq!(world.call(1, Cmd::CLOSE_SESSION, 0, session, &[]).result(), TeeResult::SUCCESS);
        assert_eq!(asked(), [Asked::Open(None), Asked::Invoke(7), Asked::Close]);
        assert_eq!(world.call(1, Cmd::CLOSE_SESSION, 0, session, &[]).result(), TeeResult::BAD_PARAMETERS);
        assert_eq!(asked(), []);
    }

    #[test]
    fn an_application_may_refuse_a_session_and_says_so_itself() {
        let world = NormalWorld::with_vms(&[1]);
        let number = Param::Value { dir: Direction::In, value: [5, 0, 0] }.to_msg();
        let outcome = world.call(1, Cmd::OPEN_SESSION, 0, 0, &[&meta(&UUID)[..], &[number]].concat());
        assert_eq!(outcome.result(), TeeResult::ACCESS_DENIED);
        assert_eq!((outcome.header.ret_origin, outcome.header.session), (Origin::TrustedApp as u32, 0));
        assert_eq!(asked(), [Asked::Open(Some(5))]);
    }

    #[test]
    fn a_session_that_there_is_no_room_for_is_closed_again() {
        let world = NormalWorld::with_vms(&[1]);
        for _ in 0..MAX_SESSIONS {
            world.open(1, &UUID).unwrap();
        }
        asked();
        assert_eq!(world.open(1, &UUID), Err(TeeResult::OUT_OF_MEMORY));
        assert_eq!(asked(), [Asked::Open(None), Asked::Close]);
    }
}
