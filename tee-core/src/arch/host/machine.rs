// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fake machine: its non-secure RAM, interrupts and random numbers. Its MMU is in `mmu`.

use super::context::{self, Threads};
use super::cpu::{self, Masked};
use super::mmu::Mmu;
use super::ram::Ram;
use super::window::Shape;
use crate::memory::ns_ram::NsRange;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use shared_abi::layout::Range;
use std::sync::{Mutex, MutexGuard};

/// Called before each access of the TEE: its number, its address, and the RAM as other CPUs of the normal world would
/// find it, to change it behind the TEE's back.
pub type Watcher = Box<dyn FnMut(usize, u64, &mut Ram) + Send>;

/// What changes with an access.
struct State {
    ram: Ram,
    watcher: Option<Watcher>,
    accesses: usize,
    interrupt_at: usize,
}

/// The machine.
pub struct Machine {
    state: Mutex<State>,
    pub(super) mmu: Mutex<Mmu>,
    pub(super) threads: Threads,
    random: AtomicBool,
    entropy: AtomicU64,
}

impl Machine {
    /// Makes a machine with this non-secure RAM, all zero. Partitions have this shape.
    pub fn new(ram: Range, shape: Shape) -> Self {
        let state = State { ram: Ram::new(ram), watcher: None, accesses: 0, interrupt_at: usize::MAX };
        Self {
            state: Mutex::new(state),
            mmu: Mutex::new(Mmu::new(shape)),
            threads: Threads::default(),
            random: AtomicBool::new(false),
            entropy: AtomicU64::new(1),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Sets what the normal world does while the TEE accesses memory.
    pub fn watch(&self, watcher: Option<Watcher>) {
        self.state().watcher = watcher;
    }

    /// Makes a foreign interrupt pending at the `n`th access from now, or at the first one after it where it isn't
    /// masked.
    pub fn interrupt_after(&self, n: usize) {
        let mut state = self.state();
        state.interrupt_at = state.accesses + n;
    }

    /// Gives the CPU a random number generator, or takes it away.
    pub fn set_random(&self, there: bool) {
        self.random.store(there, Ordering::SeqCst);
    }

    /// Runs `f` on the non-secure RAM, as the normal world has it.
    pub fn with_ram<R>(&self, f: impl FnOnce(&mut Ram) -> R) -> R {
        f(&mut self.state().ram)
    }

    /// Reads as the normal world.
    pub fn peek(&self, pa: u64, len: usize) -> Vec<u8> {
        self.state().ram.bytes(pa, len).to_vec()
    }

    /// Writes as the normal world.
    pub fn poke(&self, pa: u64, bytes: &[u8]) {
        self.state().ram.write(pa, bytes);
    }

    /// Does what happens before an access of the TEE.
    fn access(&self, range: NsRange) -> MutexGuard<'_, State> {
        let mut state = self.state();
        let n = state.accesses;
        state.accesses += 1;
        if n >= state.interrupt_at && !Masked::is() && context::is_thread() {
            state.interrupt_at = usize::MAX;
            drop(state);
            context::interrupt();
            state = self.state();
        }
        if let State { ram, watcher: Some(watcher), .. } = &mut *state {
            cpu::elsewhere(|| watcher(n, range.pa(), ram));
        }
        state
    }

    /// Copies non-secure bytes into the TEE.
    pub fn read(&self, range: NsRange, into: &mut [u8]) {
        into.copy_from_slice(self.access(range).ram.bytes(range.pa(), range.len()));
    }

    /// Copies bytes of the TEE to non-secure memory.
    pub fn write(&self, range: NsRange, from: &[u8]) {
        assert_eq!(range.len(), from.len());
        self.access(range).ram.write(range.pa(), from);
    }

    /// Says whether the CPU makes random numbers.
    pub fn has_random(&self) -> bool {
        self.random.load(Ordering::SeqCst)
    }

    /// Returns a number that looks random (SplitMix64).
    pub fn random(&self) -> Option<u64> {
        let state = self.entropy.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        self.has_random().then_some(mixed ^ (mixed >> 27))
    }

    /// Returns the time since the machine started: a millisecond for each time somebody asks.
    pub fn uptime(&self) -> Duration {
        Duration::from_millis(self.entropy.fetch_add(1, Ordering::SeqCst) & 0xFFFF)
    }
}
