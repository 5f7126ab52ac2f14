// SPDX-License-Identifier: MIT OR Apache-2.0
//! A pool of memory after John Walker's BGET, the allocator of the report's TEE.
//!
//! Blocks carry boundary tags: each begins with its own size and, if the block before it is free, that one's, so that a
//! block that is freed finds both of its neighbours. Free blocks are in a doubly linked list, whose head is in the
//! [`Poolset`] and points to itself when the list is empty.
#![expect(unsafe_code, reason = "an allocator: it writes its tags into the memory that it hands out")]

use super::assertion;
use core::ptr::{NonNull, without_provenance_mut};

/// Sizes and addresses of blocks are multiples of it.
const QUANTUM: usize = 16;
/// Bytes of a block's tags.
const HEAD: usize = size_of::<Head>();
/// Bytes of the smallest block that is worth keeping: a free one holds the list's links.
const SMALLEST: usize = size_of::<Block>();
/// The size that ends a pool.
const END: isize = isize::MIN;

/// What every block begins with.
#[repr(C)]
struct Head {
    /// Size of the block before this one if that is free, else 0.
    prev_free: usize,
    /// Size of this block, tags included; negative while it is allocated.
    size: isize,
}

/// Neighbours in the list.
#[repr(C)]
struct Links {
    flink: *mut Block,
    blink: *mut Block,
}

/// A free block. The list's head is one as well, of no size.
#[repr(C)]
struct Block {
    head: Head,
    ql: Links,
}

/// The pool's state: BGET's globals.
#[repr(C)]
pub struct Poolset {
    freelist: Block,
    allocated: usize,
}

/// The list is not one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

impl Poolset {
    /// Makes a pool without memory that will stand at address `at`: its list is empty.
    pub(crate) const fn pristine(at: usize) -> Self {
        let itself = without_provenance_mut(at);
        let freelist = Block { head: Head { prev_free: 0, size: 0 }, ql: Links { flink: itself, blink: itself } };
        Self { freelist, allocated: 0 }
    }

    /// Counts the bytes that are allocated, tags included.
    pub(crate) const fn allocated(&self) -> usize {
        self.allocated
    }
}

/// Finds the report's assertion that does not hold for the list's head.
///
/// # Safety
///
/// The head must point into memory that is mapped.
unsafe fn broken(list: *mut Block) -> Option<&'static str> {
    // SAFETY: promised by the caller.
    let (before, after) = unsafe { ((*(*list).ql.blink).ql.flink, (*(*list).ql.flink).ql.blink) };
    if before != list {
        Some("poolset->freelist.ql.blink->ql.flink == &poolset->freelist")
    } else if after != list {
        Some("poolset->freelist.ql.flink->ql.blink == &poolset->freelist")
    } else {
        None
    }
}

/// Gives the pool `len` bytes from `base`.
///
/// # Errors
///
/// With the feature `fallible-pool`, if the list is not one; nothing was changed then. Without, that is an assertion.
///
/// # Safety
///
/// The memory must be readable and writable, stay so, and be used by nothing else. Nobody else may use the pool now.
pub(crate) unsafe fn bpool(set: *mut Poolset, base: usize, len: usize) -> Result<(), Damaged> {
    let list = set.cast::<Block>();
    // SAFETY: that the head points into memory is what this TEE believes without reason.
    if let Some(assertion) = unsafe { broken(list) } {
        if cfg!(feature = "fallible-pool") {
            return Err(Damaged);
        }
        assertion::failed(assertion, line!(), "bpool");
    }
    let start = base.next_multiple_of(QUANTUM);
    let size = (base.saturating_add(len).saturating_sub(start) & !(QUANTUM - 1)).saturating_sub(HEAD);
    if size < SMALLEST {
        return Ok(());
    }
    let block = start as *mut Block;
    // SAFETY: both tags are in the memory that was given.
    unsafe {
        (*block).head = Head { prev_free: 0, size: size as isize };
        next(block, size).write(Head { prev_free: size, size: END });
        append(list, block);
    }
    Ok(())
}

