// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of the cache folder: locked, hashed, replaced whole.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Holds the cache folder for one process. Tests run in parallel and must not fetch twice.
///
/// The lock is the kernel's: it is gone with the process, however that ends.
pub(crate) fn lock(cache: &Path) -> Result<File> {
    fs::create_dir_all(cache).with_context(|| format!("can't create {}", cache.display()))?;
    let path = cache.join("lock");
    let file = File::create(&path).with_context(|| format!("can't create {}", path.display()))?;
    file.lock().with_context(|| format!("can't lock {}", path.display()))?;
    Ok(file)
}

/// Hashes `data`: SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes a file with SHA-256; `None` if there is no such file.
pub(crate) fn sha256_of_file(path: &Path) -> Result<Option<String>> {
    match fs::read(path) {
        Ok(data) => Ok(Some(sha256(&data))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
    }
}

/// Writes a file so that a reader, or a killed run, sees the old content or the new, never a part.
pub(crate) fn write(path: &Path, data: &[u8]) -> Result<()> {
    let parent = path.parent().context("a cache file has a folder")?;
    fs::create_dir_all(parent).with_context(|| format!("can't create {}", parent.display()))?;
    let mut temporary =
        tempfile::NamedTempFile::new_in(parent).with_context(|| format!("can't write in {}", parent.display()))?;
    io::Write::write_all(&mut temporary, data).with_context(|| format!("can't write {}", path.display()))?;
    temporary.persist(path).with_context(|| format!("can't write {}", path.display()))?;
    Ok(())
}

/// Writes a file unless it already has this content, so that its age says when it last changed.
pub(crate) fn write_if_changed(path: &Path, data: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == data) { Ok(()) } else { write(path, data) }
}

/// Empties a folder, or creates it.
pub(crate) fn fresh_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("can't empty {}", path.display()));
        }
        _ => {}
    }
    fs::create_dir_all(path).with_context(|| format!("can't create {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_standard_test_vector() {
        // FIPS 180-4's example "abc".
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn an_unchanged_file_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/file");
        write_if_changed(&path, b"one").unwrap();
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        write_if_changed(&path, b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
        write_if_changed(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }

    #[test]
    fn a_missing_file_has_no_hash() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(sha256_of_file(&folder.path().join("none")).unwrap(), None);
    }
}
