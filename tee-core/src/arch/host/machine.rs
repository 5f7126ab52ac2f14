//! The fake machine's non-secure RAM, interrupts and random numbers.

use super::context;
use super::masked::Masked;
use crate::nexus::ns_ram::NsRange;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use shared_abi::layout::Range;
use std::sync::Mutex;

/// Called before each access of the TEE: its number, its address, and the RAM as other CPUs of the normal world would
/// find it, to change it behind the TEE's back.
pub type Watcher = Box<dyn FnMut(usize, u64, &mut [u8]) + Send>;

/// The machine.
pub struct Machine {
    base: u64,
    ram: Mutex<Vec<u8>>,
    watcher: Mutex<Option<Watcher>>,
    accesses: AtomicUsize,
    interrupt_at: AtomicUsize,
    random: AtomicBool,
    state: AtomicU64,
}

impl Machine {
    /// A machine with this non-secure RAM, all zero.
    pub fn new(ram: Range) -> Self {
        Self {
            base: ram.base,
            ram: Mutex::new(vec![0; ram.size as usize]),
            watcher: Mutex::new(None),
            accesses: AtomicUsize::new(0),
            interrupt_at: AtomicUsize::new(usize::MAX),
            random: AtomicBool::new(false),
            state: AtomicU64::new(1),
        }
    }

    /// What the normal world does while the TEE accesses memory.
    pub fn watch(&self, watcher: Option<Watcher>) {
        *self.watcher.lock().unwrap() = watcher;
    }

    /// A foreign interrupt is pending at the `n`th access from now, or at the first one after it where it isn't masked.
    pub fn interrupt_after(&self, n: usize) {
        self.interrupt_at.store(self.accesses.load(Ordering::SeqCst) + n, Ordering::SeqCst);
    }

    /// Gives the CPU a random number generator, or takes it away.
    pub fn set_random(&self, there: bool) {
        self.random.store(there, Ordering::SeqCst);
    }

    /// The normal world reads.
    pub fn peek(&self, pa: u64, len: usize) -> Vec<u8> {
        let at = (pa - self.base) as usize;
        self.ram.lock().unwrap()[at..at + len].to_vec()
    }

    /// The normal world writes.
    pub fn poke(&self, pa: u64, bytes: &[u8]) {
        let at = (pa - self.base) as usize;
        self.ram.lock().unwrap()[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn access(&self, range: NsRange, f: impl FnOnce(&mut [u8])) {
        // A call that is being killed unwinds on the host alone; on the machine nothing of it runs any more.
        if std::thread::panicking() {
            return;
        }
        let n = self.accesses.fetch_add(1, Ordering::SeqCst);
        if n >= self.interrupt_at.load(Ordering::SeqCst) && !Masked::is() && context::is_thread() {
            self.interrupt_at.store(usize::MAX, Ordering::SeqCst);
            context::interrupt();
        }
        let mut ram = self.ram.lock().unwrap();
        if let Some(watcher) = self.watcher.lock().unwrap().as_mut() {
            watcher(n, range.pa(), &mut ram);
        }
        let at = usize::try_from(range.pa() - self.base).unwrap();
        f(&mut ram[at..at + range.len()]);
    }

    /// Copies non-secure bytes into the TEE.
    pub fn read(&self, range: NsRange, into: &mut [u8]) {
        self.access(range, |bytes| into.copy_from_slice(bytes));
    }

    /// Copies bytes of the TEE to non-secure memory.
    pub fn write(&self, range: NsRange, from: &[u8]) {
        self.access(range, |bytes| bytes.copy_from_slice(from));
    }

    /// Whether the CPU makes random numbers.
    pub fn has_random(&self) -> bool {
        self.random.load(Ordering::SeqCst)
    }

    /// A number that looks random (SplitMix64).
    pub fn random(&self) -> Option<u64> {
        let state = self.state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        self.has_random().then_some(mixed ^ (mixed >> 27))
    }

    /// Time since the machine started: a millisecond for each time somebody asks.
    pub fn uptime(&self) -> Duration {
        Duration::from_millis(self.state.fetch_add(1, Ordering::SeqCst) & 0xFFFF)
    }
}
