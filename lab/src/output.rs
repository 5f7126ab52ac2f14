// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that the user names.

use anyhow::{Context, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Writes what was asked for to where it was asked for. Whatever has that name stays what it is: a link still leads
/// where it led, a device or a pipe gets the bytes.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    match fs::write(path, bytes) {
        // Whoever reads the other end has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.with_context(|| format!("cannot write {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
    use std::process::Command;
    use std::thread;
    use tempfile::TempDir;

    #[test]
    fn a_link_stays_a_link_and_a_file_the_same_file() {
        let folder = TempDir::new().unwrap();
        let [file, link, other] = ["file", "link", "other"].map(|name| folder.path().join(name));
        fs::write(&file, "something longer than what comes").unwrap();
        symlink(&file, &link).unwrap();
        fs::hard_link(&file, &other).unwrap();
        let before = file.metadata().unwrap().ino();
        write(&link, b"new").unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!((fs::read(&file).unwrap(), fs::read(&other).unwrap()), (b"new".to_vec(), b"new".to_vec()));
        assert_eq!(file.metadata().unwrap().ino(), before);
        // Nor does it leave anything beside it.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    fn pipe(folder: &TempDir) -> std::path::PathBuf {
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        pipe
    }

    #[test]
    fn what_is_no_file_gets_the_bytes_and_stays() {
        let folder = TempDir::new().unwrap();
        let pipe = pipe(&folder);
        let named = pipe.clone();
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            File::open(named).unwrap().read_to_end(&mut bytes).unwrap();
            bytes
        });
        write(&pipe, b"bytes").unwrap();
        assert_eq!(reader.join().unwrap(), b"bytes");
        assert!(pipe.metadata().unwrap().file_type().is_fifo());
    }

    #[test]
    fn who_has_seen_enough_of_a_pipe_is_no_error_and_a_folder_that_is_missing_is_one() {
        let folder = TempDir::new().unwrap();
        let pipe = pipe(&folder);
        let named = pipe.clone();
        let reader = thread::spawn(move || File::open(named).unwrap().read_exact(&mut [0; 10]).unwrap());
        // More than a pipe holds.
        write(&pipe, &[0; 4 << 20]).unwrap();
        reader.join().unwrap();
        let error = write(&folder.path().join("none/file"), b"").unwrap_err();
        assert!(format!("{error:#}").contains("none/file"), "{error:#}");
    }
}
