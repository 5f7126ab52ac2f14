// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::trace::Event;
use crate::trace::tape::Tape;

const POOL: usize = 0x1_0000;

/// What a VM's partition is to the pool: the head in its data, and its heap.
struct Memory {
    set: Box<Poolset>,
    heap: Box<[u128]>,
}

impl Memory {
    /// Pristine data, and zeroed memory for the heap.
    fn new() -> Self {
        let mut set = Box::new(Poolset::pristine(0));
        let at = (&raw mut *set).expose_provenance();
        *set = Poolset::pristine(at);
        Self { set, heap: vec![0; POOL / 16].into_boxed_slice() }
    }

    fn started() -> Self {
        let mut memory = Self::new();
        assert_eq!(memory.start(), Ok(()));
        memory
    }

    fn start(&mut self) -> Result<(), Damaged> {
        let base = self.heap.as_mut_ptr().expose_provenance();
        // SAFETY: the memory is this pool's and lives as long.
        unsafe { bpool(&raw mut *self.set, base, POOL) }
    }

    fn get(&mut self, size: usize) -> Option<NonNull<u8>> {
        // SAFETY: the heap is there.
        let block = unsafe { bget(&raw mut *self.set, size) }?;
        // SAFETY: it has so many bytes, and they are nobody else's.
        unsafe { block.write_bytes(0xA5, size) };
        Some(block)
    }

    fn free(&mut self, block: NonNull<u8>) {
        // SAFETY: the tests free what they allocated, once.
        unsafe { brel(&raw mut *self.set, block) };
    }

    /// Sizes of the free blocks, in the list's order; both directions must agree.
    fn list(&mut self) -> Vec<usize> {
        let list = (&raw mut *self.set).cast::<Block>();
        let mut sizes = Vec::new();
        // SAFETY: the list is one: that is checked as it is followed.
        unsafe {
            let mut block = (*list).ql.flink;
            while block != list {
                assert_eq!((*(*block).ql.flink).ql.blink, block);
                sizes.push((*block).head.size as usize);
                block = (*block).ql.flink;
            }
        }
        sizes
    }

    fn damage(&mut self) -> Option<&'static str> {
        // SAFETY: all that the head can point to lives as long as the memory.
        unsafe { broken((&raw mut *self.set).cast()) }
    }
}

#[test]
fn a_pristine_head_points_to_itself() {
    let mut memory = Memory::new();
    assert_eq!(memory.list(), []);
    assert_eq!(memory.damage(), None);
    assert_eq!(memory.get(1), None);
}

#[test]
fn what_is_freed_in_any_order_is_one_block_again() {
    let all = POOL - HEAD;
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let mut memory = Memory::started();
        assert_eq!(memory.list(), [all]);
        let blocks: Vec<_> = [1, 100, 4096, 33].map(|size| memory.get(size).unwrap()).into();
        assert_eq!(memory.set.allocated(), 32 + 128 + 4112 + 64);
        for n in order {
            memory.free(blocks[n]);
        }
        assert_eq!(memory.list(), [all], "{order:?}");
        assert_eq!(memory.set.allocated(), 0);
    }
}

#[test]
fn blocks_do_not_overlap_and_are_aligned() {
    let mut memory = Memory::started();
    let mut blocks = Vec::new();
    while let Some(block) = memory.get(200) {
        blocks.push(block.addr().get());
    }
    assert_eq!(blocks.len(), (POOL - HEAD) / 224);
    blocks.sort_unstable();
    assert!(blocks.iter().all(|at| at % QUANTUM == 0));
    assert!(blocks.windows(2).all(|pair| pair[1] - pair[0] >= 200));
}

#[test]
fn the_last_block_goes_whole_and_leaves_the_list_empty() {
    let mut memory = Memory::started();
    assert_eq!(memory.get(POOL), None);
    assert_eq!(memory.get(usize::MAX), None);
    let block = memory.get(POOL - 2 * HEAD).unwrap();
    assert_eq!(memory.list(), []);
    assert_eq!(memory.damage(), None);
    memory.free(block);
    assert_eq!(memory.list(), [POOL - HEAD]);
}

#[test]
fn a_second_pool_is_used_when_the_first_one_is_full() {
    let mut memory = Memory::started();
    let more = Box::leak(vec![0u128; POOL / 16].into_boxed_slice());
    // SAFETY: the memory was leaked for this pool.
    unsafe { bpool(&raw mut *memory.set, more.as_mut_ptr().expose_provenance(), POOL) }.unwrap();
    let first = memory.get(POOL - 2 * HEAD).unwrap();
    let second = memory.get(POOL / 2).unwrap();
    assert!(second.addr().get().wrapping_sub(more.as_ptr().addr()) < POOL);
    memory.free(first);
    memory.free(second);
    assert_eq!(memory.list().len(), 2);
}

