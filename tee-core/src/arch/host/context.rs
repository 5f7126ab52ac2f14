//! A thread of the TEE as a thread of the host, of which only one of the two sides runs at any time.

use super::trace::Tape;
use crate::arch::Exit;
use crate::entry::yielding::{self, Start};
use crate::tee::Tee;
use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

enum Event {
    Exit(Exit),
    Panic(Box<dyn Any + Send>),
}

enum Order {
    GoOn(Option<[u64; 4]>),
    Die,
}

/// What a killed thread unwinds with.
struct Killed;

struct Worker {
    orders: Sender<Order>,
    events: Receiver<Event>,
    thread: JoinHandle<()>,
}

thread_local! {
    static SELF: RefCell<Option<(Sender<Event>, Receiver<Order>)>> = const { RefCell::new(None) };
}

/// Where a thread of the TEE runs.
pub struct Context(Mutex<Option<Worker>>);

struct TeePtr(*const Tee);
// SAFETY: a `Tee` is shared between CPUs; it outlives its threads, because its destructor kills them.
unsafe impl Send for TeePtr {}

impl Context {
    /// One that runs nothing.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Starts a call.
    pub fn start(&self, tee: &Tee, start: Start) -> Exit {
        let (orders, order) = channel();
        let (event, events) = channel();
        let tee = TeePtr(tee);
        let tape = Tape::own();
        let thread = std::thread::spawn(move || {
            let tee = tee;
            SELF.set(Some((event.clone(), order)));
            if let Some(tape) = tape {
                tape.follow();
            }
            // SAFETY: see `TeePtr`.
            let tee = unsafe { &*tee.0 };
            // SAFETY: the partition lives until its threads have been killed.
            let partition = unsafe { &*tee.vms.slot(start.slot).space.partition() };
            let end = match catch_unwind(AssertUnwindSafe(|| yielding::run(tee, partition, start))) {
                Ok(code) => Event::Exit(Exit::Done(code as u64)),
                Err(payload) if payload.is::<Killed>() => return,
                Err(payload) => Event::Panic(payload),
            };
            let _ = event.send(end);
        });
        self.wait(Worker { orders, events, thread })
    }

    /// Goes on with a suspended call.
    pub fn resume(&self, answer: Option<[u64; 4]>) -> Exit {
        let worker = self.0.lock().unwrap().take().expect("a thread that is suspended");
        worker.orders.send(Order::GoOn(answer)).expect("a thread that waits");
        self.wait(worker)
    }

    fn wait(&self, worker: Worker) -> Exit {
        let exit = match worker.events.recv().expect("a thread that says how it ends") {
            Event::Exit(exit) => exit,
            Event::Panic(payload) => resume_unwind(payload),
        };
        match exit {
            Exit::Done(_) => drop(worker.thread.join()),
            _ => *self.0.lock().unwrap() = Some(worker),
        }
        exit
    }

    /// Ends a suspended call where it stands.
    pub fn kill(&self) {
        if let Some(worker) = self.0.lock().unwrap().take() {
            let _ = worker.orders.send(Order::Die);
            let _ = worker.thread.join();
        }
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

fn exchange(exit: Exit) -> Option<[u64; 4]> {
    // A call that is being killed unwinds here on the host alone; on the machine nothing of it runs any more.
    if std::thread::panicking() {
        return None;
    }
    let order = SELF.with_borrow(|channels| {
        let (events, orders) = channels.as_ref().expect("a thread of the TEE");
        let _ = events.send(Event::Exit(exit));
        orders.recv()
    });
    match order {
        Ok(Order::GoOn(answer)) => answer,
        Ok(Order::Die) | Err(_) => resume_unwind(Box::new(Killed)),
    }
}

/// Suspends the thread with a question for the normal world; returns the answer.
pub fn suspend(question: [u64; 3]) -> [u64; 4] {
    exchange(Exit::Rpc(question)).unwrap_or_default()
}

/// A foreign interrupt is pending.
pub(super) fn interrupt() {
    exchange(Exit::ForeignInterrupt);
}

/// Whether a thread of the TEE runs, and not a CPU on its own stack.
pub(super) fn is_thread() -> bool {
    SELF.with_borrow(Option::is_some)
}
