// SPDX-License-Identifier: MIT OR Apache-2.0
//! The other CPUs: started for a job, off when it is done.

use super::boot::AT_ENTRY;
use super::cpu::Cpu;
use super::exceptions::Exception;
use super::psci;
use crate::clock;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use shared_abi::layout::MAX_CPUS;
use shared_abi::psci::{PSCI_AFFINITY_INFO_64, PSCI_CPU_OFF, PSCI_CPU_ON_64};

/// A CPU's job.
struct Place {
    job: Cell<fn()>,
    state: AtomicU64,
    ended_by: Cell<Exception>,
    at_entry: Cell<[u64; AT_ENTRY]>,
}

// SAFETY: `start` writes before the CPU is on, the CPU before it sets `state`, and `join` reads after that.
unsafe impl Sync for Place {}

const IDLE: u64 = 0;
const AT_WORK: u64 = 1;
const DONE: u64 = 2;
const ENDED: u64 = 3;

static PLACES: [Place; MAX_CPUS] = [const {
    Place {
        job: Cell::new(|| {}),
        state: AtomicU64::new(IDLE),
        ended_by: Cell::new(Exception { vector: 0, esr: 0, elr: 0, spsr: 0, far: 0 }),
        at_entry: Cell::new([0; AT_ENTRY]),
    }
}; MAX_CPUS];

unsafe extern "C" {
    fn contract_entry();
}

/// Says where a started CPU begins.
pub fn entry() -> u64 {
    contract_entry as *const () as u64
}

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It returned, and its CPU is off.
    Done,
    /// An exception ended it.
    Ended(Exception),
    /// It goes on, or its CPU is not off.
    Late,
}

/// Starts a CPU, which is off, for a job; what CPU_ON answers.
pub fn start(cpu: usize, job: fn()) -> i64 {
    let place = &PLACES[cpu];
    place.job.set(job);
    place.state.store(AT_WORK, SeqCst);
    psci::ask(PSCI_CPU_ON_64, [cpu as u64, entry(), cpu as u64])
}

/// Waits until a CPU's job is done and the CPU is off.
pub fn join(cpu: usize) -> Outcome {
    let place = &PLACES[cpu];
    clock::until(1000, || place.state.load(SeqCst) != AT_WORK);
    let is_off = clock::until(1000, || psci::ask(PSCI_AFFINITY_INFO_64, [cpu as u64, 0, 0]) == 1);
    match place.state.load(SeqCst) {
        _ if !is_off => Outcome::Late,
        DONE => Outcome::Done,
        ENDED => Outcome::Ended(place.ended_by.get()),
        _ => Outcome::Late,
    }
}

/// Returns the registers at a CPU's first instruction, the last time that it was started.
pub fn at_entry(cpu: usize) -> [u64; AT_ENTRY] {
    PLACES[cpu].at_entry.get()
}

/// Notes the registers at a CPU's first instruction.
pub fn note_entry(cpu: usize, registers: [u64; AT_ENTRY]) {
    PLACES[cpu].at_entry.set(registers);
}

/// Runs from `boot`, on a CPU that was started.
#[unsafe(no_mangle)]
extern "C" fn contract_other(number: usize, registers: &[u64; AT_ENTRY]) -> ! {
    Cpu::install(number);
    note_entry(number, *registers);
    let place = &PLACES[number];
    let state = match Cpu::this().attempt(place.job.get()) {
        Ok(()) => DONE,
        Err(exception) => {
            place.ended_by.set(exception);
            ENDED
        }
    };
    place.state.store(state, SeqCst);
    psci::ask(PSCI_CPU_OFF, [0; 3]);
    loop {
        super::wait_for_interrupt();
    }
}
