// SPDX-License-Identifier: MIT OR Apache-2.0
//! Folders that runs leave behind: flash, tree, logs, and what was made of them.

use crate::lock;
use anyhow::{Context, Result};
use std::fs::{self, File, TryLockError};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is added to the name of a run with a trace. It leaves a folder of its own, so that the next run without one
/// takes nothing away.
pub const TRACED: &str = "-traced";
/// The folder of one run, which nobody else empties as long as a clone of the value lives.
#[derive(Debug, Clone, Default)]
pub struct RunFolder {
    path: PathBuf,
    _lock: Option<Arc<File>>,
}

impl RunFolder {
    /// Takes the folder of this name, emptied. A second run of that name at the same time gets another one: `max-2`
    /// beside `max`.
    pub fn fresh(named: &Path) -> Result<Self> {
        let mut number = 1;
        loop {
            let mut path = named.as_os_str().to_owned();
            if number > 1 {
                path.push(format!("-{number}"));
            }
            let path = PathBuf::from(path);
            let lock = lock::open(&path)?;
            match lock.try_lock() {
                Ok(()) => {
                    empty(&path).with_context(|| format!("cannot remove the old logs in {}", path.display()))?;
                    return Ok(Self { path, _lock: Some(Arc::new(lock)) });
                }
                Err(TryLockError::WouldBlock) => number += 1,
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
        }
    }
}

/// One that only the caller knows.
impl From<PathBuf> for RunFolder {
    fn from(path: PathBuf) -> Self {
        Self { path, _lock: None }
    }
}

impl From<&str> for RunFolder {
    fn from(path: &str) -> Self {
        PathBuf::from(path).into()
    }
}

impl Deref for RunFolder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

/// Removes everything but the lock, which others may be waiting for.
fn empty(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == lock::NAME {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn a_run_begins_in_an_empty_folder_and_disturbs_no_other() {
        let runs = TempDir::new().unwrap();
        let named = runs.path().join("two-guests/max");
        let one = RunFolder::fresh(&named).unwrap();
        fs::create_dir(one.join("more")).unwrap();
        fs::write(one.join("more/log"), "of the first").unwrap();
        let two = RunFolder::fresh(&named).unwrap();
        assert_eq!((&*one, &*two), (named.as_path(), runs.path().join("two-guests/max-2").as_path()));
        assert!(one.join("more/log").is_file());
        let kept = one.clone();
        drop(one);
        assert_ne!(&*RunFolder::fresh(&named).unwrap(), named, "whoever has a clone still reads there");
        drop(kept);
        let again = RunFolder::fresh(&named).unwrap();
        assert_eq!(&*again, named);
        assert_eq!(fs::read_dir(&*again).unwrap().count(), 1, "nothing but the lock");
    }
}
