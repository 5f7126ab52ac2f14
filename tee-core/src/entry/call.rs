//! A yielding call under way, as those see it who work for it.

use super::yielding::ask;
use crate::heap::{Block, OwnedBlock};
use crate::msg::buffer::Buffer;
use crate::nexus::pages::PAGE_SIZE;
use crate::nexus::vms::SlotIndex;
use crate::partition::Partition;
use crate::partition::layout::GROWTH;
use crate::partition::shm_cache::RpcMemory;
use crate::partition::threads::ThreadId;
use crate::tee::Tee;
use crate::trace::refused;
use core::cell::Cell;
use shared_abi::optee_smc::Rpc;
use shared_abi::tee::TeeResult;
use zerocopy::FromZeros;

/// A call.
pub struct Call<'a> {
    /// The TEE.
    pub tee: &'a Tee,
    /// The caller's partition.
    pub partition: &'a Partition,
    /// The thread the call runs on.
    pub thread: ThreadId,
    slot: SlotIndex,
    /// Where the RPC's message stands, if the caller brought memory for it.
    pub(super) supplied: Option<(&'a Buffer<'a>, usize)>,
    /// Memory for the RPC's message that was asked for.
    pub(super) allocated: Cell<Option<RpcMemory>>,
}

impl<'a> Call<'a> {
    pub(super) fn new(
        tee: &'a Tee,
        partition: &'a Partition,
        slot: SlotIndex,
        thread: ThreadId,
        supplied: Option<(&'a Buffer<'a>, usize)>,
    ) -> Self {
        // What was kept stays kept when the caller brought memory.
        let kept = if supplied.is_none() { partition.shm_cache.take(thread) } else { None };
        Self { tee, partition, thread, slot, supplied, allocated: Cell::new(kept) }
    }

    /// `len` zeroes from the partition's heap, which grows for it if it can.
    pub fn allocate<T: FromZeros>(&self, len: usize) -> Result<OwnedBlock<'a, T>, TeeResult> {
        let heap = &self.partition.heap;
        let block: Result<Block<T>, _> = heap.allocate(len).or_else(|exhausted| {
            // The allocator's blocks are powers of two; one that is as large as what is added stands in it for sure
            // only if it is at most half of it.
            let bytes = len.checked_mul(size_of::<T>()).and_then(usize::checked_next_power_of_two);
            let pages = bytes.unwrap_or(usize::MAX).div_ceil(PAGE_SIZE).saturating_mul(2).max(GROWTH);
            heap.add(self.tee.grow(self.slot, pages).ok_or(exhausted)?);
            heap.allocate(len)
        });
        Ok(OwnedBlock::new(
            heap,
            block
                .map_err(|_| refused!(NoMemory, len.saturating_mul(size_of::<T>()) as u64, TeeResult::OUT_OF_MEMORY))?,
        ))
    }

    /// How often calls of the VM waited for a lock: of its own, and of those that all VMs share. The latter lets a VM count what it
    /// could also time: that another was at the shared tables in the same moment.
    pub fn lock_waits(&self) -> (u32, u32) {
        let slot = self.tee.vms.slot(self.slot);
        let own = slot.state.waits().get().wrapping_add(self.partition.lock_waits());
        (own, slot.shared_waits.get())
    }

    /// The end of the call: memory for RPC messages is kept or given back.
    pub(super) fn finish(&self) {
        if let Some(memory) = self.allocated.take()
            && let Err(memory) = self.partition.shm_cache.keep(self.thread, memory)
        {
            ask(Rpc::Free, memory.cookie);
        }
    }
}
