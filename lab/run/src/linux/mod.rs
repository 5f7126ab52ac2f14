// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Linux guest: Debian's arm64 kernel, unmodified, and an initramfs made here.
//!
//! Three steps, each remembered under the cache folder, so that a run with nothing to do touches no network and says
//! nothing:
//!
//! 1. `packages`: the packages of Debian's that `images/linux/packages.toml` records (`recorded`), fetched from a
//!    `mirror` by the machine's own apt (`apt`) with a private state: nothing is installed, no root is needed. Where
//!    the mirror has one no longer, the current one.
//! 2. `kit`: what the guest needs out of them (kernel `Image`, busybox, the modules of the `optee` driver), each file
//!    with its SHA-256. A damaged file is unpacked again, a damaged package fetched again.
//! 3. `initramfs`: a cpio archive of the kit, `images/linux/init` and our client. It is made anew each time, in memory
//!    and deterministically, and written only if it differs: there is no staleness to get wrong.
//!
//! A host without apt (macOS, Fedora, NixOS) names an own `Image` and initramfs in the scenario instead.

mod apt;
mod initramfs;
mod kit;
mod mirror;
mod modules;
mod packages;
mod recorded;
mod store;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use mirror::Mirror;
use packages::Shelf;
use recorded::Recorded;

/// What the Linux guest is made from.
#[derive(Debug, Clone, Copy)]
pub struct Recipe<'a> {
    /// The folder for everything fetched and made, for instance `target/linux`.
    pub cache: &'a Path,
    /// The record of the packages, `images/linux/packages.toml`.
    pub packages: &'a Path,
    /// The init script, `images/linux/init`.
    pub init: &'a Path,
    /// The built `images/linux-client`: a static AArch64 ELF.
    pub client: &'a Path,
}

/// What a machine needs to boot the Linux guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinuxGuest {
    /// The kernel: a plain arm64 `Image`.
    pub image: PathBuf,
    /// The initramfs: an uncompressed newc cpio archive.
    pub initramfs: PathBuf,
    /// What it was made from instead of what is recorded, a line each, for people.
    pub instead: Vec<String>,
}

/// Makes the Linux guest, fetching what is missing. `progress` hears one short line per step that takes time.
///
/// # Errors
/// When a tool or a package can't be had, or a file can't be read or written; the message names the remedy.
pub fn guest(recipe: &Recipe<'_>, progress: &dyn Fn(&str)) -> Result<LinuxGuest> {
    let _lock = store::lock(recipe.cache)?;
    let recorded = Recorded::read(recipe.packages)?;
    let kit = kit::obtain(recipe.cache, &recorded, progress)?;
    let read = |path: &Path| fs::read(path).with_context(|| format!("can't read {}", path.display()));
    let archive = initramfs::build(&initramfs::Contents {
        busybox: read(&kit.busybox)?,
        modules: kit
            .modules
            .iter()
            .map(|module| Ok((module.name.clone(), read(&module.path)?)))
            .collect::<Result<_>>()?,
        init: read(recipe.init)?,
        client: read(recipe.client)?,
    })?;
    let path = recipe.cache.join(&recorded.release).join("initramfs.cpio");
    store::write_if_changed(&path, &archive)?;
    Ok(LinuxGuest { image: kit.image, initramfs: path, instead: kit.instead })
}

/// Fetches and unpacks what [`guest`] needs, without making the guest: afterwards no network is needed. Returns a line
/// for each package that is used instead of the recorded one.
///
/// # Errors
/// As for [`guest`].
pub fn fetch(cache: &Path, packages: &Path, progress: &dyn Fn(&str)) -> Result<Vec<String>> {
    let _lock = store::lock(cache)?;
    Ok(kit::obtain(cache, &Recorded::read(packages)?, progress)?.instead)
}

/// Fetches the release's current packages and records them.
///
/// # Errors
/// As for [`guest`].
pub fn renew(cache: &Path, packages: &Path, progress: &dyn Fn(&str)) -> Result<()> {
    let _lock = store::lock(cache)?;
    let release = Recorded::read(packages)?.release;
    let shelf = Shelf { release: &cache.join(&release), progress };
    let newest = shelf.newest(&release, Mirror::of_this_machine()?)?;
    newest.write(packages)?;
    kit::obtain(cache, &newest, progress).map(drop)
}
