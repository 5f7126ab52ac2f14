// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the kernel enters the program, and where it leaves.

use core::arch::global_asm;
use core::ffi::{CStr, c_char};

use crate::arch::syscall;

// The kernel enters with the argument count, the argument pointers, a null pointer and more on the stack, which is
// 16-byte aligned (Linux's fs/binfmt_elf.c). There is nobody to return to.
global_asm!(
    ".global _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "b {main}",
    main = sym start,
);

unsafe extern "Rust" {
    /// The program, of `main.rs`.
    safe fn tee_client(arguments: &Arguments) -> i32;
}

extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: the kernel put the count there, and behind it that many pointers to NUL-terminated strings; all of it
    // lives as long as the program and is written by nobody.
    let arguments = unsafe { Arguments::read(stack) };
    exit(tee_client(&arguments))
}

/// Ends the program.
pub fn exit(status: i32) -> ! {
    syscall::exit_group(status)
}

/// The command line. More words than any command has are counted but not kept.
pub struct Arguments {
    words: [&'static [u8]; Self::MOST],
    count: usize,
}

impl Arguments {
    const MOST: usize = 8;

    /// # Safety
    /// `stack` is what the kernel entered the program with.
    unsafe fn read(stack: *const usize) -> Self {
        // SAFETY: the count is the first word.
        let count = unsafe { stack.read() }.min(Self::MOST);
        let mut words: [&'static [u8]; Self::MOST] = [&[]; Self::MOST];
        for (index, word) in words.iter_mut().enumerate().take(count) {
            // SAFETY: the pointers follow, `count` of them, and each points to a string that lives as long as we do.
            *word = unsafe { CStr::from_ptr(stack.add(1 + index).read() as *const c_char) }.to_bytes();
        }
        Self { words, count }
    }

    /// Returns the words after the program's name.
    pub fn words(&self) -> &[&'static [u8]] {
        self.words.get(1..self.count).unwrap_or_default()
    }
}
