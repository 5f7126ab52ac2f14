// SPDX-License-Identifier: MIT OR Apache-2.0
//! A buddy allocator on numbers alone: which block `buddy_system_allocator` would give, without any memory behind it.

use std::collections::VecDeque;

/// As in the TEE: blocks of less than two to this power bytes.
const ORDER: usize = 22;

/// A block: its address and the bytes that were asked for.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    at: usize,
    bytes: usize,
}

/// What the statistics pseudo-TA tells.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub allocated: usize,
    pub max_allocated: usize,
    pub size: usize,
    pub failures: u32,
    pub biggest_failure: usize,
    pub biggest_failure_used: usize,
}

/// A partition's heap.
#[derive(Default)]
pub struct Heap {
    /// Free blocks of each power of two, the one freed last in front.
    free: [VecDeque<usize>; ORDER],
    pub figures: Figures,
}

fn class(bytes: usize) -> usize {
    bytes.next_power_of_two().max(size_of::<usize>()).trailing_zeros() as usize
}

impl Heap {
    /// Adds memory, cut into the largest aligned powers of two.
    pub fn add(&mut self, from: usize, len: usize) {
        let mut at = from;
        while at < from + len {
            let order = at.trailing_zeros().min((from + len - at).ilog2()) as usize;
            self.free[order].push_front(at);
            at += 1 << order;
        }
        self.figures.size += len;
    }

    pub fn allocate(&mut self, bytes: usize) -> Option<Block> {
        let class = class(bytes);
        let Some(found) = (class..ORDER).find(|order| !self.free[*order].is_empty()) else {
            let figures = &mut self.figures;
            figures.failures += 1;
            if bytes > figures.biggest_failure {
                (figures.biggest_failure, figures.biggest_failure_used) = (bytes, figures.allocated);
            }
            return None;
        };
        let at = self.free[found].pop_front()?;
        for order in (class..found).rev() {
            self.free[order].push_front(at + (1 << order));
        }
        self.figures.allocated += 1 << class;
        self.figures.max_allocated = self.figures.max_allocated.max(self.figures.allocated);
        Some(Block { at, bytes })
    }

    pub fn free(&mut self, block: Block) {
        let mut order = class(block.bytes);
        self.figures.allocated -= 1 << order;
        let mut at = block.at;
        while let Some(place) = self.free[order].iter().position(|other| *other == at ^ (1 << order)) {
            self.free[order].remove(place);
            at &= !(1 << order);
            order += 1;
        }
        self.free[order].push_front(at);
    }

    /// Starts the peaks anew.
    pub fn reset_peaks(&mut self) {
        let Figures { allocated, size, .. } = self.figures;
        self.figures = Figures { allocated, size, max_allocated: allocated, ..Figures::default() };
    }
}
