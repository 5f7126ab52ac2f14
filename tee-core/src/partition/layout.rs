// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a partition's parts stand in its own address range, in pages from the range's first.
//!
//! The range is the same for every VM. Between the parts stand pages that are never mapped: a thread that runs off its
//! stack meets one of them.

use super::Partition;
#[cfg(not(target_os = "none"))]
use crate::arch::host::window::Shape;
use crate::arch::tables::BASE;
use crate::memory::pages::PAGE_SIZE;
use shared_abi::layout::TEE;

/// Threads of a partition: yielding calls that can be under way at a time.
pub const THREADS: usize = 4;
/// Pages of a thread's stack.
const STACK_PAGES: usize = 2;
/// Pages of the [`Partition`] itself.
pub const STRUCT_PAGES: usize = size_of::<Partition<'_>>().div_ceil(PAGE_SIZE);
/// Pages of the heap that every partition is guaranteed.
pub const HEAP_PAGES: usize = 16;

/// The partition's struct, after one guard page.
pub const STRUCT: usize = 1;
/// Where every partition's struct stands.
pub const ADDRESS: usize = BASE + STRUCT * PAGE_SIZE;
const _: () = assert!(ADDRESS.is_multiple_of(PAGE_SIZE));
/// The first stack; every stack has a guard page below it.
const STACKS: usize = STRUCT + STRUCT_PAGES + 1;
/// The heap, at a multiple of its guaranteed size, which makes it one block of the buddy allocator.
pub const HEAP: usize = (STACKS + THREADS * (STACK_PAGES + 1)).next_multiple_of(HEAP_PAGES);
const _: () = assert!(HEAP - HEAP_PAGES < stack_top(THREADS - 1), "it is the first one behind the stacks");

/// Pages a partition is made of and guaranteed: its translation table, its struct, its stacks, its first heap.
pub const GUARANTEED: usize = 1 + STRUCT_PAGES + THREADS * STACK_PAGES + HEAP_PAGES;
/// Pages a partition may have after growing: 288 KiB. With 48 VMs all of them can.
pub const QUOTA: usize = 72;
/// Pages by which a heap grows at least.
pub const GROWTH: usize = 4;
/// Pages the heap's range has room for.
pub const HEAP_MAX: usize = HEAP_PAGES + QUOTA - GUARANTEED;

/// One translation table of level 3 maps it all.
const _: () = assert!(HEAP + HEAP_MAX <= 512 && GUARANTEED < QUOTA);
/// What a VM is granted, and that 48 of them have it beside the largest image.
const _: () = assert!(QUOTA * PAGE_SIZE <= 288 << 10 && 48 * QUOTA * PAGE_SIZE + (384 << 10) <= TEE.size as usize);

/// What the fake machine is told of it. Its struct is zero at first.
#[cfg(not(target_os = "none"))]
pub const SHAPE: Shape = Shape { pages: HEAP + HEAP_MAX, zero: STRUCT + STRUCT_PAGES };

/// Returns the page number of the end of thread `n`'s stack, where its stack pointer starts.
pub const fn stack_top(n: usize) -> usize {
    STACKS + n * (STACK_PAGES + 1) + STACK_PAGES
}

/// Lists the page numbers that are mapped from the start, in the order in which a new partition's pages are used for
/// them.
pub fn initial() -> impl Iterator<Item = usize> {
    let stacks = (0..THREADS).flat_map(|n| stack_top(n) - STACK_PAGES..stack_top(n));
    (STRUCT..STRUCT + STRUCT_PAGES).chain(stacks).chain(HEAP..HEAP + HEAP_PAGES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_guaranteed_page_has_its_own_place() {
        let places: HashSet<_> = initial().collect();
        assert_eq!(places.len(), GUARANTEED - 1, "all but the table's page are mapped");
        for n in 0..THREADS {
            assert!(!places.contains(&(stack_top(n) - STACK_PAGES - 1)), "guard page of stack {n}");
        }
        assert!(!places.contains(&0));
    }
}
