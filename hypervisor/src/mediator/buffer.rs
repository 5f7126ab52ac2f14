//! The buffers that a VM shares with the TEE for longer than one call.

use crate::address::{Ipa, PAGE_SIZE};
use crate::mediator::page_list::Translated;
use crate::trace::memory::Pieces;
use crate::trace::{Client, ON, record, refuse};
use heapless::Vec;
use shared_abi::tee::TeeResult;
use shared_abi::trace::{Event, Owner, Refusal};

/// Most buffers of a VM at a time. Xen's mediator allows 16, which OP-TEE's own test suite fits into; a Linux guest with
/// several clients has some more.
pub const MAX_BUFFERS: usize = 32;

/// Most pages of all of them, 64 MiB (Xen's mediator: the same). The TEE has a record of every page: this bounds what
/// one VM makes it keep.
pub const MAX_PINNED_PAGES: usize = 16384;

/// How many pages at the start of a buffer can hold messages of `CALL_WITH_REGD_ARG`. The mediator reads messages by
/// their IPA, which it keeps for these pages only; Linux keeps its messages in buffers of one page.
pub const MESSAGE_PAGES: usize = 4;

/// How the TEE came to know a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The guest is registering it: it cannot be used yet.
    Registering,
    /// The guest registered it.
    Registered,
    /// The guest gave it because the TEE asked for memory.
    Allocated,
}

/// One buffer.
#[derive(Clone, Copy, Debug)]
struct Buffer {
    cookie: u64,
    kind: Kind,
    /// Offset of the first byte in the first page.
    offset: u16,
    pages: u16,
    size: u64,
    first: [Ipa; MESSAGE_PAGES],
    /// For the trace.
    pieces: Pieces,
}

impl Buffer {
    /// The event of its registration.
    fn registered(&self) -> Event {
        Event::ShmRegister { cookie: self.cookie, pages: self.pages.into(), first: self.pieces.first() }
    }
}

/// The buffers of a VM, by their cookies.
///
/// The pages of a buffer that stands here are *pinned*: the TEE may write to them at any time. Nothing takes memory away
/// from a VM that lives, and when it dies `VM_DESTROYED` comes first, so the count of pinned pages is all that is kept.
pub struct Buffers {
    list: Vec<Buffer, MAX_BUFFERS>,
    pinned: usize,
    /// Whose they are, for the trace.
    client: Client,
}

impl Buffers {
    /// No buffers of a client.
    pub const fn new(client: Client) -> Self {
        Self { list: Vec::new(), pinned: 0, client }
    }

    /// Forgets all buffers.
    pub fn clear(&mut self) {
        self.list.clear();
        self.pinned = 0;
    }

    /// Pages that the TEE may write to at any time.
    pub fn pinned(&self) -> usize {
        self.pinned
    }

    /// Adds a buffer. A cookie names one buffer at a time.
    pub fn add(
        &mut self,
        cookie: u64,
        kind: Kind,
        size: u64,
        buffer: &Translated,
        pieces: Pieces,
    ) -> Result<(), TeeResult> {
        if self.find(cookie).is_some() {
            return Err(refuse(self.client, Refusal::InUse, cookie, TeeResult::BAD_PARAMETERS));
        }
        let pinned = self.pinned.saturating_add(buffer.pages);
        if pinned > MAX_PINNED_PAGES {
            return Err(refuse(self.client, Refusal::NoMemory, pinned as u64, TeeResult::OUT_OF_MEMORY));
        }
        let offset = buffer.buf_ptr.offset() as u16;
        let (pages, first) = (buffer.pages as u16, buffer.first);
        let entry = Buffer { cookie, kind, offset, size, pages, first, pieces };
        let full = |_| refuse(self.client, Refusal::Full, cookie, TeeResult::OUT_OF_MEMORY);
        self.list.push(entry).map_err(full)?;
        self.pinned = pinned;
        // From here on the TEE may use it, whether the guest may yet or not.
        pieces.record(self.client, Owner::Shared);
        if kind == Kind::Allocated {
            record(self.client, || entry.registered());
        }
        Ok(())
    }

    /// The TEE has accepted a buffer that was being registered.
    pub fn registered(&mut self, cookie: u64) {
        if let Some(buffer) = self.list.iter_mut().find(|buffer| buffer.cookie == cookie) {
            buffer.kind = Kind::Registered;
            record(self.client, || buffer.registered());
        }
    }

    /// Forgets a buffer, if it is of one of these kinds.
    pub fn remove(&mut self, cookie: u64, kinds: &[Kind]) {
        let found = self.list.iter().position(|buffer| buffer.cookie == cookie && kinds.contains(&buffer.kind));
        if let Some(index) = found {
            let buffer = self.list.swap_remove(index);
            self.pinned -= usize::from(buffer.pages);
            self.trace_removal(&buffer);
        }
    }

    /// Whether `size` bytes from `offset` on lie in the buffer of this cookie.
    pub fn covers(&self, cookie: u64, offset: u64, size: u64) -> bool {
        self.usable(cookie).is_some_and(|buffer| offset.checked_add(size).is_some_and(|end| end <= buffer.size))
    }

    /// Where a message at `offset` of a buffer begins, and how many bytes of its page from there on are the buffer's.
    pub fn place(&self, cookie: u64, offset: u64) -> Option<(Ipa, u64)> {
        let buffer = self.usable(cookie)?;
        let left = buffer.size.checked_sub(offset)?;
        let at = offset.checked_add(u64::from(buffer.offset))?;
        let page = buffer.first.get(..usize::from(buffer.pages).min(MESSAGE_PAGES))?.get((at / PAGE_SIZE) as usize)?;
        let in_page = at % PAGE_SIZE;
        Some((page.checked_add(in_page)?, left.min(PAGE_SIZE - in_page)))
    }

    /// Whether the guest is registering the buffer of this cookie: the TEE may know it by now, or not yet.
    pub fn is_registering(&self, cookie: u64) -> bool {
        self.find(cookie).is_some_and(|buffer| buffer.kind == Kind::Registering)
    }

    /// Records that a buffer is the VM's alone again, but for what another one shares of it.
    #[inline(always)]
    fn trace_removal(&self, gone: &Buffer) {
        if !ON {
            return;
        }
        if gone.kind != Kind::Registering {
            record(self.client, || Event::ShmUnregister { cookie: gone.cookie });
        }
        gone.pieces.record(self.client, Owner::Vm);
        for buffer in self.list.iter().filter(|buffer| buffer.pieces.overlap(&gone.pieces)) {
            buffer.pieces.record(self.client, Owner::Shared);
        }
    }

    fn find(&self, cookie: u64) -> Option<&Buffer> {
        self.list.iter().find(|buffer| buffer.cookie == cookie)
    }

    fn usable(&self, cookie: u64) -> Option<&Buffer> {
        self.find(cookie).filter(|buffer| buffer.kind != Kind::Registering)
    }
}
