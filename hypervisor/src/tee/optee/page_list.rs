// SPDX-License-Identifier: MIT OR Apache-2.0
//! Page lists: from the guest's, of IPAs, to a shadow list of physical addresses.
//!
//! The format is `OPTEE_MSG_ATTR_NONCONTIG`'s: pages of 511 addresses, the last word being the address of the next such
//! page. A buffer that the guest gave as one contiguous range becomes a list as well, because what is contiguous for
//! the guest need not be so in the machine.

use crate::address::{Ipa, PAGE_SIZE, Pa};
use crate::memory::GuestMemory;
use crate::tee::optee::buffer::{MAX_PINNED_PAGES, MESSAGE_PAGES};
use crate::tee::optee::shadow::{LIST_PAGES, ListPages, ShadowPage, WORDS};
use crate::trace::memory::Pieces;
use crate::trace::{Client, ON, refuse};
use core::sync::atomic::{AtomicU64, Ordering};
use shared_abi::optee_msg::{PageList, pages_of};
use shared_abi::tee::TeeResult;
use shared_abi::trace::Refusal;

/// Most pages of one buffer: as many as all buffers of the VM can have. A page costs some twenty instructions, so the
/// largest list is checked in 330,000; and all lists of a call together come out of the VM's
/// [`LIST_PAGES`], so that no call costs more than a half of that besides.
pub const MAX_BUFFER_PAGES: usize = MAX_PINNED_PAGES;

/// Most pages of a list.
pub const MAX_LIST_PAGES: usize = MAX_BUFFER_PAGES.div_ceil(PageList::ENTRIES);

/// A buffer as the guest describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alleged {
    /// The first byte, or the page list with the first byte's offset in its page.
    pub buf_ptr: u64,
    /// Bytes.
    pub size: u64,
    /// Which of both `buf_ptr` is.
    pub noncontig: bool,
}

/// A buffer of which every page is the VM's RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translated {
    /// The shadow list, with the first byte's offset: what `buf_ptr` is to be for the TEE.
    pub buf_ptr: Pa,
    /// Pages of the buffer.
    pub pages: usize,
    /// The first of them, as the guest knows them.
    pub first: [Ipa; MESSAGE_PAGES],
}

/// Where shadow lists come from.
pub struct ShadowLists<'a> {
    /// The pages.
    pub pages: &'static [ShadowPage; LIST_PAGES],
    /// Which of them are free.
    pub free: &'a mut ListPages,
    /// Which of them the call has.
    pub held: &'a mut ListPages,
    /// Whose call it is, for the trace.
    pub client: Client,
}

impl ShadowLists<'_> {
    fn take(&mut self) -> Result<&'static ShadowPage, TeeResult> {
        self.held
            .take_from(self.free)
            .and_then(|index| self.pages.get(index))
            .ok_or_else(|| refuse(self.client, Refusal::Full, LIST_PAGES as u64, TeeResult::OUT_OF_MEMORY))
    }
}

/// Makes the shadow list of a buffer, from pages that the call then holds, also if it fails.
pub fn translate<M: GuestMemory + ?Sized>(
    alleged: Alleged,
    memory: &M,
    lists: &mut ShadowLists<'_>,
) -> Result<Translated, TeeResult> {
    let client = lists.client;
    let offset = alleged.buf_ptr % PAGE_SIZE;
    let pages = match pages_of(offset, alleged.size).filter(|_| alleged.size != 0) {
        None | Some(0) => return Err(refuse(client, Refusal::BadParameter, alleged.size, TeeResult::BAD_PARAMETERS)),
        Some(pages) if pages > MAX_BUFFER_PAGES as u64 => {
            return Err(refuse(client, Refusal::NoMemory, alleged.size, TeeResult::OUT_OF_MEMORY));
        }
        Some(pages) => pages as usize,
    };
    let start = Ipa(alleged.buf_ptr).page();
    let bad_list = |error| refuse(client, Refusal::BadAddress, start.0, error);
    let mut source = if alleged.noncontig {
        Source::List(GuestList::new(start, memory).map_err(bad_list)?)
    } else {
        Source::Range(Some(start))
    };
    let head = lists.take()?;
    let mut shadow = ShadowList { page: head, used: 0 };
    let mut first = [Ipa(0); MESSAGE_PAGES];
    for n in 0..pages {
        let ipa = source.next(memory).map_err(bad_list)?;
        let nobodys = || refuse(client, Refusal::BadAddress, ipa.0, TeeResult::BAD_PARAMETERS);
        let pa = memory.page(ipa).ok_or_else(nobodys)?;
        shadow.push(pa, lists)?;
        if let Some(slot) = first.get_mut(n) {
            *slot = ipa;
        }
    }
    Ok(Translated { buf_ptr: Pa(head.pa().0 | offset), pages, first })
}

