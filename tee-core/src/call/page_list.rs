// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists of pages (`OPTEE_MSG_ATTR_NONCONTIG`).

use super::Call;
use crate::heap::OwnedBlock;
use crate::memory::pages::PAGE_SIZE;
use crate::msg::buffer::{Buffer, Frames, Listed};
use crate::partition::shm::Registration;
use crate::trace::refused;
use heapless::Vec;
use shared_abi::optee_msg::{PageList, pages_of};
use shared_abi::tee::TeeResult;
use zerocopy::IntoBytes;

/// Pages a buffer may have, 64 MiB, as many as a hypervisor lets a VM share (Xen, ours); what a VM's heap has room for
/// is the other bound. This one is also what ends a list that loops.
pub const MAX_PAGES: u64 = 16384;

/// Addresses that are copied out of a list at a time.
const AT_ONCE: usize = 8;

/// A list as the normal world describes it, of a size that a buffer may have.
#[derive(Clone, Copy)]
struct Alleged {
    /// The list's first page.
    list: u64,
    /// Where in its first page the buffer starts.
    offset: usize,
    len: usize,
    /// Pages of the buffer.
    count: usize,
}

/// Copies the list at `buf_ptr` and checks every page of it, and the list's own pages too, to be non-secure RAM. The
/// low bits of `buf_ptr` say where in its first page the buffer starts.
pub fn fetch<'a>(call: &Call<'_, 'a>, buf_ptr: u64, size: u64) -> Result<Listed<'a>, TeeResult> {
    let alleged = Alleged::new(buf_ptr, size)?;
    let mut few = Vec::new();
    let frames = if few.resize_default(alleged.count).is_ok() {
        alleged.fill(call, &mut few)?;
        Frames::Few(few)
    } else {
        Frames::Many(alleged.allocate(call)?)
    };
    Ok(Listed::new(frames, alleged.offset, alleged.len))
}

/// Copies and checks a list as [`fetch`] does, for a buffer that stays.
pub fn fetch_to_keep<'p>(call: &Call<'_, 'p>, buf_ptr: u64, size: u64) -> Result<Registration<'p>, TeeResult> {
    let alleged = Alleged::new(buf_ptr, size)?;
    let frames = alleged.allocate(call)?.into_block().ok_or(TeeResult::BAD_PARAMETERS)?;
    Ok(Registration::new(frames, alleged.offset, alleged.len))
}

impl Alleged {
    fn new(buf_ptr: u64, size: u64) -> Result<Self, TeeResult> {
        let page_mask = PAGE_SIZE as u64 - 1;
        let offset = buf_ptr & page_mask;
        let count = pages_of(offset, size).filter(|count| (1..=MAX_PAGES).contains(count) && size != 0);
        let count = count.ok_or_else(|| refused!(BadParameter, size, TeeResult::BAD_PARAMETERS))? as usize;
        Ok(Self { list: buf_ptr & !page_mask, offset: offset as usize, len: size as usize, count })
    }

    fn allocate<'a>(&self, call: &Call<'_, 'a>) -> Result<OwnedBlock<'a, u32>, TeeResult> {
        let bad = TeeResult::BAD_PARAMETERS;
        let mut block = call.allocate::<u32>(self.count)?.into_block().ok_or(bad)?;
        let filled = self.fill(call, block.as_mut_slice());
        let frames = OwnedBlock::new(call.partition().heap(), block);
        filled?;
        Ok(frames)
    }

    /// Copies the list. Every address in it is read once, and checked as it was read.
    fn fill(&self, call: &Call<'_, '_>, frames: &mut [u32]) -> Result<(), TeeResult> {
        let bad = TeeResult::BAD_PARAMETERS;
        let tee = call.tee();
        let mut list_at = self.list;
        let mut lists = frames.chunks_mut(PageList::ENTRIES).peekable();
        while let Some(list) = lists.next() {
            if !list_at.is_multiple_of(PAGE_SIZE as u64) {
                return Err(refused!(BadAddress, list_at, bad));
            }
            let page = Buffer::contiguous(
                tee.claim(list_at, PAGE_SIZE as u64).ok_or_else(|| refused!(BadAddress, list_at, bad))?,
            );
            let mut at = 0;
            for part in list.chunks_mut(AT_ONCE) {
                let mut copy = [0u64; AT_ONCE];
                let copy = &mut copy[..part.len()];
                page.read(call.tee(), at, copy.as_mut_bytes()).map_err(|_| bad)?;
                for (frame, pa) in part.iter_mut().zip(copy.iter()) {
                    let number = u32::try_from(pa / PAGE_SIZE as u64).map_err(|_| refused!(BadAddress, *pa, bad))?;
                    if pa % PAGE_SIZE as u64 != 0 || tee.claim(*pa, PAGE_SIZE as u64).is_none() {
                        return Err(refused!(BadAddress, *pa, bad));
                    }
                    *frame = number;
                }
                at += size_of_val(copy);
            }
            if lists.peek().is_some() {
                let next = core::mem::offset_of!(PageList, next);
                list_at = page.allege(next).map_err(|_| bad)?.copy_out(call.tee()).map_err(|_| bad)?;
            }
        }
        Ok(())
    }
}
