//! A partition: one VM's TEE, in pages of its own, mapped only while a call of that VM runs.

pub mod layout;
pub mod mutex;
pub mod sessions;
pub mod shm;
pub mod shm_cache;
pub mod threads;

use crate::heap::{Heap, Memory};
use crate::pta::vault::Vault;
use crate::sync::Waits;
use mutex::Mutex;
use sessions::Sessions;
use shm::SharedMemory;
use shm_cache::ShmCache;
use threads::Threads;

/// Everything a VM has in the TEE.
#[repr(C)]
pub struct Partition {
    /// Yielding calls under way.
    pub threads: Threads,
    /// Open sessions.
    pub sessions: Sessions,
    /// Registered shared memory.
    pub shm: SharedMemory,
    /// Memory for RPC messages, kept between calls.
    pub shm_cache: ShmCache,
    /// Memory for what has no fixed size.
    pub heap: Heap,
    /// The vault pseudo-TA's secrets.
    pub vault: Mutex<Vault>,
    /// What the heap's allocator keeps, at an address that is the same for every VM.
    #[cfg(as_reported)]
    pub poolset: crate::as_reported::bget::Poolset,
}

impl Partition {
    /// What every partition begins as.
    pub const fn new() -> Self {
        Self {
            threads: Threads::new(),
            sessions: Sessions::new(),
            shm: SharedMemory::new(),
            shm_cache: ShmCache::new(),
            heap: Heap::new(),
            vault: Mutex::new(Vault::new()),
            #[cfg(as_reported)]
            poolset: crate::as_reported::bget::Poolset::pristine(crate::as_reported::malloc::POOLSET),
        }
    }

    /// How often calls of the VM waited for each other's locks here.
    pub fn lock_waits(&self) -> u32 {
        let locks = [
            self.threads.waits(),
            self.sessions.waits(),
            self.shm.waits(),
            self.shm_cache.waits(),
            self.heap.waits(),
            self.vault.waits(),
        ];
        locks.map(Waits::get).iter().fold(0, |sum, waits| sum.wrapping_add(*waits))
    }

    /// Initialises what needs more than constants. Once, with the partition selected, before its first yielding call.
    pub(crate) fn start(&self, first_heap: Memory) {
        self.heap.add(first_heap);
    }
}

impl Default for Partition {
    fn default() -> Self {
        Self::new()
    }
}