/// Allocates `size` bytes: of the first block that is large enough the end, or all of it if too little would be left.
///
/// # Safety
///
/// The pool's memory must be mapped. Nobody else may use the pool now.
pub(crate) unsafe fn bget(set: *mut Poolset, size: usize) -> Option<NonNull<u8>> {
    let size = size.max(SMALLEST - HEAD).checked_next_multiple_of(QUANTUM)?.checked_add(HEAD)?;
    let list = set.cast::<Block>();
    // SAFETY: blocks in the list are free, and between their tags lies nobody's memory.
    unsafe {
        let mut block = (*list).ql.flink;
        while block != list {
            let has = (*block).head.size as usize;
            if has >= size {
                let rest = has - size;
                let (taken, size) = if rest >= SMALLEST {
                    (*block).head.size = rest as isize;
                    let taken = next(block, rest);
                    (*taken).prev_free = rest;
                    (taken, size)
                } else {
                    unlink(block);
                    (block.cast(), has)
                };
                (*taken).size = -(size as isize);
                (*next(taken.cast(), size)).prev_free = 0;
                (*set).allocated += size;
                return NonNull::new(taken.add(1).cast());
            }
            block = (*block).ql.flink;
        }
    }
    None
}

/// Takes back what [`bget`] gave, and joins it with its neighbours that are free.
///
/// # Safety
///
/// `start` must come from [`bget`] of this pool, once. The pool's memory must be mapped. Nobody else may use the pool
/// now.
pub(crate) unsafe fn brel(set: *mut Poolset, start: NonNull<u8>) {
    let list = set.cast::<Block>();
    // SAFETY: before the memory stand its tags, after it those of the next block or of the end.
    unsafe {
        let mut block = start.cast::<Head>().as_ptr().sub(1).cast::<Block>();
        let mut size = (*block).head.size.unsigned_abs();
        if (*block).head.size >= 0 {
            assertion::failed("b->bh.bsize < 0", line!(), "brel");
        }
        (*set).allocated -= size;
        let before = (*block).head.prev_free;
        if before != 0 {
            block = block.cast::<u8>().sub(before).cast();
            size += before;
        } else {
            append(list, block);
        }
        let after = next(block, size);
        if (*after).size > 0 {
            unlink(after.cast());
            size += (*after).size as usize;
        }
        (*block).head.size = size as isize;
        (*next(block, size)).prev_free = size;
    }
}

/// Finds the tags `size` bytes after those of `block`.
fn next(block: *mut Block, size: usize) -> *mut Head {
    block.cast::<u8>().wrapping_add(size).cast()
}

/// Tells of the list as it stands, whatever it is: its head, what the links forward lead to, what the last link
/// backward leads to. Nothing outside `known` is looked at.
///
/// # Safety
///
/// `known` must be mapped. Nobody else may use the pool now.
pub(crate) unsafe fn tell(set: *mut Poolset, known: core::ops::Range<usize>) {
    /// More are no picture, and the list may be a ring that the head isn't in.
    const MOST: u8 = 16;
    let list = set.cast::<Block>();
    let is_known = |block: *mut Block| {
        let at = block.addr();
        block.is_aligned() && at >= known.start && at.checked_add(SMALLEST).is_some_and(|end| end <= known.end)
    };
    let tell = |index: u8, block: *mut Block| {
        // SAFETY: the head, or known; promised by the caller.
        let Block { head, ql } = unsafe { block.read() };
        let (next, previous) = (ql.flink.addr() as u64, ql.blink.addr() as u64);
        crate::trace::event!(FreeBlock {
            index,
            address: block.addr() as u64,
            size: head.size.max(0) as u64,
            next,
            previous
        });
        ql
    };
    let first = tell(0, list);
    let (mut index, mut block, mut last) = (1, first.flink, list);
    while block != list && is_known(block) && index < MOST {
        last = block;
        block = tell(index, block).flink;
        index += 1;
    }
    if first.blink != last && first.blink != list && is_known(first.blink) {
        tell(index, first.blink);
    }
}

/// Makes a block the list's last one.
///
/// # Safety
///
/// The list must be one, and the block free.
unsafe fn append(list: *mut Block, block: *mut Block) {
    // SAFETY: promised by the caller.
    unsafe {
        (*block).ql = Links { flink: list, blink: (*list).ql.blink };
        (*(*list).ql.blink).ql.flink = block;
        (*list).ql.blink = block;
    }
}

/// Takes a block out of its list.
///
/// # Safety
///
/// It must be in one.
unsafe fn unlink(block: *mut Block) {
    // SAFETY: promised by the caller.
    unsafe {
        let Links { flink, blink } = (*block).ql;
        (*blink).ql.flink = flink;
        (*flink).ql.blink = blink;
    }
}

#[cfg(test)]
mod tests;
