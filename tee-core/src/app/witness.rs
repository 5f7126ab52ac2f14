// SPDX-License-Identifier: MIT OR Apache-2.0
//! An application for tests: it notes what is asked of it.

use super::Application;
use super::reach::Reach;
use crate::msg::params::{Parameter, Parameters};
use shared_abi::tee::TeeResult;
use std::cell::RefCell;
use uuid::{Uuid, uuid};

/// By which it is asked for.
pub(crate) const UUID: Uuid = uuid!("00000000-0000-4000-8000-000000000001");

/// What it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To open a session, with this number in the first parameter if there is one.
    Open(Option<u32>),
    /// To call this function.
    Invoke(u32),
    /// To close a session.
    Close,
}

thread_local! {
    static ASKED: RefCell<Vec<Asked>> = const { RefCell::new(Vec::new()) };
}

/// Takes what was asked since it was taken last. Calls that are suspended go on elsewhere; it asks nothing itself.
pub(crate) fn asked() -> Vec<Asked> {
    ASKED.take()
}

fn note(asked: Asked) {
    ASKED.with_borrow_mut(|all| all.push(asked));
}

/// The application. It refuses a session that is to be opened with a number that is not 0.
pub(crate) struct Witness;

impl Application for Witness {
    const UUID: Uuid = UUID;

    fn open(&self, _reach: Reach<'_, '_>, params: &Parameters<'_>) -> Result<(), TeeResult> {
        let number = if let Parameter::Value { a, .. } = params[0] { Some(a) } else { None };
        note(Asked::Open(number));
        if number.unwrap_or(0) == 0 { Ok(()) } else { Err(TeeResult::ACCESS_DENIED) }
    }

    fn invoke(&self, _reach: Reach<'_, '_>, function: u32, _params: &mut Parameters<'_>) -> Result<(), TeeResult> {
        note(Asked::Invoke(function));
        Ok(())
    }

    fn close(&self, _reach: Reach<'_, '_>) {
        note(Asked::Close);
    }
}
