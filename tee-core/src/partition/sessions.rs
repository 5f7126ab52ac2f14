// SPDX-License-Identifier: MIT OR Apache-2.0
//! Open sessions.

use crate::sync::{Lock, Waits};

/// Sessions a VM can have open at a time.
pub const MAX_SESSIONS: usize = 32;

/// Number of the application that answers a session, in the registry of all there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppId(pub u8);

#[derive(Clone, Copy)]
struct Session {
    app: AppId,
    /// Calls under way in it.
    users: u8,
    cancelled: bool,
}

struct Table {
    sessions: [Option<Session>; MAX_SESSIONS],
    /// How often each place was used, so that the id of a session that was closed does not name its successor.
    used: [u16; MAX_SESSIONS],
}

/// The sessions of a partition.
pub struct Sessions(Lock<Table>);

/// A session's number as the normal world knows it; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId(pub u32);

impl SessionId {
    /// The number of no session.
    pub const NONE: Self = Self(0);

    fn place(self) -> usize {
        self.0 as usize % MAX_SESSIONS
    }
}

/// Why something cannot be done with a session.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such session.
    Unknown,
    /// A call is under way in it.
    Busy,
}

/// A call's use of a session; it cannot be closed meanwhile.
pub struct InUse<'p> {
    sessions: &'p Sessions,
    id: SessionId,
    app: AppId,
}

impl Table {
    fn find(&mut self, id: SessionId) -> Option<&mut Session> {
        let place = id.place();
        if Self::id(place, self.used[place]) != id {
            return None;
        }
        self.sessions[place].as_mut()
    }

    fn id(place: usize, used: u16) -> SessionId {
        SessionId(u32::from(used) * MAX_SESSIONS as u32 + place as u32)
    }
}

impl Sessions {
    /// Makes a table with no session open.
    pub const fn new() -> Self {
        Self(Lock::new(Table { sessions: [None; MAX_SESSIONS], used: [0; MAX_SESSIONS] }))
    }

    /// Opens a session. `None` if there are too many.
    pub fn open(&self, app: AppId) -> Option<SessionId> {
        self.0.with(|table| {
            let place = table.sessions.iter().position(Option::is_none)?;
            table.sessions[place] = Some(Session { app, users: 0, cancelled: false });
            table.used[place] = table.used[place].checked_add(1).unwrap_or(1);
            Some(Table::id(place, table.used[place]))
        })
    }

    /// Counts how often calls waited for the lock.
    pub fn waits(&self) -> &Waits {
        self.0.waits()
    }

    /// Uses a session for a call.
    pub fn enter(&self, id: SessionId) -> Option<InUse<'_>> {
        self.0.with(|table| {
            let session = table.find(id)?;
            // As many as there are threads at most.
            session.users = session.users.saturating_add(1);
            Some(InUse { sessions: self, id, app: session.app })
        })
    }

    /// Closes a session that no call is in. Returns who answered it.
    pub fn close(&self, id: SessionId) -> Result<AppId, Refused> {
        self.0.with(|table| match table.find(id) {
            None => Err(Refused::Unknown),
            Some(session) if session.users != 0 => Err(Refused::Busy),
            Some(session) => {
                let app = session.app;
                table.sessions[id.place()] = None;
                Ok(app)
            }
        })
    }

    /// Says whether the normal world asked a session's calls to end.
    pub fn is_cancelled(&self, id: SessionId) -> bool {
        self.0.with(|table| table.find(id).is_some_and(|session| session.cancelled))
    }

    /// Asks the calls under way in a session to end.
    pub fn cancel(&self, id: SessionId) -> Result<(), Refused> {
        self.0.with(|table| {
            let session = table.find(id).ok_or(Refused::Unknown)?;
            // Without a call there is nothing to cancel, and the next one shall not find the wish of today.
            session.cancelled = session.users != 0;
            Ok(())
        })
    }
}

impl InUse<'_> {
    /// Says who answers the session.
    pub fn app(&self) -> AppId {
        self.app
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.sessions.0.with(|table| {
            if let Some(session) = table.find(self.id) {
                session.users = session.users.saturating_sub(1);
                session.cancelled &= session.users != 0;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: AppId = AppId(0);
    const OTHER: AppId = AppId(1);

    #[test]
    fn the_id_of_a_closed_session_names_no_other() {
        let sessions = Sessions::new();
        let first = sessions.open(APP).unwrap();
        sessions.close(first).unwrap();
        let second = sessions.open(OTHER).unwrap();
        assert_ne!(first, second);
        assert!(sessions.enter(first).is_none());
        assert_eq!(sessions.close(first), Err(Refused::Unknown));
        assert_eq!(sessions.enter(second).unwrap().app(), OTHER);
        assert!(sessions.enter(SessionId::NONE).is_none());
    }

    #[test]
    fn a_session_in_use_cannot_be_closed() {
        let sessions = Sessions::new();
        let id = sessions.open(APP).unwrap();
        let call = sessions.enter(id).unwrap();
        assert_eq!(sessions.close(id), Err(Refused::Busy));
        drop(call);
        assert_eq!(sessions.close(id), Ok(APP));
    }

    #[test]
    fn a_cancellation_ends_with_the_calls_it_was_meant_for() {
        let sessions = Sessions::new();
        let id = sessions.open(APP).unwrap();
        sessions.cancel(id).unwrap();
        let call = sessions.enter(id).unwrap();
        assert!(!sessions.is_cancelled(id));
        sessions.cancel(id).unwrap();
        assert!(sessions.is_cancelled(id) && !sessions.is_cancelled(SessionId::NONE));
        drop(call);
        let _call = sessions.enter(id).unwrap();
        assert!(!sessions.is_cancelled(id));
    }

    #[test]
    fn there_is_a_bound_on_sessions() {
        let sessions = Sessions::new();
        for _ in 0..MAX_SESSIONS {
            sessions.open(APP).unwrap();
        }
        assert!(sessions.open(APP).is_none());
    }
}
