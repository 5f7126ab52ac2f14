// SPDX-License-Identifier: MIT OR Apache-2.0
//! System calls: number in x8, arguments in x0 to x5, answer in x0; -4095 to -1 are error numbers (Linux's
//! `include/uapi/asm-generic/unistd.h`, syscall(2)).

use core::arch::asm;

use crate::client::Errno;

const IOCTL: u64 = 29;
const OPENAT: u64 = 56;
const WRITE: u64 = 64;
const EXIT_GROUP: u64 = 94;
const MMAP: u64 = 222;

/// `AT_FDCWD`.
const CURRENT_FOLDER: i32 = -100;
/// `O_RDWR | O_CLOEXEC` on arm64.
const READ_WRITE: u64 = 0o2 | 0o2_000_000;
/// `PROT_READ | PROT_WRITE`.
const PROTECTION: u64 = 3;
/// `MAP_SHARED`.
const SHARED: u64 = 1;

/// A file descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor(i32);

/// The standard output.
pub(super) const STDOUT: Descriptor = Descriptor(1);

/// # Safety
/// As the system call asks: memory it writes must be the caller's to have written.
unsafe fn call(number: u64, arguments: [u64; 6]) -> Result<u64, Errno> {
    let answer: u64;
    // SAFETY: the kernel keeps all registers but x0; what it does to memory is the caller's promise, and the block
    // is not marked as leaving memory alone.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") arguments[0] => answer,
            in("x1") arguments[1],
            in("x2") arguments[2],
            in("x3") arguments[3],
            in("x4") arguments[4],
            in("x5") arguments[5],
            options(nostack),
        );
    }
    match answer as i64 {
        error @ -4095..=-1 => Err(Errno(-(error as i32))),
        _ => Ok(answer),
    }
}

/// Opens a file for reading and writing.
pub(super) fn open(path: &core::ffi::CStr) -> Result<Descriptor, Errno> {
    let arguments = [CURRENT_FOLDER as u64, path.as_ptr() as u64, READ_WRITE, 0, 0, 0];
    // SAFETY: the kernel reads a NUL-terminated string and writes nothing.
    unsafe { call(OPENAT, arguments) }.map(|descriptor| Descriptor(descriptor as i32))
}

/// Writes bytes; answers how many.
pub(super) fn write(to: Descriptor, bytes: &[u8]) -> Result<usize, Errno> {
    let arguments = [to.0 as u64, bytes.as_ptr() as u64, bytes.len() as u64, 0, 0, 0];
    // SAFETY: the kernel reads `bytes` and writes nothing.
    unsafe { call(WRITE, arguments) }.map(|written| written as usize)
}

/// Sends a device a request.
///
/// # Safety
/// `request` must take an `Argument`; memory that the argument points to must be the caller's to have written.
pub(super) unsafe fn ioctl<Argument>(device: Descriptor, request: u32, argument: &mut Argument) -> Result<u64, Errno> {
    let arguments = [device.0 as u64, u64::from(request), (&raw mut *argument) as u64, 0, 0, 0];
    // SAFETY: the kernel writes into `argument`, which is borrowed for that; the rest is the caller's promise.
    unsafe { call(IOCTL, arguments) }
}

/// Makes a descriptor of an ioctl's answer.
pub(super) const fn descriptor(answer: u64) -> Descriptor {
    Descriptor(answer as i32)
}

/// Maps `size` bytes of what `memory` stands for, shared, at an address that the kernel chooses.
pub(super) fn map(memory: Descriptor, size: usize) -> Result<*mut u8, Errno> {
    let arguments = [0, size as u64, PROTECTION, SHARED, memory.0 as u64, 0];
    // SAFETY: without MAP_FIXED the kernel takes addresses that nothing uses.
    unsafe { call(MMAP, arguments) }.map(|address| address as *mut u8)
}

/// Ends the program.
pub(super) fn exit_group(status: i32) -> ! {
    loop {
        // SAFETY: ends the process; nothing of it runs afterwards.
        let _ = unsafe { call(EXIT_GROUP, [status as u64, 0, 0, 0, 0, 0]) };
    }
}
