// SPDX-License-Identifier: MIT OR Apache-2.0
//! A yielding call under way, as those see it who work for it.

pub mod page_list;
pub mod resolve;
pub mod rpc;

use crate::heap::{Block, Damaged, OwnedBlock};
use crate::memory::pages::PAGE_SIZE;
use crate::msg::buffer::Buffer;
use crate::nexus::current::Inside;
use crate::nexus::tee::Tee;
use crate::partition::Partition;
use crate::partition::layout::GROWTH;
use crate::partition::mutex::Sleeper;
use crate::partition::shm_cache::RpcMemory;
use crate::partition::threads::ThreadId;
use crate::trace::refused;
use core::cell::Cell;
use shared_abi::optee_smc::{Rpc, to_halves};
use shared_abi::tee::TeeResult;
use zerocopy::FromZeros;

/// A call.
pub struct Call<'c, 'p> {
    inside: Inside<'p>,
    /// Where the RPC's message stands, if the caller brought memory for it.
    supplied: Option<(&'c Buffer<'p>, usize)>,
    /// Memory for the RPC's message that was asked for.
    allocated: Cell<Option<RpcMemory>>,
}

impl<'c, 'p> Call<'c, 'p> {
    /// Begins one. `supplied` is where the RPC's message stands, if the caller brought memory for it.
    pub fn new(inside: Inside<'p>, supplied: Option<(&'c Buffer<'p>, usize)>) -> Self {
        // What was kept stays kept when the caller brought memory.
        let kept = if supplied.is_none() { inside.partition().shm_cache().take(inside.thread()) } else { None };
        Self { inside, supplied, allocated: Cell::new(kept) }
    }

    /// Gives the TEE.
    #[inline(always)]
    pub fn tee(&self) -> &'p Tee {
        self.inside.tee()
    }

    /// Gives the caller's partition.
    #[inline(always)]
    pub fn partition(&self) -> &'p Partition<'p> {
        self.inside.partition()
    }

    /// Allocates `len` zeroes from the partition's heap, which grows for it if it can.
    pub fn allocate<T: FromZeros>(&self, len: usize) -> Result<OwnedBlock<'p, T>, TeeResult> {
        let heap = self.partition().heap();
        let block: Result<Block<'p, T>, _> = heap.allocate(len).or_else(|exhausted| {
            // The allocator's blocks are powers of two; one that is as large as what is added stands in it for sure
            // only if it is at most half of it.
            let bytes = len.checked_mul(size_of::<T>()).and_then(usize::checked_next_power_of_two);
            let pages = bytes.unwrap_or(usize::MAX).div_ceil(PAGE_SIZE).saturating_mul(2).max(GROWTH);
            let Some(memory) = self.tee().grow(&self.inside, pages) else { return Err(exhausted) };
            heap.add(memory).map_err(|Damaged| exhausted)?;
            heap.allocate(len)
        });
        Ok(OwnedBlock::new(
            heap,
            block
                .map_err(|_| refused!(NoMemory, len.saturating_mul(size_of::<T>()) as u64, TeeResult::OUT_OF_MEMORY))?,
        ))
    }

    /// Counts how often calls of the VM waited: for its own locks, and for those that all VMs share.
    pub fn lock_waits(&self) -> (u32, u32) {
        self.inside.lock_waits()
    }

    /// Asks the normal world something: suspends the thread until the answer is there.
    fn ask(&self, rpc: Rpc, value: u64) -> [u64; 4] {
        let (high, low) = match rpc {
            // A size, not a cookie: it stands in x1 alone.
            Rpc::Alloc => (value, 0),
            _ => to_halves(value),
        };
        self.inside.ask([rpc.x0(), high, low])
    }

    /// Ends the call: memory for RPC messages is kept or given back.
    pub fn finish(&self) {
        if let Some(memory) = self.allocated.take()
            && let Err(memory) = self.partition().shm_cache().keep(self.thread(), memory)
        {
            self.ask(Rpc::Free, memory.cookie);
        }
    }
}

impl Sleeper for Call<'_, '_> {
    fn thread(&self) -> ThreadId {
        self.inside.thread()
    }

    fn sleep(&self, thread: ThreadId) -> Result<(), TeeResult> {
        self.sleep_on(thread as u64)
    }

    fn wake(&self, thread: ThreadId) {
        // A normal world that does not deliver this keeps its own call asleep.
        let _ = self.wake_on(thread as u64);
    }
}
