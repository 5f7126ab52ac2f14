// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that the user names. What can be known of them is found out where the command line is read, before anything
//! is built or booted.

use crate::screen;
use anyhow::{Context, Result, bail, ensure};
use clap::builder::{PathBufValueParser, TryMapValueParser, TypedValueParser, ValueParserFactory};
use rustix::fs::{Access, access};
use std::env;
use std::fmt;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where something is to be written: a file that can be, or by `-` standard output, which nothing else is printed on
/// then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// None is standard output.
    file: Option<PathBuf>,
}

impl ValueParserFactory for Destination {
    type Parser = TryMapValueParser<PathBufValueParser, fn(PathBuf) -> Result<Self>>;

    fn value_parser() -> Self::Parser {
        PathBufValueParser::new().try_map(Self::named)
    }
}

impl Destination {
    /// Takes a file as a user names it.
    fn named(file: PathBuf) -> Result<Self> {
        if file.as_os_str() == "-" {
            screen::step_aside();
            return Ok(Self { file: None });
        }
        ensure!(!file.as_os_str().as_encoded_bytes().ends_with(b"/") && !file.is_dir(), "that is a folder");
        match fs::metadata(&file) {
            Ok(_) => access(&file, Access::WRITE_OK).context("it can't be written")?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                ensure!(folder.is_dir(), "there is no folder {}", folder.display());
                access(folder, Access::WRITE_OK).with_context(|| format!("{} can't be written", folder.display()))?;
            }
            Err(error) => bail!("it can't be written ({error})"),
        }
        Ok(Self::file(file))
    }

    /// Takes a file of the lab's own choice.
    pub const fn file(file: PathBuf) -> Self {
        Self { file: Some(file) }
    }

    /// Writes what was asked for to where it was asked for. Whatever has that name stays what it is: a link still leads
    /// where it led, a device or a pipe gets the bytes.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        let Some(file) = &self.file else {
            screen::show(bytes);
            return Ok(());
        };
        match fs::write(file, bytes) {
            // Whoever reads the other end has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => other.with_context(|| format!("cannot write {}", file.display())),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => f.write_str(&shown(file)),
            None => f.write_str("standard output"),
        }
    }
}

/// Takes a file that there is to be read: how clap parses one.
pub fn readable() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|file| {
        ensure!(!file.is_dir(), "that is a folder");
        match File::open(&file) {
            Ok(_) => Ok(file),
            Err(error) => bail!("it can't be read ({error})"),
        }
    })
}

/// Writes a path as it is shortest from here; but make may have been told to work in another folder (`-C`) than the one
/// in which its caller reads this.
pub fn shown(path: &Path) -> String {
    let here = env::current_dir().ok().filter(|_| env::var_os("MAKELEVEL").is_none());
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
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
        named(&link).unwrap().write(b"new").unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!((fs::read(&file).unwrap(), fs::read(&other).unwrap()), (b"new".to_vec(), b"new".to_vec()));
        assert_eq!(file.metadata().unwrap().ino(), before);
        // Nor does it leave anything beside it.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    fn named(path: &Path) -> Result<Destination> {
        Destination::named(path.to_path_buf())
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
        let end = pipe.clone();
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            File::open(end).unwrap().read_to_end(&mut bytes).unwrap();
            bytes
        });
        named(&pipe).unwrap().write(b"bytes").unwrap();
        assert_eq!(reader.join().unwrap(), b"bytes");
        assert!(pipe.metadata().unwrap().file_type().is_fifo());
    }

    #[test]
    fn who_has_seen_enough_of_a_pipe_is_no_error() {
        let folder = TempDir::new().unwrap();
        let pipe = pipe(&folder);
        let end = pipe.clone();
        let reader = thread::spawn(move || File::open(end).unwrap().read_exact(&mut [0; 10]).unwrap());
        // More than a pipe holds.
        named(&pipe).unwrap().write(&[0; 4 << 20]).unwrap();
        reader.join().unwrap();
    }

    #[test]
    fn what_can_not_be_written_is_refused_where_it_is_named() {
        let folder = TempDir::new().unwrap();
        let refused = |name: &str| named(&folder.path().join(name)).map_err(|error| error.to_string());
        assert_eq!(refused("none/file"), Err(format!("there is no folder {}", folder.path().join("none").display())));
        assert_eq!(refused(""), Err("that is a folder".to_owned()));
        assert_eq!(refused("new/"), Err("that is a folder".to_owned()));
        // Nor is it made before there is something to write.
        assert!(refused("new").is_ok() && !folder.path().join("new").exists());
        fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(refused("file/file"), Err("it can't be written (Not a directory (os error 20))".to_owned()));
        assert!(named(Path::new("a-file-beside-me")).is_ok());
    }

    #[test]
    fn a_path_is_shown_from_here_if_it_is_below() {
        let here = env::current_dir().unwrap();
        let expected = if env::var_os("MAKELEVEL").is_some() { here.join("a/b") } else { PathBuf::from("a/b") };
        assert_eq!(shown(&here.join("a/b")), expected.display().to_string());
        assert_eq!(shown(Path::new("/some/where")), "/some/where");
    }
}
