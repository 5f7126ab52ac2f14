// SPDX-License-Identifier: MIT OR Apache-2.0
//! Contexts of threads: how they start, stop wherever they are, and go on, maybe on another CPU.
//!
//! The CPU's own code runs with SP_EL1 on the CPU's stack (EL1h), threads run with SP_EL0 on their own (EL1t). An
//! exception that a thread takes or makes thus arrives on the CPU's stack, right where `context_run` left it, and all
//! of the thread's registers go into its context.

use super::machine::Machine;
use crate::arch::thread::{Exit, Start, ThisThread};
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::mem::offset_of;

/// A thread's registers.
#[repr(C)]
#[derive(Clone, Copy)]
struct Registers {
    x: [u64; 31],
    sp: u64,
    pc: u64,
    pstate: u64,
}

/// PSTATE of a thread at its start: EL1t, debug exceptions and SErrors masked, IRQ and FIQ not. An SError that is
/// pending may be what the normal world did before it called. One of the TEE's own the monitor notices when the TEE
/// leaves, and makes it take it: an error of its own code, like any exception there, is its end.
const PSTATE: u64 = (1 << 9) | (1 << 8) | 0b0100;

/// Where a thread's registers are while it doesn't run.
pub struct Context(UnsafeCell<Registers>);

// SAFETY: used by who marked the thread as running, and nobody else.
unsafe impl Sync for Context {}

global_asm!(
    include_str!("context.S"),
    SP = const offset_of!(Registers, sp),
    PC = const offset_of!(Registers, pc),
    PSTATE = const offset_of!(Registers, pstate),
);

unsafe extern "C" {
    /// Runs the thread until it stops; returns why: 0 done, 1 RPC, 2 interrupt.
    fn context_run(registers: *mut Registers) -> u64;
}

impl Context {
    /// Makes a context that runs nothing.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(Registers { x: [0; 31], sp: 0, pc: 0, pstate: 0 }))
    }

    /// Starts a call.
    ///
    /// # Safety
    ///
    /// The context must be that of the thread, which must be the caller's to run, and so must its stack be; its
    /// partition must be selected.
    pub unsafe fn start(&self, _machine: &Machine, start: Start) -> Exit {
        let [n1, n2, n3, n4, n5, n6] = start.numbers;
        let registers = self.0.get();
        // SAFETY: the thread is the caller's to run.
        unsafe {
            (&raw mut (*registers).x).cast::<[u64; 7]>().write([start.of as u64, n1, n2, n3, n4, n5, n6]);
            (*registers).sp = start.stack as u64;
            (*registers).pc = start.first as *const () as u64;
            (*registers).pstate = PSTATE;
        }
        // SAFETY: promised by the caller.
        unsafe { self.run() }
    }

    /// Goes on with a suspended call.
    ///
    /// # Safety
    ///
    /// As for [`start`](Self::start), and the thread must be suspended: after a question if there is an answer.
    pub unsafe fn resume(&self, _machine: &Machine, answer: Option<[u64; 4]>) -> Exit {
        if let Some(answer) = answer {
            // SAFETY: the thread is the caller's to run, and stopped in `suspend`, which expects x0 to x3.
            unsafe { (&raw mut (*self.0.get()).x).cast::<[u64; 4]>().write(answer) };
        }
        // SAFETY: promised by the caller.
        unsafe { self.run() }
    }

    /// # Safety
    ///
    /// The registers must be those of a thread that was started or suspended, and its partition be selected.
    unsafe fn run(&self) -> Exit {
        let registers = self.0.get();
        // SAFETY: promised by the caller.
        unsafe {
            let why = context_run(registers);
            let [x0, x1, x2] = (&raw const (*registers).x).cast::<[u64; 3]>().read();
            match why {
                0 => Exit::Done(x0),
                1 => Exit::Rpc([x0, x1, x2]),
                _ => Exit::ForeignInterrupt,
            }
        }
    }
}

/// Ends the thread with a return code.
///
/// # Safety
///
/// The caller must be the thread's first function, and nothing on its stack be used any more.
pub unsafe fn finish(code: u64) -> ! {
    // SAFETY: the thread ends here; see context.S.
    unsafe { asm!("svc #0", in("x0") code, options(noreturn)) }
}

/// Suspends the thread with a question for the normal world; returns the answer.
pub fn suspend(_thread: &ThisThread, question: [u64; 3]) -> [u64; 4] {
    let [mut x0, mut x1, mut x2] = question;
    let x3: u64;
    // SAFETY: all registers but these come back as they were; see context.S. Memory is the partition's, which may have
    // changed: not `nomem`.
    unsafe { asm!("svc #1", inlateout("x0") x0, inlateout("x1") x1, inlateout("x2") x2, lateout("x3") x3) };
    [x0, x1, x2, x3]
}
