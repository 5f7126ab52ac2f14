// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Linux guest: Debian's arm64 kernel, unmodified, and an initramfs made here.
//!
//! Two steps behind the packages (`debian`), the first remembered:
//!
//! 1. `kit`: what the guest needs out of them (kernel `Image`, busybox, the modules of the `optee` driver), each file
//!    with its SHA-256. A damaged file is unpacked again, a damaged package fetched again.
//! 2. `initramfs`: a cpio archive of the kit, `images/linux/init` and our client, and where it is asked for of OP-TEE's
//!    whole client side (`xtest`). It is made anew each time, in memory and deterministically, and written only if it
//!    differs: there is no staleness to get wrong.

mod initramfs;
mod kit;
mod modules;
mod xtest;

use std::fs;
use std::path::{Path, PathBuf};

use crate::debian::{Depot, store};
use anyhow::{Context, Result};

/// The packages of the guest.
const PACKAGES: &str = "linux";

/// What the Linux guest is made from.
#[derive(Clone, Copy)]
pub(crate) struct Recipe<'a> {
    /// The packages.
    pub depot: Depot<'a>,
    /// The init script, `images/linux/init`.
    pub init: &'a Path,
    /// The built `images/linux-client`: a static AArch64 ELF.
    pub client: &'a Path,
    /// Also an initramfs with OP-TEE's client side.
    pub xtest: bool,
}

/// What a machine needs to boot the Linux guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinuxGuest {
    /// The kernel: a plain arm64 `Image`.
    pub image: PathBuf,
    /// The initramfs: an uncompressed newc cpio archive.
    pub initramfs: PathBuf,
    /// One with OP-TEE's client side as well.
    pub xtest: Option<PathBuf>,
    /// What it was made from instead of what is recorded, a line each, for people.
    pub instead: Vec<String>,
}

/// Makes the Linux guest, fetching what is missing.
///
/// # Errors
/// When a tool or a package can't be had, or a file can't be read or written; the message names the remedy.
pub(crate) fn guest(recipe: &Recipe<'_>) -> Result<LinuxGuest> {
    let depot = &recipe.depot;
    let _lock = depot.lock()?;
    let (kit, folder) = kit::obtain(depot)?;
    let read = |path: &Path| fs::read(path).with_context(|| format!("can't read {}", path.display()));
    let mut contents = initramfs::Contents {
        busybox: read(&kit.busybox)?,
        modules: kit
            .modules
            .iter()
            .map(|module| Ok((module.name.clone(), read(&module.path)?)))
            .collect::<Result<_>>()?,
        init: read(recipe.init)?,
        client: read(recipe.client)?,
        more: Vec::new(),
    };
    let write = |contents: &initramfs::Contents, name: &str| {
        let path = folder.join(name);
        store::write_if_changed(&path, &initramfs::build(contents)?).map(|()| path)
    };
    let initramfs = write(&contents, "initramfs.cpio")?;
    let (mut instead, mut xtest) = (kit.instead, None);
    if recipe.xtest {
        let set = depot.obtain(xtest::PACKAGES)?;
        contents.more = xtest::files(&set)?;
        contents.more.push(xtest::list());
        instead.extend(set.packages.instead);
        xtest = Some(write(&contents, "initramfs-xtest.cpio")?);
    }
    Ok(LinuxGuest { image: kit.image, initramfs, xtest, instead })
}

/// Fetches and unpacks what [`guest`] needs, with OP-TEE's client side or without, and does not make the guest:
/// afterwards no network is needed. Returns a line for each package that is used instead of the recorded one.
///
/// # Errors
/// As for [`guest`].
pub(crate) fn fetch(depot: &Depot<'_>, xtest: bool) -> Result<Vec<String>> {
    let _lock = depot.lock()?;
    let mut instead = kit::obtain(depot)?.0.instead;
    if xtest {
        instead.extend(depot.obtain(xtest::PACKAGES)?.packages.instead);
    }
    Ok(instead)
}