impl Translated {
    /// Returns the buffer's pieces, for the trace: from the shadow list, before the TEE gets it.
    pub fn pieces<M: GuestMemory + ?Sized>(&self, pages: &'static [ShadowPage; LIST_PAGES], memory: &M) -> Pieces {
        let mut pieces = Pieces::NONE;
        if !ON {
            return pieces;
        }
        let named = |pa: Pa| pages.iter().find(|page| page.pa() == pa).map(ShadowPage::words);
        let mut list = named(self.buf_ptr.page());
        let mut left = self.pages;
        while let Some(words) = list.filter(|_| left != 0) {
            for word in words.iter().take(left.min(PageList::ENTRIES)) {
                let pa = Pa(word.load(Ordering::Relaxed));
                pieces.push(memory.ipa(pa).unwrap_or(Ipa(0)), pa);
            }
            left = left.saturating_sub(PageList::ENTRIES);
            list = named(Pa(words[PageList::ENTRIES].load(Ordering::Relaxed)));
        }
        pieces
    }
}

/// Where the pages of an alleged buffer are.
enum Source<'m> {
    /// They follow each other; the next one, unless that is beyond all addresses.
    Range(Option<Ipa>),
    /// In a list.
    List(GuestList<'m>),
}

impl<'m> Source<'m> {
    fn next<M: GuestMemory + ?Sized>(&mut self, memory: &'m M) -> Result<Ipa, TeeResult> {
        match self {
            Self::Range(next) => {
                let ipa = next.ok_or(TeeResult::BAD_PARAMETERS)?;
                *next = ipa.checked_add(PAGE_SIZE);
                Ok(ipa)
            }
            Self::List(list) => list.next(memory),
        }
    }
}

/// A reader of the guest's list. It reads each word once. One that comes back to itself is but a list that names pages
/// several times: the buffer's size ends it.
struct GuestList<'m> {
    words: &'m [AtomicU64],
    at: usize,
}

impl<'m> GuestList<'m> {
    fn new<M: GuestMemory + ?Sized>(page: Ipa, memory: &'m M) -> Result<Self, TeeResult> {
        if !page.is_aligned(PAGE_SIZE) {
            return Err(TeeResult::BAD_PARAMETERS);
        }
        Ok(Self { words: memory.words(page, WORDS).ok_or(TeeResult::BAD_PARAMETERS)?, at: 0 })
    }

    fn next<M: GuestMemory + ?Sized>(&mut self, memory: &'m M) -> Result<Ipa, TeeResult> {
        if self.at == PageList::ENTRIES {
            let next = self.read()?;
            *self = Self::new(next, memory)?;
        }
        let ipa = self.read()?;
        if ipa.is_aligned(PAGE_SIZE) { Ok(ipa) } else { Err(TeeResult::BAD_PARAMETERS) }
    }

    fn read(&mut self) -> Result<Ipa, TeeResult> {
        let word = self.words.get(self.at).ok_or(TeeResult::BAD_PARAMETERS)?;
        self.at += 1;
        Ok(Ipa(word.load(Ordering::Relaxed)))
    }
}

/// A writer of the TEE's list.
struct ShadowList {
    page: &'static ShadowPage,
    used: usize,
}

impl ShadowList {
    fn push(&mut self, pa: Pa, lists: &mut ShadowLists<'_>) -> Result<(), TeeResult> {
        if self.used == PageList::ENTRIES {
            let next = lists.take()?;
            self.write(next.pa());
            *self = Self { page: next, used: 0 };
        }
        self.write(pa);
        Ok(())
    }

    fn write(&mut self, pa: Pa) {
        if let Some(word) = self.page.words().get(self.used) {
            word.store(pa.0, Ordering::Relaxed);
            self.used += 1;
        }
    }
}
