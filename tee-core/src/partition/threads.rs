// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads: the yielding calls of a VM that are under way.
#![expect(unsafe_code, reason = "runs threads, which need their partition")]

use super::layout::{self, THREADS};
use crate::arch::tables::BASE;
use crate::arch::{Context, Exit, First, Machine, Start};
use crate::memory::pages::PAGE_SIZE;
use crate::sync::{Lock, Waits};
use core::marker::PhantomData;
use shared_abi::optee_smc::Rpc;

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

/// The threads of the partition of this brand.
pub struct Threads<'p> {
    table: Lock<Table>,
    contexts: [Context; THREADS],
    brand: PhantomData<fn(&'p ()) -> &'p ()>,
}

/// No thread is free.
#[derive(Debug, PartialEq, Eq)]
pub struct ThreadLimit;

/// Nothing is suspended under this token.
#[derive(Debug, PartialEq, Eq)]
pub struct NotSuspended;

/// A free thread, taken: the right to start a call on it. Where,
/// [`Current::start`](crate::nexus::current::Current::start) says.
///
/// ```compile_fail,E0133
/// # use tee_core::{arch::{First, Machine}, partition::threads::Claimed};
/// fn start(thread: Claimed<'_>, machine: &Machine, first: First) {
///     thread.start(machine, first, core::ptr::null(), [0; 6]);
/// }
/// ```
///
/// ```compile_fail,E0382
/// # use tee_core::{arch::{First, Machine}, partition::threads::Claimed};
/// fn start(thread: Claimed<'_>, machine: &Machine, first: First) {
///     unsafe { thread.start(machine, first, core::ptr::null(), [0; 6]) };
///     unsafe { thread.start(machine, first, core::ptr::null(), [0; 6]) };
/// }
/// ```
pub struct Claimed<'p> {
    threads: &'p Threads<'p>,
    id: ThreadId,
}

/// A suspended thread, taken: the right to go on with its call.
pub struct Resumed<'p> {
    threads: &'p Threads<'p>,
    id: ThreadId,
    why: Suspended,
}

/// How a thread stopped. If its call is done, it is free again.
#[derive(Clone, Copy, Debug)]
pub enum Stopped {
    /// The call is done; the return code.
    Done(u64),
    /// It is suspended: x0 to x3 for the normal world, the last of which is the token that resumes it.
    Suspended([u64; 4]),
}

impl<'p> Threads<'p> {
    /// Makes threads that are all free.
    ///
    /// # Safety
    ///
    /// The brand must be that of the partition that they are in.
    pub const unsafe fn new() -> Self {
        Self {
            table: Lock::new(Table { states: [State::Free; THREADS], sequence: 0 }),
            contexts: [const { Context::new() }; THREADS],
            brand: PhantomData,
        }
    }

    /// Takes a free thread.
    pub fn claim(&'p self) -> Result<Claimed<'p>, ThreadLimit> {
        let id = self.table.with(|table| {
            let id = table.states.iter().position(|state| *state == State::Free)?;
            table.states[id] = State::Running;
            Some(id)
        });
        Ok(Claimed { threads: self, id: id.ok_or(ThreadLimit)? })
    }

    /// Takes the thread that was suspended under `token`.
    ///
    /// Every suspension has a token of its own, the thread's number in its lowest bits, so that an answer that is given
    /// twice does not answer the next question.
    pub fn resume(&'p self, token: u32) -> Result<Resumed<'p>, NotSuspended> {
        let id = token as usize % THREADS;
        let why = self.table.with(|table| match table.states[id] {
            State::Suspended { token: expected, why } if expected == token => {
                table.states[id] = State::Running;
                Some(why)
            }
            _ => None,
        });
        Ok(Resumed { threads: self, id, why: why.ok_or(NotSuspended)? })
    }

    /// Says whether no call is under way.
    pub fn all_free(&self) -> bool {
        self.table.with(|table| table.states == [State::Free; THREADS])
    }

    /// Counts how often calls waited for the lock.
    pub fn waits(&self) -> &Waits {
        self.table.waits()
    }
}

impl Threads<'_> {
    fn stopped(&self, id: ThreadId, exit: Exit) -> Stopped {
        let (why, [x0, x1, x2]) = match exit {
            Exit::Done(code) => {
                self.table.with(|table| table.states[id] = State::Free);
                return Stopped::Done(code);
            }
            Exit::Rpc(question) => (Suspended::Rpc, question),
            Exit::ForeignInterrupt => (Suspended::ForeignInterrupt, [Rpc::ForeignIntr.x0(), 0, 0]),
        };
        let token = self.table.with(|table| {
            table.sequence = table.sequence.wrapping_add(1);
            let token = table.sequence.wrapping_mul(THREADS as u32) | id as u32;
            table.states[id] = State::Suspended { token, why };
            token
        });
        Stopped::Suspended([x0, x1, x2, token.into()])
    }
}

impl Claimed<'_> {
    /// Returns the thread's number.
    pub fn id(&self) -> ThreadId {
        self.id
    }

    /// Starts the thread, and returns when its call is done or suspended. `first` gets `of` and the numbers.
    ///
    /// # Safety
    ///
    /// The thread's partition must be selected on this CPU. What `first` makes of what it gets must be sound.
    pub unsafe fn start(self, machine: &Machine, first: First, of: *const (), numbers: [u64; 6]) -> Stopped {
        let start = Start { first, of, numbers, stack: BASE + layout::stack_top(self.id) * PAGE_SIZE };
        // SAFETY: promised by the caller; the thread was free and is this value's alone, and so is its stack.
        let exit = unsafe { self.threads.contexts[self.id].start(machine, start) };
        self.threads.stopped(self.id, exit)
    }
}

impl Resumed<'_> {
    /// Returns the thread's number.
    pub fn id(&self) -> ThreadId {
        self.id
    }

    /// Goes on with the suspended call. `answer` is what the normal world answers to an RPC; after an interrupt it says
    /// nothing.
    ///
    /// # Safety
    ///
    /// The thread's partition must be selected on this CPU.
    pub unsafe fn go_on(self, machine: &Machine, answer: [u64; 4]) -> Stopped {
        let answer = (self.why == Suspended::Rpc).then_some(answer);
        // SAFETY: promised by the caller; the thread was suspended and is this value's alone.
        let exit = unsafe { self.threads.contexts[self.id].resume(machine, answer) };
        self.threads.stopped(self.id, exit)
    }
}

const _: () = assert!(THREADS.is_power_of_two());
