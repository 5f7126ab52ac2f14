// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file behind a machine's memory.

use anyhow::{Context, Result};
use std::fs::File;
use std::path::Path;
use tempfile::{Builder, NamedTempFile, TempPath};

/// Memory that is a file, too.
const SHARED: &str = "/dev/shm";

/// A file that QEMU maps as the machine's RAM. It is removed with the value.
#[derive(Debug)]
pub struct Memory {
    file: File,
    path: TempPath,
}

impl Memory {
    /// An empty file where one of `size` bytes has room: in shared memory if that is large enough, else among the
    /// temporary files.
    pub fn new(size: u64) -> Result<Self> {
        let room = Path::new(SHARED).is_dir()
            && rustix::fs::statvfs(SHARED).is_ok_and(|held| held.f_bavail.saturating_mul(held.f_frsize) >= size);
        let mut builder = Builder::new();
        let named = builder.prefix("triptych-").suffix(".ram");
        let made = if room { named.tempfile_in(SHARED) } else { named.tempfile() };
        let (file, path) =
            made.map(NamedTempFile::into_parts).context("cannot make a file for the machine's memory")?;
        file.set_len(size).context("cannot make a file as large as the machine's memory")?;
        Ok(Self { file, path })
    }

    /// Where QEMU finds it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A handle to read it by, whatever becomes of its name.
    pub fn reader(&self) -> Result<File> {
        self.file.try_clone().context("cannot share the machine's memory")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn it_is_as_large_as_the_machines_memory_and_goes_away() {
        let memory = Memory::new(64 << 20).unwrap();
        let (path, reader) = (memory.path().to_path_buf(), memory.reader().unwrap());
        assert_eq!(path.metadata().unwrap().len(), 64 << 20);
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(b"records", 1 << 20).unwrap();
        drop(memory);
        assert!(!path.exists());
        let mut bytes = [0; 7];
        reader.read_exact_at(&mut bytes, 1 << 20).unwrap();
        assert_eq!(&bytes, b"records");
    }
}
