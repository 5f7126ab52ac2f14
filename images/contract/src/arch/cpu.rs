// SPDX-License-Identifier: MIT OR Apache-2.0
//! A CPU's own: its number, what becomes of its exceptions.

use super::exceptions::{Exception, Frame, is_back, skip};
use super::sysreg::{read, write};
use super::{mask, unmask};
use core::cell::{Cell, UnsafeCell};
use core::ffi::c_void;
use shared_abi::layout::MAX_CPUS;

/// Exceptions that are noted at most.
pub const NOTED: usize = 64;

/// What becomes of an exception that a check asked for.
pub type Resume = fn(&mut Frame);
/// What takes an interrupt; whether it is an FIQ.
pub type Take = fn(&mut Frame, bool);

/// Exceptions that were taken meanwhile.
#[derive(Clone, Copy)]
pub struct Caught {
    count: usize,
    list: [Exception; NOTED],
}

impl Caught {
    const NONE: Self = Self { count: 0, list: [Exception { vector: 0, esr: 0, elr: 0, spsr: 0, far: 0 }; NOTED] };

    /// Says how many there were.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the first ones.
    pub fn list(&self) -> &[Exception] {
        &self.list[..self.count.min(NOTED)]
    }

    /// Returns the first one.
    pub fn first(&self) -> Option<Exception> {
        self.list().first().copied()
    }

    fn note(&mut self, exception: Exception) {
        if let Some(place) = self.list.get_mut(self.count) {
            *place = exception;
        }
        self.count += 1;
    }
}

/// A CPU's own data. TPIDR_EL1 has its address.
#[repr(C)]
pub struct Cpu {
    /// Where exceptions are taken whose stack pointer points to no RAM: the vectors know that this comes first.
    other_stack: Cell<u64>,
    /// The stack of the attempt that an unexpected exception ends; assembly sets and clears it.
    escape: Cell<u64>,
    number: usize,
    resume: Cell<Option<Resume>>,
    take: Cell<Option<Take>>,
    caught: UnsafeCell<Caught>,
    ended_by: Cell<Exception>,
}

// SAFETY: a CPU touches nobody's but its own.
unsafe impl Sync for Cpu {}

static CPUS: [Cpu; MAX_CPUS] =
    [Cpu::new(0), Cpu::new(1), Cpu::new(2), Cpu::new(3), Cpu::new(4), Cpu::new(5), Cpu::new(6), Cpu::new(7)];

unsafe extern "C" {
    /// link.ld: 64 KiB for each CPU.
    static _stacks: u8;
    fn contract_attempt(call: extern "C" fn(*mut c_void), data: *mut c_void, escape: *mut u64) -> u64;
}

impl Cpu {
    const fn new(number: usize) -> Self {
        Self {
            other_stack: Cell::new(0),
            escape: Cell::new(0),
            number,
            resume: Cell::new(None),
            take: Cell::new(None),
            caught: UnsafeCell::new(Caught::NONE),
            ended_by: Cell::new(Exception { vector: 0, esr: 0, elr: 0, spsr: 0, far: 0 }),
        }
    }

    /// Makes the calling CPU this one.
    pub fn install(number: usize) {
        let cpu = &CPUS[number];
        // The lower half of its stack, which nobody else comes near.
        let stacks = (&raw const _stacks).expose_provenance() as u64;
        cpu.other_stack.set(stacks + ((number as u64) << 16) + 0x8000);
        cpu.escape.set(0);
        cpu.resume.set(None);
        cpu.take.set(None);
        write!("tpidr_el1", core::ptr::from_ref(cpu).expose_provenance() as u64);
    }

    /// Returns the CPU that this runs on.
    pub fn this() -> &'static Self {
        let pointer = core::ptr::with_exposed_provenance::<Self>(read!("tpidr_el1") as usize);
        // SAFETY: `install` put the address of one of `CPUS` there.
        unsafe { &*pointer }
    }

    /// Returns its number.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Does `work`, which an exception that nobody asked for ends.
    pub fn attempt(&self, mut work: impl FnMut()) -> Result<(), Exception> {
        extern "C" fn call<F: FnMut()>(data: *mut c_void) {
            // SAFETY: `attempt` passes its own `work`, which nobody else uses meanwhile.
            let work = unsafe { &mut *data.cast::<F>() };
            work();
        }
        fn caller<F: FnMut()>(_: &F) -> extern "C" fn(*mut c_void) {
            call::<F>
        }
        let (call, outer) = (caller(&work), self.escape.get());
        // SAFETY: the assembly keeps to the procedure call standard and calls `call` with its data once. What an
        // exception ends is not resumed: values on that part of the stack are never dropped, which is safe, and
        // `work` is not used again.
        let ended = unsafe { contract_attempt(call, (&raw mut work).cast(), self.escape.as_ptr()) };
        self.escape.set(outer);
        if ended == 0 {
            return Ok(());
        }
        self.resume.set(None);
        self.take.set(None);
        Err(self.ended_by.get())
    }

    /// Does `work`, whose synchronous exceptions are noted and then resumed as `resume` says.
    pub fn catch(&self, resume: Resume, work: impl FnOnce()) -> Caught {
        // SAFETY: this CPU's; the exception handler that writes to it is not at work now.
        unsafe { *self.caught.get() = Caught::NONE };
        let outer = self.resume.replace(Some(resume));
        work();
        self.resume.set(outer);
        // SAFETY: as above.
        unsafe { *self.caught.get() }
    }

    /// Does `work` while interrupts are taken by `take`.
    pub fn interruptible(&self, take: Take, work: impl FnOnce()) {
        let outer = self.take.replace(Some(take));
        unmask();
        work();
        mask();
        self.take.set(outer);
    }

    pub(super) fn taker(&self) -> Option<Take> {
        self.take.get()
    }

    /// Says where to go on, if a check asked for the exception.
    pub(super) fn on_fault(&self, frame: &mut Frame, exception: Exception) -> Option<u64> {
        let resume = self.resume.get()?;
        // SAFETY: this CPU's; `catch` does not look at it while `work` runs.
        let caught = unsafe { &mut *self.caught.get() };
        // One that comes over and over is a fault of its own.
        if caught.count >= NOTED {
            return None;
        }
        if !is_back(exception.esr) {
            caught.note(exception);
        }
        resume(frame);
        Some(0)
    }

    /// Ends the attempt, as the exception does: returns its stack.
    pub(super) fn end_attempt(&self, exception: Exception) -> u64 {
        self.ended_by.set(exception);
        match self.escape.get() {
            0 => panic!("exception outside of a check: {exception:x?}"),
            stack => stack,
        }
    }
}

/// Notes what `work` faults on, and goes on behind it.
pub fn catch(work: impl FnOnce()) -> Caught {
    Cpu::this().catch(skip, work)
}
