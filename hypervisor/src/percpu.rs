// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is a CPU's own and needed wherever code runs: its number, where its records go, how often it waited; and what
//! other CPUs may touch of it, to wake its vCPUs ([`crate::wake`]).
//!
//! A CPU finds it by a register of its own (TPIDR_EL2). The `percore` crate would find it by an index that is computed
//! at each access. Which guests the CPU runs is not in here, but behind it: [`crate::cpu::Cpu`].

use crate::arch::cpu;
use crate::scheduler::{RunQueue, SLOTS};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
#[cfg(feature = "trace")]
use firmware_support::{own::Own, trace::Recorder};
#[cfg(feature = "trace")]
use shared_abi::trace::{Event, frame::LENGTH};

/// How many kinds of locks are told apart ([`crate::lock`]).
pub const LOCK_KINDS: usize = 3;

/// What is a CPU's own.
#[repr(C)]
pub struct PerCpu {
    /// Its number.
    pub index: usize,
    /// Those of its vCPUs that have something to do.
    pub queue: RunQueue,
    /// The slot of the vCPU that is loaded, and may be in its guest.
    pub running: AtomicUsize,
    /// It was kicked and has not looked yet: no need to kick it again.
    pub kicked: AtomicBool,
    /// Where its records go.
    #[cfg(feature = "trace")]
    pub sink: Sink,
    /// Looks at locks that another CPU had, since they were last taken.
    waits: [AtomicU64; LOCK_KINDS],
}

/// Who runs code while no CPU has anything of its own: before boot comes to that, and on a host that has no machine.
#[cfg(not(target_os = "none"))]
static NOBODY: PerCpu = PerCpu::new(0);

/// Returns the CPU that runs this.
#[inline(always)]
pub fn this() -> &'static PerCpu {
    let own = core::ptr::with_exposed_provenance::<PerCpu>(cpu::own());
    #[cfg(not(target_os = "none"))]
    if own.is_null() {
        return &NOBODY;
    }
    // SAFETY: as `enter` was promised.
    unsafe { &*own }
}

impl PerCpu {
    /// Makes that of the CPU with this number.
    pub const fn new(index: usize) -> Self {
        Self {
            index,
            queue: RunQueue::new(),
            running: AtomicUsize::new(SLOTS),
            kicked: AtomicBool::new(false),
            #[cfg(feature = "trace")]
            sink: Sink::new(),
            waits: [const { AtomicU64::new(0) }; LOCK_KINDS],
        }
    }

    /// Becomes the own of the CPU that runs this.
    ///
    /// # Safety
    ///
    /// Once, on the CPU that it is of, before anything else asks for it there.
    pub unsafe fn enter(&'static self) {
        // SAFETY: it lives for ever, and is what is expected there.
        unsafe { cpu::set_own(core::ptr::from_ref(self).expose_provenance()) };
    }

    /// Counts a look at a lock that is another CPU's at the moment.
    pub fn count_wait(&self, kind: usize) {
        if let Some(count) = self.waits.get(kind) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds what was counted since the last time to other counts, of the same kinds.
    pub fn add_waits(&self, to: &[AtomicU64; LOCK_KINDS]) {
        for (count, to) in self.waits.iter().zip(to) {
            if count.load(Ordering::Relaxed) != 0 {
                to.fetch_add(count.swap(0, Ordering::Relaxed), Ordering::Relaxed);
            }
        }
    }
}

/// A CPU's recorder; none as long as records go nowhere.
#[cfg(feature = "trace")]
pub struct Sink(Own<Option<Recorder>>);

#[cfg(feature = "trace")]
impl Sink {
    const fn new() -> Self {
        Self(Own::new(None))
    }

    /// Sends records there from now on.
    ///
    /// # Safety
    ///
    /// By its own CPU, which is not writing a record, or does not come back to that.
    pub unsafe fn set(&self, recorder: Option<Recorder>) -> Option<Recorder> {
        // SAFETY: as the caller promises.
        core::mem::replace(unsafe { self.0.borrow() }, recorder)
    }

    /// Writes a record.
    #[inline(always)]
    pub fn write(&self, client: u16, event: Event, print: fn(&[u8; LENGTH])) {
        // SAFETY: only the CPU to which the sink belongs comes here, with interrupts masked, and writing a record makes
        // no other. If it faults, its CPU doesn't come back to it.
        if let Some(recorder) = unsafe { self.0.borrow() } {
            recorder.write(cpu::count(), client, event, print);
        }
    }
}
