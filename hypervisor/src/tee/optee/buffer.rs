// SPDX-License-Identifier: MIT OR Apache-2.0
//! The buffers that a VM shares with the TEE for longer than one call.

use crate::address::{Ipa, PAGE_SIZE};
use crate::tee::optee::page_list::Translated;
use crate::trace::memory::Pieces;
use crate::trace::{Client, ON, record};
use alloc::vec::Vec;
use shared_abi::optee_msg::pages_of;
use shared_abi::tee::TeeResult;
use shared_abi::trace::{Event, Owner, Refusal};

/// Most pages of all buffers of a VM, 64 MiB (Xen's mediator: the same). The TEE has a record of every page: this
/// bounds what one VM makes it keep.
pub const MAX_PINNED_PAGES: usize = 16384;

/// Most buffers of a VM at a time (Xen's mediator: 16): one for each 64 KiB of the most that all of them can have,
/// which makes a table of 32 KiB.
pub const MAX_BUFFERS: usize = 1024;

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
    /// The guest registered it, and the mediator is about to end that: it cannot be used any more.
    Leaving,
}

/// One buffer.
#[derive(Clone, Copy, Debug)]
struct Buffer {
    cookie: u64,
    /// Numbers of its first pages.
    first: [u32; MESSAGE_PAGES],
    size: u32,
    /// Offset of the first byte in the first page.
    offset: u16,
    kind: Kind,
    /// It is older than the driver that now speaks for the VM, and that has not spoken of it.
    earlier: bool,
    /// For the trace.
    pieces: Pieces,
}

const _: () = assert!(size_of::<Buffer>() == 32 + size_of::<Pieces>());

impl Buffer {
    /// Says how many pages it has.
    fn pages(&self) -> usize {
        pages_of(self.offset.into(), self.size.into()).map_or(0, |pages| pages as usize)
    }

    /// Returns the event of its registration.
    fn registered(&self) -> Event {
        Event::ShmRegister { cookie: self.cookie, pages: self.pages() as u64, first: self.pieces.first() }
    }
}

/// Why a buffer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// For the trace.
    pub reason: Refusal,
    /// What is refused.
    pub value: u64,
    /// What the guest is told.
    pub result: TeeResult,
    /// What an earlier driver left is in the way.
    pub crowded: bool,
}

/// The buffers of a VM, by their cookies.
///
/// The pages of a buffer that stands here are *pinned*: the TEE may write to them at any time. Nothing takes memory
/// away from a VM that lives, and when it dies `VM_DESTROYED` comes first, so the count of pinned pages is all that is
/// kept.
///
/// A kernel that is replaced by another one (kexec) leaves its buffers registered, as Linux does; how they go says
/// `reclaim.rs`.
pub struct Buffers {
    /// In the order of their cookies; it never grows beyond what it began with.
    list: Vec<Buffer>,
    pinned: usize,
    /// Whose they are, for the trace.
    client: Client,
}

impl Buffers {
    /// Bytes of heap for one VM's.
    pub const HEAP: usize = (size_of::<Buffer>() * MAX_BUFFERS).next_power_of_two();

    /// Makes a table of no buffers of a client, with room for all that it may have. `None` if there is no memory for
    /// that.
    pub fn new(client: Client) -> Option<Self> {
        let mut list = Vec::new();
        list.try_reserve_exact(MAX_BUFFERS).ok()?;
        Some(Self { list, pinned: 0, client })
    }

    /// Forgets all buffers.
    pub fn clear(&mut self) {
        self.list.clear();
        self.pinned = 0;
    }

