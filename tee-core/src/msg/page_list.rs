//! Lists of pages (`OPTEE_MSG_ATTR_NONCONTIG`).

use super::buffer::{Buffer, Listed};
use crate::entry::call::Call;
use crate::nexus::pages::PAGE_SIZE;
use shared_abi::optee_msg::{PageList, pages_of};
use shared_abi::tee::TeeResult;

/// Pages a buffer may have: 8 MiB. The bound is also what ends a list that loops.
pub const MAX_PAGES: u64 = 2048;

/// Addresses that are copied out of a list at a time.
const AT_ONCE: usize = 32;

/// Copies the list at `buf_ptr` and checks every page of it, and the list's own pages too, to be non-secure RAM. The
/// low bits of `buf_ptr` say where in its first page the buffer starts.
pub fn fetch<'a>(call: &Call<'a>, buf_ptr: u64, size: u64) -> Result<Listed<'a>, TeeResult> {
    let bad = TeeResult::BAD_PARAMETERS;
    let page_mask = PAGE_SIZE as u64 - 1;
    let offset = buf_ptr & page_mask;
    let count = pages_of(offset, size).filter(|count| (1..=MAX_PAGES).contains(count) && size != 0).ok_or(bad)?;
    let count = count as usize;
    let frames = call.allocate::<u32>(count)?;
    let mut block = frames.into_block().ok_or(bad)?;
    let filled = fill(call, buf_ptr & !page_mask, block.as_mut_slice());
    let frames = crate::heap::OwnedBlock::new(&call.partition.heap, block);
    filled?;
    Ok(Listed { frames, offset: offset as usize, len: size as usize })
}

fn fill(call: &Call<'_>, first: u64, frames: &mut [u32]) -> Result<(), TeeResult> {
    let bad = TeeResult::BAD_PARAMETERS;
    let ram = call.tee.ns_ram();
    let mut list_at = first;
    let mut lists = frames.chunks_mut(PageList::ENTRIES).peekable();
    while let Some(list) = lists.next() {
        if !list_at.is_multiple_of(PAGE_SIZE as u64) {
            return Err(bad);
        }
        let page = Buffer::contiguous(ram.claim(list_at, PAGE_SIZE as u64).ok_or(bad)?);
        let mut at = 0;
        for part in list.chunks_mut(AT_ONCE) {
            let copy = page.allege::<[u64; AT_ONCE]>(at).map_err(|_| bad)?.copy_out(call.tee).map_err(|_| bad)?;
            for (frame, pa) in part.iter_mut().zip(copy) {
                let number = u32::try_from(pa / PAGE_SIZE as u64).map_err(|_| bad)?;
                if pa % PAGE_SIZE as u64 != 0 || ram.claim(pa, PAGE_SIZE as u64).is_none() {
                    return Err(bad);
                }
                *frame = number;
            }
            at += size_of_val(&copy);
        }
        if lists.peek().is_some() {
            let next = core::mem::offset_of!(PageList, next);
            list_at = page.allege(next).map_err(|_| bad)?.copy_out(call.tee).map_err(|_| bad)?;
        }
    }
    Ok(())
}
