// SPDX-License-Identifier: MIT OR Apache-2.0
//! `/dev/tee0`: the requests of [`crate::ioctl`] and the mapped shared memory.

use crate::arch::syscall::{self, Descriptor};
use crate::client::Errno;
use crate::device::Kernel;
use crate::ioctl::{self, Buffer, CloseSession, Invoke, OpenSession, ShmAlloc, Version};

/// The open device.
pub struct TeeDevice {
    device: Descriptor,
    /// The shared memory and its size, once it is there. It stays mapped until the program ends.
    memory: Option<(*mut u8, usize)>,
}

impl TeeDevice {
    /// Opens `/dev/tee0`.
    pub fn open() -> Result<Self, Errno> {
        Ok(Self { device: syscall::open(c"/dev/tee0")?, memory: None })
    }

    /// Returns the address of `length` bytes at `offset` of the shared memory, if they are in it.
    fn part(&self, offset: usize, length: usize) -> Option<*mut u8> {
        let (memory, size) = self.memory?;
        let end = offset.checked_add(length)?;
        // SAFETY: the offset is within the mapping.
        (end <= size).then(|| unsafe { memory.add(offset) })
    }

    /// Sends a request whose argument lies behind a [`Buffer`].
    ///
    /// # Safety
    /// `request` must take an `Argument` that way.
    unsafe fn buffered<Argument>(&self, request: u32, argument: &mut Argument) -> Result<(), Errno> {
        let mut buffer = Buffer { address: (&raw mut *argument) as u64, length: size_of::<Argument>() as u64 };
        // SAFETY: the request takes a `Buffer`, and what that points to is borrowed for the call.
        unsafe { syscall::ioctl(self.device, request, &mut buffer) }.map(drop)
    }
}

impl Kernel for TeeDevice {
    fn version(&mut self) -> Result<Version, Errno> {
        let mut version = Version::default();
        // SAFETY: TEE_IOC_VERSION fills a `Version`.
        unsafe { syscall::ioctl(self.device, ioctl::VERSION, &mut version) }.map(|_| version)
    }

    fn allocate(&mut self, request: &mut ShmAlloc) -> Result<(), Errno> {
        let size = request.size as usize;
        // SAFETY: TEE_IOC_SHM_ALLOC takes a `ShmAlloc`, which has no pointers.
        let memory = unsafe { syscall::ioctl(self.device, ioctl::SHM_ALLOC, request) }?;
        self.memory = Some((syscall::map(syscall::descriptor(memory), size)?, size));
        Ok(())
    }

    fn open_session(&mut self, request: &mut OpenSession) -> Result<(), Errno> {
        // SAFETY: TEE_IOC_OPEN_SESSION takes an `OpenSession` behind a `Buffer`.
        unsafe { self.buffered(ioctl::OPEN_SESSION, request) }
    }

    fn invoke(&mut self, request: &mut Invoke) -> Result<(), Errno> {
        // SAFETY: TEE_IOC_INVOKE takes an `Invoke` behind a `Buffer`. The memory that its parameters name is the
        // mapping, of which no reference exists.
        unsafe { self.buffered(ioctl::INVOKE, request) }
    }

    fn close_session(&mut self, request: &mut CloseSession) -> Result<(), Errno> {
        // SAFETY: TEE_IOC_CLOSE_SESSION takes a `CloseSession`, which has no pointers.
        unsafe { syscall::ioctl(self.device, ioctl::CLOSE_SESSION, request) }.map(drop)
    }

    fn copy_in(&mut self, offset: usize, from: &[u8]) {
        let Some(start) = self.part(offset, from.len()) else { return };
        for (index, byte) in from.iter().enumerate() {
            // SAFETY: `part` found these bytes in the mapping. Volatile: the TEE sees them too.
            unsafe { start.add(index).write_volatile(*byte) };
        }
    }

    fn copy_out(&mut self, offset: usize, into: &mut [u8]) {
        let Some(start) = self.part(offset, into.len()) else { return };
        for (index, byte) in into.iter_mut().enumerate() {
            // SAFETY: as in `copy_in`; each byte is read once, whoever may write to it meanwhile.
            *byte = unsafe { start.add(index).read_volatile() };
        }
    }
}