    /// Returns how many pages the TEE may write to at any time.
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
    ) -> Result<(), NoRoom> {
        let place = match self.place_of(cookie) {
            Ok(at) => {
                let (reason, result) = (Refusal::InUse, TeeResult::BAD_PARAMETERS);
                return Err(NoRoom { reason, value: cookie, result, crowded: self.list[at].can_leave() });
            }
            Err(place) => place,
        };
        let no_room = |reason, value| {
            let crowded = self.list.iter().any(Buffer::can_leave);
            NoRoom { reason, value, result: TeeResult::OUT_OF_MEMORY, crowded }
        };
        let pinned = self.pinned.saturating_add(buffer.pages);
        let size = u32::try_from(size).ok().filter(|_| pinned <= MAX_PINNED_PAGES);
        let size = size.ok_or_else(|| no_room(Refusal::NoMemory, pinned as u64))?;
        if self.list.len() == MAX_BUFFERS {
            return Err(no_room(Refusal::Full, cookie));
        }
        let offset = buffer.buf_ptr.offset() as u16;
        // 44 bits of address: more than any VM has.
        let first = buffer.first.map(|page| (page.0 / PAGE_SIZE) as u32);
        let entry = Buffer { cookie, first, size, offset, kind, earlier: false, pieces };
        self.list.insert(place, entry);
        self.pinned = pinned;
        // From here on the TEE may use it, whether the guest may yet or not.
        pieces.record(self.client, Owner::Shared);
        if kind == Kind::Allocated {
            record(self.client, || entry.registered());
        }
        Ok(())
    }

    /// Takes up a buffer that was being registered and that the TEE has accepted.
    pub fn registered(&mut self, cookie: u64) {
        let client = self.client;
        if let Some(buffer) = self.find(cookie) {
            buffer.kind = Kind::Registered;
            record(client, || buffer.registered());
        }
    }

    /// Forgets a buffer, if it is of one of these kinds.
    pub fn remove(&mut self, cookie: u64, kinds: &[Kind]) {
        if let Ok(at) = self.place_of(cookie)
            && kinds.contains(&self.list[at].kind)
        {
            let buffer = self.list.remove(at);
            self.pinned -= buffer.pages();
            self.trace_removal(&buffer);
        }
    }

    /// Says whether `size` bytes from `offset` on lie in the buffer of this cookie, which the guest has spoken of now.
    pub fn covers(&mut self, cookie: u64, offset: u64, size: u64) -> bool {
        let covers = |buffer: &mut Buffer| offset.checked_add(size).is_some_and(|end| end <= buffer.size.into());
        self.usable(cookie).is_some_and(covers)
    }

    /// Says where a message at `offset` of a buffer begins, and how many bytes of its page from there on are the
    /// buffer's.
    pub fn place(&mut self, cookie: u64, offset: u64) -> Option<(Ipa, u64)> {
        let buffer = self.usable(cookie)?;
        let left = u64::from(buffer.size).checked_sub(offset).filter(|left| *left != 0)?;
        let at = offset.checked_add(u64::from(buffer.offset))?;
        // As there is a byte left, the page is the buffer's.
        let page = *buffer.first.get((at / PAGE_SIZE) as usize)?;
        let in_page = at % PAGE_SIZE;
        Some((Ipa(u64::from(page) * PAGE_SIZE + in_page), left.min(PAGE_SIZE - in_page)))
    }

    /// Begins anew for another driver, which speaks for the VM from now on: what is registered is an earlier one's,
    /// until it speaks of it.
    pub fn begin_anew(&mut self) {
        self.list.iter_mut().for_each(|buffer| buffer.earlier = true);
    }

    /// Finds an earlier driver's buffer that could go, if it is none of these: its cookie.
    pub fn earlier(&self, but: impl Fn(u64) -> bool) -> Option<u64> {
        self.list.iter().find(|buffer| buffer.can_leave() && !but(buffer.cookie)).map(|buffer| buffer.cookie)
    }

    /// Takes a buffer out of use: nobody can use it from now on.
    pub fn leaves(&mut self, cookie: u64) {
        if let Some(buffer) = self.find(cookie) {
            buffer.kind = Kind::Leaving;
        }
    }

    /// Keeps a buffer that was about to go; for good, if the TEE will not let go of it.
    pub fn stays(&mut self, cookie: u64, for_good: bool) {
        if let Some(buffer) = self.find(cookie).filter(|buffer| buffer.kind == Kind::Leaving) {
            buffer.kind = Kind::Registered;
            buffer.earlier = !for_good;
        }
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

    fn place_of(&self, cookie: u64) -> Result<usize, usize> {
        self.list.binary_search_by_key(&cookie, |buffer| buffer.cookie)
    }

    fn find(&mut self, cookie: u64) -> Option<&mut Buffer> {
        let at = self.place_of(cookie).ok()?;
        self.list.get_mut(at)
    }

    /// Finds the buffer of this cookie, if it can be used: whoever names it is the driver that it belongs to.
    fn usable(&mut self, cookie: u64) -> Option<&mut Buffer> {
        let buffer = self.find(cookie).filter(|buffer| matches!(buffer.kind, Kind::Registered | Kind::Allocated))?;
        buffer.earlier = false;
        Some(buffer)
    }
}

impl Buffer {
    /// Says whether it is an earlier driver's, and the TEE could forget it. What the TEE asked for is its own to free.
    fn can_leave(&self) -> bool {
        self.earlier && self.kind == Kind::Registered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vms_table_fits_into_what_is_set_aside_for_it() {
        let buffers = Buffers::new(Client::HYPERVISOR).unwrap();
        let table = buffers.list.capacity() * size_of::<Buffer>();
        // The allocator's blocks are powers of two.
        assert!(table <= Buffers::HEAP && Buffers::HEAP.is_power_of_two());
    }
}
