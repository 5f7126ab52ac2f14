// SPDX-License-Identifier: MIT OR Apache-2.0
//! The monitor's stacks, one for each CPU.

use core::cell::UnsafeCell;
use shared_abi::layout::{self, MAX_CPUS, Range};

/// The monitor's stack on each CPU. Handlers nest no deeper than one call and one log line.
pub const SIZE: usize = 4096;

/// Every CPU's stack, lowest index first.
#[repr(C, align(4096))]
pub(super) struct Stacks(UnsafeCell<[[u8; SIZE]; MAX_CPUS]>);

// SAFETY: each CPU uses its own stack, by its stack pointer alone.
unsafe impl Sync for Stacks {}

/// See [`Stacks`].
#[unsafe(link_section = ".pages.stacks")]
pub(super) static STACKS: Stacks = Stacks(UnsafeCell::new([[0; SIZE]; MAX_CPUS]));

/// Where the handlers have the stacks, each above a page that is not mapped: a handler that runs off its own meets that
/// and not the next CPU's. Of this part of the address space the runtime maps nothing else; it shares a table with the
/// runtime's own memory.
const GUARDED: u64 = 0x0E18_0000;
const _: () = assert!(GUARDED >> 21 == layout::MONITOR_RUNTIME.base >> 21 && SIZE.is_multiple_of(4096));

/// Says where the handlers of a CPU have their stack.
pub fn guarded(index: usize) -> Range {
    Range::new(GUARDED + (2 * index as u64 + 1) * SIZE as u64, SIZE as u64)
}

/// Lists where the guarded stacks are, and the memory of each.
pub fn all_guarded() -> [(Range, u64); MAX_CPUS] {
    core::array::from_fn(|index| (guarded(index), (STACKS.0.get().addr() + index * SIZE) as u64))
}
