// SPDX-License-Identifier: MIT OR Apache-2.0
//! The initramfs: a newc cpio archive (the kernel's `buffer-format` document), the same bytes for the same contents.

use std::io::Write;

use anyhow::{Context, Result};
use cpio::newc::{Builder, ModeFileType, trailer};

/// What the initramfs holds beside folders and links.
pub(super) struct Contents {
    /// The static busybox.
    pub busybox: Vec<u8>,
    /// Kernel modules, names and files, in the order in which init loads them.
    pub modules: Vec<(String, Vec<u8>)>,
    /// The init script.
    pub init: Vec<u8>,
    /// The TEE client.
    pub client: Vec<u8>,
    /// Further files and links.
    pub more: Vec<Further>,
}

/// A file or link at its place in the initramfs, or a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Further {
    /// Its path, without a slash at the beginning.
    pub path: String,
    /// What it is.
    pub what: What,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// A folder.
    Folder,
    /// A file that can be executed.
    File(Vec<u8>),
    /// A link to this path.
    Link(String),
}

/// Where the client is in the guest.
const CLIENT: &str = "bin/tee-client";

/// Folders, parents first. `/dev`, `/proc` and `/sys` are mount points.
const FOLDERS: [&str; 8] = ["bin", "dev", "etc", "lib", "lib/modules", "proc", "sys", "tmp"];

/// Builds the archive, uncompressed: it is small, and a guest that decompresses it spends time on nothing.
pub(super) fn build(contents: &Contents) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in FOLDERS {
        archive.add(folder, ModeFileType::Directory, 0o755, &[])?;
    }
    // The kernel opens it for init's standard streams before anything is mounted: major 5, minor 1.
    archive.add_console()?;
    archive.add("bin/busybox", ModeFileType::Regular, 0o755, &contents.busybox)?;
    // init needs only a shell; it has busybox make the other links.
    archive.add("bin/sh", ModeFileType::Symlink, 0o777, b"busybox")?;
    archive.add(CLIENT, ModeFileType::Regular, 0o755, &contents.client)?;
    archive.add("init", ModeFileType::Regular, 0o755, &contents.init)?;
    let mut order = String::new();
    for (name, content) in &contents.modules {
        let path = format!("lib/modules/{name}.ko");
        archive.add(&path, ModeFileType::Regular, 0o644, content)?;
        order.push_str(&format!("/{path}\n"));
    }
    archive.add("lib/modules/order", ModeFileType::Regular, 0o644, order.as_bytes())?;
    for Further { path, what } in &contents.more {
        match what {
            What::Folder => archive.add(path, ModeFileType::Directory, 0o755, &[])?,
            What::File(content) => archive.add(path, ModeFileType::Regular, 0o755, content)?,
            What::Link(to) => archive.add(path, ModeFileType::Symlink, 0o777, to.as_bytes())?,
        }
    }
    archive.finish()
}

/// An archive in the making. Times, owners and devices are 0, so that nothing of the host gets in.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn add(&mut self, path: &str, kind: ModeFileType, permissions: u32, content: &[u8]) -> Result<()> {
        let builder = Builder::new(path).mode(permissions).set_mode_file_type(kind);
        self.write(builder, content).with_context(|| format!("can't put {path} into the initramfs"))
    }

    fn add_console(&mut self) -> Result<()> {
        let builder =
            Builder::new("dev/console").mode(0o600).set_mode_file_type(ModeFileType::Char).rdev_major(5).rdev_minor(1);
        self.write(builder, &[])
    }

    fn write(&mut self, builder: Builder, content: &[u8]) -> Result<()> {
        // Distinct inode numbers: the kernel takes equal ones for hard links of one file.
        self.entries += 1;
        let size = u32::try_from(content.len()).context("larger than newc can say")?;
        let mut writer = builder.ino(self.entries).write(std::mem::take(&mut self.bytes), size);
        writer.write_all(content)?;
        self.bytes = writer.finish()?;
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>> {
        Ok(trailer(self.bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpio::newc::Reader;
    use std::io::Read;

    fn contents() -> Contents {
        Contents {
            busybox: b"busybox!!".to_vec(),
            modules: vec![("tee".into(), b"t".to_vec()), ("optee".into(), b"op".to_vec())],
            init: b"#!/bin/sh\n".to_vec(),
            client: b"client".to_vec(),
            more: vec![
                Further { path: "usr".into(), what: What::Folder },
                Further { path: "usr/tool".into(), what: What::File(b"tool".to_vec()) },
                Further { path: "lib/ld.so".into(), what: What::Link("/usr/ld.so".into()) },
            ],
        }
    }

    fn entries(archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut entries = Vec::new();
        let mut rest = archive;
        loop {
            let mut reader = Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                return entries;
            }
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            entries.push((name, mode, content));
            rest = reader.finish().unwrap();
        }
    }

    #[test]
    fn everything_init_needs_is_in_it_with_its_permissions() {
        let entries = entries(&build(&contents()).unwrap());
        let find = |name: &str| entries.iter().find(|entry| entry.0 == name).unwrap();
        assert_eq!(find("init"), &("init".to_owned(), 0o100_755, b"#!/bin/sh\n".to_vec()));
        assert_eq!(find("bin/sh"), &("bin/sh".to_owned(), 0o120_777, b"busybox".to_vec()));
        assert_eq!(find("dev/console").1, 0o020_600);
        assert_eq!(find(CLIENT).2, b"client");
        assert_eq!(find("usr/tool"), &("usr/tool".to_owned(), 0o100_755, b"tool".to_vec()));
        assert_eq!(find("lib/ld.so"), &("lib/ld.so".to_owned(), 0o120_777, b"/usr/ld.so".to_vec()));
        assert_eq!(find("lib/modules/order").2, b"/lib/modules/tee.ko\n/lib/modules/optee.ko\n");
    }

    #[test]
    fn a_folder_comes_before_what_is_in_it() {
        let entries = entries(&build(&contents()).unwrap());
        for (index, (name, _, _)) in entries.iter().enumerate() {
            if let Some((parent, _)) = name.rsplit_once('/') {
                assert!(entries[..index].iter().any(|entry| entry.0 == parent), "{parent} before {name}");
            }
        }
    }

    #[test]
    fn the_same_contents_give_the_same_bytes() {
        assert_eq!(build(&contents()).unwrap(), build(&contents()).unwrap());
    }
}