#[test]
fn random_use_leaves_nothing_behind() {
    let mut memory = Memory::started();
    let mut blocks: Vec<(NonNull<u8>, usize)> = Vec::new();
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for round in 0..20_000 {
        if blocks.is_empty() || random(5) < 3 {
            let size = 1 + random(3000);
            if let Some(block) = memory.get(size) {
                // SAFETY: the block is ours and has so many bytes.
                unsafe { block.write_bytes(round as u8, size) };
                blocks.push((block, size));
            }
        } else {
            let (block, size) = blocks.swap_remove(random(blocks.len()));
            // SAFETY: as above; it was filled with one value.
            let bytes = unsafe { core::slice::from_raw_parts(block.as_ptr(), size) };
            assert!(bytes.iter().all(|byte| *byte == bytes[0]));
            memory.free(block);
        }
    }
    blocks.drain(..).for_each(|(block, _)| memory.free(block));
    assert_eq!((memory.list(), memory.set.allocated()), (vec![POOL - HEAD], 0));
}

/// The report in small: the same addresses hold first VM 0's data and heap, then a copy of that data and VM 1's heap.
fn second_vm() -> Memory {
    let mut memory = Memory::started();
    memory.heap.fill(0);
    memory
}

#[test]
fn a_head_that_was_copied_in_use_points_into_a_heap_that_knows_nothing_of_it() {
    let mut memory = second_vm();
    assert_eq!(memory.damage(), Some("poolset->freelist.ql.blink->ql.flink == &poolset->freelist"));
}

#[test]
#[cfg(not(feature = "fallible-pool"))]
#[should_panic = "assertion 'poolset->freelist.ql.blink->ql.flink == &poolset->freelist' failed at"]
fn it_is_the_reports_assertion_that_fails() {
    let _ = second_vm().start();
}

#[test]
#[cfg(feature = "fallible-pool")]
fn a_fallible_pool_says_so() {
    assert_eq!(second_vm().start(), Err(Damaged));
}

#[test]
#[should_panic = "assertion 'b->bh.bsize < 0' failed at"]
fn a_block_is_not_freed_twice() {
    let mut memory = Memory::started();
    let (block, _next) = (memory.get(64).unwrap(), memory.get(64));
    memory.free(block);
    memory.free(block);
}

/// Lists the blocks that [`tell`] tells of: index, address, size.
fn told(memory: &mut Memory) -> Vec<(u8, u64, u64)> {
    let tape = Tape::begin();
    let heap = memory.heap.as_mut_ptr().expose_provenance();
    // SAFETY: the heap is there.
    unsafe { tell(&raw mut *memory.set, heap..heap + POOL) };
    let blocks = tape.take().into_iter().map(|(_, event)| match event {
        Event::FreeBlock { index, address, size, .. } => (index, address, size),
        other => panic!("{other:?}"),
    });
    blocks.collect()
}

#[test]
fn a_list_is_told_as_it_stands_and_no_further_than_what_is_known() {
    let mut memory = Memory::started();
    let head = (&raw mut *memory.set).addr() as u64;
    let first = memory.heap.as_ptr().addr() as u64;
    let sizes = memory.list();
    assert_eq!(told(&mut memory), [(0, head, 0), (1, first, sizes[0] as u64)]);

    // The head of one pool before the memory of another: the report's second VM.
    let mut dirty = Memory::new();
    let links = Links { flink: dirty.heap.as_mut_ptr().cast(), blink: dirty.heap.as_mut_ptr().cast() };
    dirty.set.freelist.ql = links;
    let heap = dirty.heap.as_ptr().addr() as u64;
    let head = (&raw mut *dirty.set).addr() as u64;
    assert_eq!(told(&mut dirty), [(0, head, 0), (1, heap, 0)]);

    dirty.set.freelist.ql.flink = without_provenance_mut(POOL);
    assert_eq!(told(&mut dirty), [(0, head, 0), (1, heap, 0)], "what the last link leads to");
    dirty.set.freelist.ql.blink = without_provenance_mut(usize::MAX - 15);
    assert_eq!(told(&mut dirty), [(0, head, 0)]);
}
