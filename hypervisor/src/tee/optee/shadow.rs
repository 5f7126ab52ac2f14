// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory that the TEE reads instead of the guest's.

use crate::address::{PAGE_SIZE, Pa};
use crate::arch::one_per_machine;
use crate::lock::{self, Lock};
use crate::tee::optee::call::MAX_CALLS;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use shared_abi::layout::Range;
use zerocopy::FromZeros;

/// 64-bit words in a page.
pub const WORDS: usize = PAGE_SIZE as usize / size_of::<u64>();

/// Pages for page lists. The largest buffer takes [`MAX_LIST_PAGES`](crate::tee::optee::page_list::MAX_LIST_PAGES), 33,
/// and four of Linux's largest ones of 4 MiB take 12: this is one of the former beside some ordinary ones. A list lives
/// as long as its call; with the messages they make 64 pages, 256 KiB for each VM.
pub const LIST_PAGES: usize = 48;

/// One page of non-secure memory that no guest has mapped.
///
/// The words are atomic because the TEE reads and writes them too, on its own and on other CPUs. Relaxed accesses are
/// enough: a page is handed over by the SMC on the same CPU, and by the VM's lock between CPUs.
#[derive(FromZeros)]
#[repr(C, align(4096))]
pub struct ShadowPage([AtomicU64; WORDS]);

impl ShadowPage {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; WORDS])
    }

    /// Returns the page's physical address: its own address, because the hypervisor maps its memory one to one.
    pub fn pa(&self) -> Pa {
        Pa(core::ptr::from_ref(self).addr() as u64)
    }

    /// Returns the words, for whoever reads or writes a part of them.
    pub fn words(&self) -> &[AtomicU64; WORDS] {
        &self.0
    }

    /// Writes zeroes over `count` words from word `from` on, or up to the end of the page.
    pub fn clear(&self, from: usize, count: usize) {
        for word in self.0.iter().skip(from).take(count) {
            word.store(0, Ordering::Relaxed);
        }
    }
}

/// The shadow pages of one VM.
///
/// The hypervisor gives each VM that uses the TEE one of these, in zeroed non-secure memory that it maps one to one,
/// cacheable and inner shareable (as the TEE does), and that no stage 2 maps.
#[derive(FromZeros)]
#[repr(C)]
pub struct Shadow {
    /// A message for each call that can be under way.
    pub(super) messages: [ShadowPage; MAX_CALLS],
    /// A message for each RPC memory that the TEE can ask for: one for each call.
    pub(super) rpc_messages: [ShadowPage; MAX_CALLS],
    /// Page lists.
    pub(super) lists: [ShadowPage; LIST_PAGES],
}

impl Shadow {
    /// Takes pages that nobody uses, all zero, if there are any or the heap has room for them.
    ///
    /// They never go back to the heap, but to [those](Self::give_back) that the next VM gets. So a reference to them is
    /// good for ever, whatever the trusted OS does with their addresses.
    pub fn take() -> Option<&'static Self> {
        if let Some(unused) = unused().lock().pop() {
            unused.pages().for_each(|page| page.clear(0, WORDS));
            return Some(unused);
        }
        // They are far larger than a stack.
        Self::new_box_zeroed().ok().map(|new| &*Box::leak(new))
    }

    /// Gives them back: nobody uses them any more.
    pub fn give_back(&'static self) {
        unused().lock().push(self);
    }

    /// Makes one whose pages are all zero.
    pub const fn new() -> Self {
        Self {
            messages: [const { ShadowPage::new() }; MAX_CALLS],
            rpc_messages: [const { ShadowPage::new() }; MAX_CALLS],
            lists: [const { ShadowPage::new() }; LIST_PAGES],
        }
    }
}

impl Shadow {
    /// Returns all of the pages.
    pub fn pages(&self) -> impl Iterator<Item = &ShadowPage> {
        self.messages.iter().chain(&self.rpc_messages).chain(&self.lists)
    }

    /// Says where the pages are.
    pub fn range(&self) -> Range {
        Range::new(core::ptr::from_ref(self).addr() as u64, size_of::<Self>() as u64)
    }
}

one_per_machine! {
    /// Returns the shadow pages of VMs that are gone.
    fn unused() -> &'static Lock<Vec<&'static Shadow>, { lock::TEE }> = Lock::new(Vec::new());
}

/// Which list pages are free, or which ones somebody holds: a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPages(u64);

const _: () = assert!(LIST_PAGES < u64::BITS as usize);

impl ListPages {
    /// None.
    pub const NONE: Self = Self(0);
    /// All of a VM's.
    pub const ALL: Self = Self((1 << LIST_PAGES) - 1);

    /// Moves one page from `free` to `self`; `None` if there is none.
    pub fn take_from(&mut self, free: &mut Self) -> Option<usize> {
        let index = free.0.trailing_zeros();
        if index == u64::BITS {
            return None;
        }
        free.0 &= !(1 << index);
        self.0 |= 1 << index;
        Some(index as usize)
    }

    /// Gives all pages back to `free`.
    pub fn give_back(&mut self, free: &mut Self) {
        free.0 |= self.0;
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_taken_again_with_nothing_in_them() {
        let first = Shadow::take().unwrap();
        let second = Shadow::take().unwrap();
        for page in first.pages() {
            page.words().iter().for_each(|word| word.store(7, Ordering::Relaxed));
        }
        let range = first.range();
        assert!(!range.overlaps(&second.range()));
        first.give_back();
        let again = Shadow::take().unwrap();
        assert_eq!(again.range(), range);
        assert!(again.pages().flat_map(ShadowPage::words).all(|word| word.load(Ordering::Relaxed) == 0));
        assert!(!Shadow::take().unwrap().range().overlaps(&range));
    }
}
