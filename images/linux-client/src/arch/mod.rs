// SPDX-License-Identifier: MIT OR Apache-2.0
//! AArch64 Linux without a C library: the entry and the system calls.
#![allow(unsafe_code)]

mod entry;
mod kernel;
mod syscall;

pub use entry::{Arguments, exit};
pub use kernel::TeeDevice;

use core::fmt;

/// The standard output. A line is one system call, so that lines of several programs do not mix on a console.
pub struct Output {
    buffer: [u8; Self::SIZE],
    used: usize,
}

impl Output {
    const SIZE: usize = 1024;

    /// Makes an empty one.
    pub const fn new() -> Self {
        Self { buffer: [0; Self::SIZE], used: 0 }
    }

    /// Writes out what is held back.
    pub fn flush(&mut self) {
        let mut rest = &self.buffer[..self.used];
        while !rest.is_empty() {
            match syscall::write(syscall::STDOUT, rest) {
                Ok(written) if written > 0 => rest = rest.get(written..).unwrap_or_default(),
                // Nobody is left to tell.
                _ => break,
            }
        }
        self.used = 0;
    }
}

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.used == Self::SIZE {
                self.flush();
            }
            self.buffer[self.used] = byte;
            self.used += 1;
            if byte == b'\n' {
                self.flush();
            }
        }
        Ok(())
    }
}
