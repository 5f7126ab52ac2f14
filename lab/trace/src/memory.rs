// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file behind a machine's memory.

use anyhow::{Context, Result};
use std::fs::File;
use std::path::Path;
use std::process::Stdio;

/// Memory that is a file, too.
const SHARED: &str = "/dev/shm";

/// A file that QEMU maps as the machine's RAM. It never has a name that could stay behind: whatever becomes of the lab,
/// it is gone with the last process that has it open.
#[derive(Debug)]
pub struct Memory(File);

impl Memory {
    /// Makes an empty file where one of `size` bytes has room: in shared memory if that is large enough, else among the
    /// temporary files.
    pub fn new(size: u64) -> Result<Self> {
        let room = Path::new(SHARED).is_dir()
            && rustix::fs::statvfs(SHARED).is_ok_and(|held| held.f_bavail.saturating_mul(held.f_frsize) >= size);
        let made = if room { tempfile::tempfile_in(SHARED) } else { tempfile::tempfile() };
        let file = made.context("cannot make a file for the machine's memory")?;
        file.set_len(size).context("cannot make a file as large as the machine's memory")?;
        Ok(Self(file))
    }

    /// Returns a handle to read it by.
    pub fn reader(&self) -> Result<File> {
        self.0.try_clone().context("cannot share the machine's memory")
    }

    /// Returns it as a program's standard input, which finds it at [`Memory::INPUT`].
    pub fn input(&self) -> Result<Stdio> {
        Ok(self.reader()?.into())
    }

    /// Where a program finds its standard input.
    pub const INPUT: &str = "/dev/fd/0";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt, MetadataExt};
    use std::process::Command;

    #[test]
    fn it_is_as_large_as_the_machines_memory_and_has_no_name() {
        let memory = Memory::new(64 << 20).unwrap();
        let held = memory.reader().unwrap().metadata().unwrap();
        assert_eq!((held.len(), held.nlink()), (64 << 20, 0));
    }

    #[test]
    fn what_a_program_writes_into_its_input_is_read_here() {
        let memory = Memory::new(64 << 20).unwrap();
        let reader = memory.reader().unwrap();
        let script = format!("printf records 1<>{}", Memory::INPUT);
        let written = Command::new("sh").args(["-c", &script]).stdin(memory.input().unwrap()).status().unwrap();
        drop(memory);
        assert!(written.success());
        let mut bytes = [0; 7];
        reader.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"records");
    }
}
