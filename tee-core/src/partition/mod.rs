// SPDX-License-Identifier: MIT OR Apache-2.0
//! A partition: one VM's TEE, in pages of its own, mapped only while a call of that VM runs.

pub mod layout;
pub mod mutex;
pub mod rivals;
pub mod secrets;
pub mod sessions;
pub mod shm;
pub mod shm_cache;
pub mod threads;

use crate::heap::{self, Damaged, Heap, Memory};
use crate::sync::Waits;
use mutex::Mutex;
use rivals::Rivals;
use secrets::Secrets;
use sessions::Sessions;
use shm::SharedMemory;
use shm_cache::ShmCache;
use threads::Threads;

/// Everything a VM has in the TEE.
///
/// All partitions stand at one address, where each is while it is selected. `'p` is the *brand* of one of them: nothing
/// of it can be taken for another's, or kept when it is left. It cannot go to another CPU, where it may not be mapped:
///
/// ```compile_fail,E0277
/// fn share<T: Sync>() {}
/// share::<tee_core::partition::Partition<'static>>();
/// ```
#[repr(C)]
pub struct Partition<'p> {
    /// Yielding calls under way.
    threads: Threads<'p>,
    /// Open sessions.
    sessions: Sessions,
    /// Registered shared memory.
    shm: SharedMemory<'p>,
    /// Memory for RPC messages, kept between calls.
    shm_cache: ShmCache,
    /// Memory for what has no fixed size.
    heap: Heap<'p>,
    /// Its secrets.
    secrets: Mutex<Secrets>,
    /// What the self-test has its calls compete for.
    rivals: Rivals,
    /// What the heap's allocator keeps apart from the heap.
    pub(crate) apart: heap::Apart,
}

impl<'p> Partition<'p> {
    /// Makes what every partition begins as.
    ///
    /// # Safety
    ///
    /// No other partition may have this brand.
    #[expect(unsafe_code, reason = "who makes a partition promises that its brand is its own")]
    pub const unsafe fn new() -> Self {
        // SAFETY: promised by the caller.
        let (threads, heap) = unsafe { (Threads::new(), Heap::new()) };
        Self {
            threads,
            sessions: Sessions::new(),
            shm: SharedMemory::new(),
            shm_cache: ShmCache::new(),
            heap,
            secrets: Mutex::new(Secrets::new()),
            rivals: Rivals::new(),
            apart: heap::apart(),
        }
    }

    /// Gives the yielding calls under way.
    #[inline(always)]
    pub fn threads(&self) -> &Threads<'p> {
        &self.threads
    }

    /// Gives the open sessions.
    #[inline(always)]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Gives the registered shared memory.
    #[inline(always)]
    pub fn shm(&self) -> &SharedMemory<'p> {
        &self.shm
    }

    /// Gives the memory for RPC messages that is kept between calls.
    #[inline(always)]
    pub fn shm_cache(&self) -> &ShmCache {
        &self.shm_cache
    }

    /// Gives the memory for what has no fixed size.
    #[inline(always)]
    pub fn heap(&self) -> &Heap<'p> {
        &self.heap
    }

    /// Gives the VM's secrets.
    #[inline(always)]
    pub fn secrets(&self) -> &Mutex<Secrets> {
        &self.secrets
    }

    /// Gives what the self-test has the VM's calls compete for.
    #[inline(always)]
    pub fn rivals(&self) -> &Rivals {
        &self.rivals
    }

    /// Counts how often calls of the VM waited for each other's locks here.
    pub fn lock_waits(&self) -> u32 {
        let locks = [
            self.threads.waits(),
            self.sessions.waits(),
            self.shm.waits(),
            self.shm_cache.waits(),
            self.heap.waits(),
            self.secrets.waits(),
            self.rivals.numbers.waits(),
        ];
        locks.map(Waits::get).iter().fold(0, |sum, waits| sum.wrapping_add(*waits))
    }

    /// Initialises what needs more than constants. Once, with the partition selected, before its first yielding call.
    pub(crate) fn start(&self, first_heap: Memory<'p>) -> Result<(), Damaged> {
        self.heap.add(first_heap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_for_any_lock_of_the_partition_is_counted() {
        #[expect(unsafe_code, reason = "there is no other partition")]
        // SAFETY: nobody else has the brand.
        let partition = Box::new(unsafe { Partition::new() });
        partition.threads.waits().count();
        partition.sessions.waits().count();
        partition.shm.waits().count();
        partition.shm_cache.waits().count();
        partition.heap.waits().count();
        assert_eq!(partition.lock_waits(), 5);
        partition.secrets.waits().count();
        partition.rivals.numbers.waits().count();
        assert_eq!(partition.lock_waits(), 7);
    }
}
