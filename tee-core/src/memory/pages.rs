// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pool of secure pages that partitions are made of.
#![expect(unsafe_code, reason = "says whose memory is whose")]

use heapless::Vec;
use shared_abi::layout::TEE;

/// Bytes of a page.
pub const PAGE_SIZE: usize = 4096;
/// Pages of the TEE's whole memory, its image included.
const PAGES: usize = TEE.size as usize / PAGE_SIZE;

/// A secure page, and the right to it: a value of this type is its only owner, since it can be neither copied nor made
/// up outside this module.
///
/// ```compile_fail,E0277
/// fn copy<T: Clone>() {}
/// copy::<tee_core::memory::pages::Page>();
/// ```
///
/// ```compile_fail,E0133
/// # use tee_core::memory::pages::PagePool;
/// fn again(pool: &mut PagePool, used: u64) {
///     pool.add(used, used + 0x1000);
/// }
/// ```
///
/// ```compile_fail,E0133
/// # use tee_core::memory::pages::Page;
/// fn pretend(page: &mut Page) {
///     page.mark_clean();
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Page(u16);

impl Page {
    /// Set while the page may hold what its last owner left.
    const DIRTY: u16 = 1 << 15;

    const fn index(&self) -> u16 {
        self.0 & !Self::DIRTY
    }

    /// Returns the physical address of its first byte.
    pub const fn pa(&self) -> u64 {
        TEE.base + self.index() as u64 * PAGE_SIZE as u64
    }

    /// Says whether it must be scrubbed before a new owner sees it.
    pub const fn is_dirty(&self) -> bool {
        self.0 & Self::DIRTY != 0
    }

    /// Marks it as one whose bytes are zero.
    ///
    /// # Safety
    ///
    /// They must be.
    pub unsafe fn mark_clean(&mut self) {
        self.0 &= !Self::DIRTY;
    }

    /// Marks it as one that somebody writes to from now on.
    pub fn mark_dirty(&mut self) {
        self.0 |= Self::DIRTY;
    }
}

/// There are not enough pages left.
#[derive(Debug, PartialEq, Eq)]
pub struct Exhausted;

/// The free pages: a stack, so that taking and giving cost the same whatever is in use.
pub struct PagePool {
    free: Vec<Page, PAGES, u16>,
}

impl PagePool {
    /// Makes a pool without pages.
    pub const fn new() -> Self {
        Self { free: Vec::new() }
    }

    /// Makes the memory `[from, to)` the pool's. Its contents are unknown, so the pages are dirty. What lies outside
    /// the TEE's memory is left out.
    ///
    /// # Safety
    ///
    /// Nobody may use the memory, or ever add it again.
    pub unsafe fn add(&mut self, from: u64, to: u64) {
        let page = |pa: u64| (pa.clamp(TEE.base, TEE.end()) - TEE.base).div_ceil(PAGE_SIZE as u64) as u16;
        let last = to & !(PAGE_SIZE as u64 - 1);
        // Highest first: pages are then handed out in rising order.
        for index in (page(from)..page(last)).rev() {
            if self.free.push(Page(index | Page::DIRTY)).is_err() {
                return;
            }
        }
    }

    /// Counts the pages that are free.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Moves `count` pages to their new owner, all or none.
    pub fn take<const N: usize>(&mut self, count: usize, owner: &mut Vec<Page, N, u16>) -> Result<(), Exhausted> {
        if self.free.len() < count || N - owner.len() < count {
            return Err(Exhausted);
        }
        for _ in 0..count {
            if let Some(page) = self.free.pop() {
                // There is room: checked above.
                let _ = owner.push(page);
            }
        }
        Ok(())
    }

    /// Takes pages back. The last ones given are the first ones taken again.
    pub fn give<const N: usize>(&mut self, owner: &mut Vec<Page, N, u16>) {
        while let Some(page) = owner.pop() {
            // There is room: the pool once held every page there is.
            let _ = self.free.push(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_free_or_has_one_owner() {
        let mut pool = PagePool::new();
        // SAFETY: nobody looks into the pages.
        unsafe { pool.add(TEE.base + 0x1800, TEE.base + 0x5000) };
        assert_eq!(pool.free(), 3);
        let (mut a, mut b) = (Vec::<Page, 8, u16>::new(), Vec::<Page, 8, u16>::new());
        pool.take(2, &mut a).unwrap();
        assert_eq!(pool.take(2, &mut b), Err(Exhausted));
        assert_eq!((pool.free(), b.len()), (1, 0));
        pool.take(1, &mut b).unwrap();
        assert!(a.iter().all(|page| !b.contains(page) && page.is_dirty()));
        pool.give(&mut a);
        pool.give(&mut b);
        assert_eq!(pool.free(), 3);
    }

    #[test]
    fn a_scrubbed_page_is_handed_out_clean() {
        let mut pool = PagePool::new();
        // SAFETY: nobody looks into the pages.
        unsafe { pool.add(TEE.base, TEE.base + 0x1000) };
        let mut owner = Vec::<Page, 1, u16>::new();
        pool.take(1, &mut owner).unwrap();
        // SAFETY: as above.
        unsafe { owner[0].mark_clean() };
        pool.give(&mut owner);
        pool.take(1, &mut owner).unwrap();
        assert!(!owner[0].is_dirty());
        assert_eq!(owner[0].pa(), TEE.base);
    }

    #[test]
    fn memory_outside_the_tees_never_enters_the_pool() {
        let mut pool = PagePool::new();
        // SAFETY: nobody looks into the pages.
        unsafe { pool.add(0, u64::MAX) };
        assert_eq!(pool.free(), PAGES);
    }
}
