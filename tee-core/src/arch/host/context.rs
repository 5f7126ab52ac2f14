// SPDX-License-Identifier: MIT OR Apache-2.0
//! A thread of the TEE as a coroutine of the host, with a stack of its own.

use super::cpu;
use super::machine::Machine;
use crate::arch::thread::{Exit, Start, ThisThread};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use std::cell::RefCell;
use std::convert::Infallible;
use std::ops::Range;
use std::ptr::null;
use std::sync::Mutex;

/// What a suspended thread is given when it goes on: the answer to its question.
type Input = Option<[u64; 4]>;

/// The way out of a thread.
pub(super) type Yielder = corosensei::Yielder<Input, Exit>;

/// Bytes of a stack: more than on the machine, where nobody prints the last words of a test on it.
const STACK: usize = 512 << 10;

thread_local! {
    /// Stacks that nobody uses: making one takes longer than most calls.
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
}

/// A thread that was started.
struct Thread {
    coroutine: Option<Coroutine<Input, Exit, Infallible>>,
    /// Null before it runs for the first time.
    way_out: *const Yielder,
}

// SAFETY: what stands on the stack of a suspended thread belongs to the TEE, which lets any CPU go on with it.
unsafe impl Send for Thread {}

impl Thread {
    fn run(&mut self, input: Input) -> Exit {
        let coroutine = self.coroutine.as_mut().expect("it is there until the thread ends");
        let before = cpu::set_thread(self.way_out);
        let result = coroutine.resume(input);
        self.way_out = cpu::set_thread(before);
        match result {
            CoroutineResult::Yield(exit) => exit,
            CoroutineResult::Return(never) => match never {},
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let Some(mut coroutine) = self.coroutine.take() else { return };
        // SAFETY: the TEE's code relies on no destructor of a dead call, for on the machine none runs: its stack is
        // gone with the partition.
        unsafe { coroutine.force_reset() };
        let stack = coroutine.into_stack();
        // There is no such list any more while the host's own thread ends.
        let _ = STACKS.try_with(|stacks| stacks.borrow_mut().push(stack));
    }
}

/// The threads of the TEE that are suspended, by the addresses of their contexts.
#[derive(Default)]
pub(super) struct Threads(Mutex<Vec<(usize, Thread)>>);

impl Machine {
    /// Ends the threads whose contexts have these addresses, where they stand.
    pub(super) fn kill_threads(&self, contexts: Range<usize>) {
        self.threads.0.lock().unwrap().retain(|(context, _)| !contexts.contains(context));
    }
}

/// Where a thread's registers would be. Here its address is the thread's name, so that a partition is but memory.
pub struct Context(#[expect(dead_code, reason = "two contexts have two addresses")] u64);

impl Context {
    /// Makes a context that runs nothing.
    pub const fn new() -> Self {
        Self(0)
    }

    fn name(&self) -> usize {
        (&raw const *self).addr()
    }

    /// Starts a call.
    ///
    /// # Safety
    ///
    /// The context must be that of the thread, which must be the caller's to run; its partition must be selected.
    pub unsafe fn start(&self, machine: &Machine, start: Start) -> Exit {
        let stack = STACKS.with_borrow_mut(Vec::pop);
        let stack = stack.unwrap_or_else(|| DefaultStack::new(STACK).expect("the host has memory for a stack"));
        let coroutine = Coroutine::with_stack(stack, move |way_out: &Yielder, _| -> Infallible {
            cpu::set_thread(way_out);
            let [n1, n2, n3, n4, n5, n6] = start.numbers;
            (start.first)(start.of, n1, n2, n3, n4, n5, n6)
        });
        self.run(machine, Thread { coroutine: Some(coroutine), way_out: null() }, None)
    }

    /// Goes on with a suspended call.
    ///
    /// # Safety
    ///
    /// As for [`start`](Self::start), and the thread must be suspended: after a question if there is an answer.
    pub unsafe fn resume(&self, machine: &Machine, answer: Option<[u64; 4]>) -> Exit {
        let thread = {
            let mut threads = machine.threads.0.lock().unwrap();
            let place = threads.iter().position(|(name, _)| *name == self.name());
            threads.swap_remove(place.expect("a thread that is suspended")).1
        };
        self.run(machine, thread, answer)
    }

    fn run(&self, machine: &Machine, mut thread: Thread, input: Input) -> Exit {
        let exit = thread.run(input);
        if !matches!(exit, Exit::Done(_)) {
            machine.threads.0.lock().unwrap().push((self.name(), thread));
        }
        exit
    }
}

fn exchange(exit: Exit) -> Input {
    let way_out = cpu::thread();
    assert!(!way_out.is_null(), "no thread of the TEE runs here");
    // SAFETY: it stands on the stack of the thread that runs, which is the one that this is called on.
    unsafe { (*way_out).suspend(exit) }
}

/// Suspends the thread with a question for the normal world; returns the answer.
pub fn suspend(_thread: &ThisThread, question: [u64; 3]) -> [u64; 4] {
    exchange(Exit::Rpc(question)).expect("an RPC is answered")
}

/// Ends the thread with a return code. What stands on its stack is forgotten, as on the machine.
///
/// # Safety
///
/// The caller must be the thread's first function, and nothing on its stack be used any more.
pub unsafe fn finish(code: u64) -> ! {
    exchange(Exit::Done(code));
    unreachable!("a thread that has ended goes on")
}

/// Suspends the thread because a foreign interrupt is pending.
pub(super) fn interrupt() {
    exchange(Exit::ForeignInterrupt);
}

/// Says whether a thread of the TEE runs, and not a CPU on its own stack.
pub(super) fn is_thread() -> bool {
    !cpu::thread().is_null()
}
