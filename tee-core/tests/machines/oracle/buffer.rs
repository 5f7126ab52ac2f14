// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes of the normal world, however they are spread.

use super::call::Call;
use super::heap::Block;
use super::nexus::PAGE;
use std::rc::Rc;
use zerocopy::{FromBytes, IntoBytes};

/// Frames that are kept without memory from the heap.
pub const FEW: usize = 2;

#[derive(Clone)]
pub enum Memory {
    Null,
    Contiguous(u64),
    /// A list of a buffer that needs no more than [`FEW`] frames takes nothing from the heap.
    Listed {
        frames: Rc<[u32]>,
        block: Option<Block>,
        offset: usize,
    },
    Registered {
        cookie: u64,
        frames: Rc<[u32]>,
        offset: usize,
    },
}

/// A buffer. Who made it must end it by [`Call::release`].
#[derive(Clone)]
pub struct Buffer {
    pub memory: Memory,
    /// Where in the memory it starts.
    pub at: usize,
    pub len: usize,
}

/// The bytes are not in the buffer.
#[derive(Debug)]
pub struct Lost;

impl Buffer {
    pub fn contiguous(pa: u64, len: u64) -> Self {
        Self { memory: Memory::Contiguous(pa), at: 0, len: len as usize }
    }

    /// Address of the byte at `at`, and how many follow it.
    pub fn piece(&self, at: usize) -> Option<(u64, usize)> {
        let at = self.at + at;
        let (frames, offset) = match &self.memory {
            Memory::Null => return None,
            Memory::Contiguous(pa) => return Some((pa + at as u64, usize::MAX)),
            Memory::Listed { frames, offset, .. } | Memory::Registered { frames, offset, .. } => (frames, offset),
        };
        let (page, in_page) = ((offset + at) / PAGE as usize, (offset + at) % PAGE as usize);
        Some((u64::from(*frames.get(page)?) * PAGE + in_page as u64, PAGE as usize - in_page))
    }
}

impl Call {
    pub async fn read(&self, buffer: &Buffer, at: usize, into: &mut [u8]) -> Result<(), Lost> {
        if at.checked_add(into.len()).is_none_or(|end| end > buffer.len) {
            return Err(Lost);
        }
        let mut done = 0;
        while done < into.len() {
            let (pa, most) = buffer.piece(at + done).ok_or(Lost)?;
            let len = most.min(into.len() - done);
            self.world.touch(&self.signal).await;
            into[done..done + len].copy_from_slice(self.world.ram.borrow().bytes(pa, len));
            done += len;
        }
        Ok(())
    }

    pub async fn read_value<T: FromBytes + IntoBytes>(&self, buffer: &Buffer, at: usize) -> Result<T, Lost> {
        let mut value = T::new_zeroed();
        self.read(buffer, at, value.as_mut_bytes()).await?;
        Ok(value)
    }

    pub async fn write(&self, buffer: &Buffer, at: usize, bytes: &[u8]) -> Result<(), Lost> {
        if at.checked_add(bytes.len()).is_none_or(|end| end > buffer.len) {
            return Err(Lost);
        }
        let mut done = 0;
        while done < bytes.len() {
            let (pa, most) = buffer.piece(at + done).ok_or(Lost)?;
            let len = most.min(bytes.len() - done);
            self.world.touch(&self.signal).await;
            self.world.poke(pa, &bytes[done..done + len]);
            done += len;
        }
        Ok(())
    }

    /// Uses a registered buffer.
    pub fn enter(&self, cookie: u64) -> Option<Buffer> {
        let mut shm = self.vm.shm.borrow_mut();
        let record = shm.get_mut(&cookie)?;
        record.users += 1;
        let memory = Memory::Registered { cookie, frames: record.frames.clone(), offset: record.offset };
        Some(Buffer { memory, at: 0, len: record.len })
    }

    /// Ends a buffer.
    pub fn release(&self, buffer: Buffer) {
        match buffer.memory {
            Memory::Null | Memory::Contiguous(_) => {}
            Memory::Listed { block, .. } => block.into_iter().for_each(|block| self.vm.heap.borrow_mut().free(block)),
            Memory::Registered { cookie, .. } => {
                if let Some(record) = self.vm.shm.borrow_mut().get_mut(&cookie) {
                    record.users -= 1;
                }
            }
        }
    }

    /// Memory of the partition's heap, which grows if it can.
    pub fn allocate(&self, bytes: usize) -> Option<Block> {
        let block = self.vm.heap.borrow_mut().allocate(bytes);
        block.or_else(|| {
            let pages = (bytes.next_power_of_two().div_ceil(PAGE as usize) * 2).max(4);
            let grown = self.world.grow(&self.vm, pages);
            grown.then(|| self.vm.heap.borrow_mut().allocate(bytes)).flatten()
        })
    }
}
