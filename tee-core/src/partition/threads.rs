//! Threads: the yielding calls of a VM that are under way.

use super::layout::THREADS;
use crate::arch::{Context, Exit};
use crate::entry::yielding::Start;
use crate::sync::{Lock, Waits};
use crate::tee::Tee;

/// Number of a thread, less than [`THREADS`].
pub type ThreadId = usize;

/// Why a thread is suspended, which says what it takes to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspended {
    /// It asked the normal world for something and waits for the answer.
    Rpc,
    /// A foreign interrupt was pending: it goes on where it was.
    ForeignInterrupt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Running,
    Suspended { token: u32, why: Suspended },
}

struct Table {
    states: [State; THREADS],
    /// Suspensions so far.
    sequence: u32,
}

/// The threads of a partition.
pub struct Threads {
    table: Lock<Table>,
    contexts: [Context; THREADS],
}

/// No thread is free.
#[derive(Debug, PartialEq, Eq)]
pub struct ThreadLimit;

/// Nothing is suspended under this token.
#[derive(Debug, PartialEq, Eq)]
pub struct NotSuspended;

/// The right to run a thread: it is marked as running, and nobody else holds it.
pub struct Running<'p> {
    threads: &'p Threads,
    id: ThreadId,
    suspended: Option<Suspended>,
}

impl Threads {
    /// All free.
    pub const fn new() -> Self {
        Self {
            table: Lock::new(Table { states: [State::Free; THREADS], sequence: 0 }),
            contexts: [const { Context::new() }; THREADS],
        }
    }

    /// Takes a free thread.
    pub fn claim(&self) -> Result<Running<'_>, ThreadLimit> {
        let id = self.table.with(|table| {
            let id = table.states.iter().position(|state| *state == State::Free)?;
            table.states[id] = State::Running;
            Some(id)
        });
        Ok(Running { threads: self, id: id.ok_or(ThreadLimit)?, suspended: None })
    }

    /// Takes the thread that was suspended under `token`.
    ///
    /// Every suspension has a token of its own, the thread's number in its lowest bits, so that an answer that is given
    /// twice does not answer the next question.
    pub fn resume(&self, token: u32) -> Result<Running<'_>, NotSuspended> {
        let id = token as usize % THREADS;
        let why = self.table.with(|table| match table.states[id] {
            State::Suspended { token: expected, why } if expected == token => {
                table.states[id] = State::Running;
                Some(why)
            }
            _ => None,
        });
        Ok(Running { threads: self, id, suspended: Some(why.ok_or(NotSuspended)?) })
    }

    /// Whether no call is under way.
    pub fn all_free(&self) -> bool {
        self.table.with(|table| table.states == [State::Free; THREADS])
    }

    /// How often calls waited for the lock.
    pub fn waits(&self) -> &Waits {
        self.table.waits()
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::new()
    }
}

impl Running<'_> {
    /// The thread's number.
    pub fn id(&self) -> ThreadId {
        self.id
    }

    /// Starts a call on the thread, and returns when it is done or suspended.
    pub fn start(&self, tee: &Tee, start: Start) -> Exit {
        self.threads.contexts[self.id].start(tee, start)
    }

    /// Goes on with the suspended call. `answer` is what the normal world answers to an RPC; after an interrupt it says
    /// nothing.
    pub fn go_on(&self, tee: &Tee, answer: [u64; 4]) -> Exit {
        let answer = (self.suspended == Some(Suspended::Rpc)).then_some(answer);
        self.threads.contexts[self.id].resume(tee, answer)
    }

    /// The call is done: the thread is free.
    pub fn finish(self) {
        self.threads.table.with(|table| table.states[self.id] = State::Free);
    }

    /// The call is suspended; returns the token that resumes it.
    pub fn suspend(self, why: Suspended) -> u32 {
        self.threads.table.with(|table| {
            table.sequence = table.sequence.wrapping_add(1);
            let token = table.sequence.wrapping_mul(THREADS as u32) | self.id as u32;
            table.states[self.id] = State::Suspended { token, why };
            token
        })
    }
}

const _: () = assert!(THREADS.is_power_of_two());
