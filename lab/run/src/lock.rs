// SPDX-License-Identifier: MIT OR Apache-2.0
//! Folders that one lab at a time works in.

use crate::progress::Progress;
use anyhow::{Context, Result};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

/// What the file is called that whoever works in a folder holds.
pub const NAME: &str = "lock";

/// Opens a folder's lock.
pub fn open(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(NAME));
    file.with_context(|| format!("cannot write in {}", folder.display()))
}

/// Holds a folder until the value is dropped, when nobody else does any more. The lock is the kernel's: it is gone with
/// the process, however that ends.
pub fn hold(folder: &Path, progress: &Progress) -> Result<File> {
    let file = open(folder)?;
    let taken = match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            progress.detail(&format!("waiting for another lab that works in {}", folder.display()));
            file.lock()
        }
        Err(TryLockError::Error(error)) => Err(error),
        Ok(()) => Ok(()),
    };
    taken.with_context(|| format!("cannot lock {}", folder.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use tempfile::TempDir;

    #[test]
    fn whoever_comes_second_waits_until_the_first_is_done() {
        let folder = TempDir::new().unwrap();
        let log = folder.path().join("log");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _held = hold(folder.path(), &Progress::silent()).unwrap();
                        let before = fs::read_to_string(&log).unwrap_or_default();
                        fs::write(&log, before + "x").unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read_to_string(&log).unwrap().len(), 200);
    }
}
