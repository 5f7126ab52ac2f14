// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory for RPC messages that the normal world allocated and lets the TEE keep (ENABLE_SHM_CACHE).
//!
//! Without it, a call that comes without memory for RPC messages (CALL_WITH_ARG) allocates some for its first RPC and
//! frees it at its end: two more RPCs.

use super::layout::THREADS;
use super::threads::ThreadId;
use crate::memory::ns_ram::NsRange;
use crate::sync::{Lock, Waits};

/// Memory for one RPC message, and the normal world's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RpcMemory {
    /// Where it is.
    pub range: NsRange,
    /// Its cookie.
    pub cookie: u64,
}

struct State {
    enabled: bool,
    kept: [Option<RpcMemory>; THREADS],
}

/// One place for each thread.
pub struct ShmCache(Lock<State>);

impl ShmCache {
    /// Makes one that is empty and off.
    pub const fn new() -> Self {
        Self(Lock::new(State { enabled: false, kept: [None; THREADS] }))
    }

    /// Counts how often calls waited for the lock.
    pub fn waits(&self) -> &Waits {
        self.0.waits()
    }

    /// Allows memory to be kept.
    pub fn enable(&self) {
        self.0.with(|state| state.enabled = true);
    }

    /// Gives one back; `None` when none is left, and from then on none is kept.
    pub fn disable(&self) -> Option<RpcMemory> {
        self.0.with(|state| {
            let kept = state.kept.iter_mut().find_map(Option::take);
            state.enabled &= kept.is_some();
            kept
        })
    }

    /// Takes what the thread left here.
    pub fn take(&self, thread: ThreadId) -> Option<RpcMemory> {
        self.0.with(|state| state.kept[thread].take())
    }

    /// Leaves the thread's memory here for its next call. Handed back if nothing may be kept.
    pub fn keep(&self, thread: ThreadId, memory: RpcMemory) -> Result<(), RpcMemory> {
        self.0.with(|state| {
            if !state.enabled || state.kept[thread].is_some() {
                return Err(memory);
            }
            state.kept[thread] = Some(memory);
            Ok(())
        })
    }
}
