// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packages of Debian's, for the machine: recorded in `images/packages/`, fetched once, never installed.
//!
//! They are fetched from a `mirror` by the machine's own `apt` with a private state, and held against the hashes of
//! their record (`recorded`). Where the mirror has one no longer the current one is used, and every run says so
//! (`packages`). A run with nothing to fetch touches no network and says nothing.
//!
//! A host without apt (macOS, Fedora, NixOS) names files of its own in the scenario instead.

pub(crate) mod apt;
pub(crate) mod mirror;
pub(crate) mod packages;
pub(crate) mod recorded;
pub(crate) mod store;

use anyhow::{Context, Result, bail};
use mirror::Mirror;
use packages::{Packages, Shelf};
use recorded::Recorded;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// No mirror can be read: what is not here can't be had, and that is nobody's mistake.
#[derive(Debug)]
pub(crate) struct Unreachable(pub String);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where sets of packages are recorded, and where those that were fetched are kept.
#[derive(Clone, Copy)]
pub(crate) struct Depot<'d> {
    /// The folder of the records.
    pub records: &'d Path,
    /// The folder for everything fetched and made of it.
    pub cache: &'d Path,
    /// Hears one short line per step that takes time.
    pub progress: &'d dyn Fn(&str),
}

/// A set of packages that is here.
pub(crate) struct Set {
    /// Which packages.
    pub packages: Packages,
    /// Its own folder in the cache.
    pub folder: PathBuf,
    release: PathBuf,
    name: String,
}

impl Depot<'_> {
    /// Holds the cache for this process.
    pub(crate) fn lock(&self) -> Result<File> {
        store::lock(self.cache)
    }

    /// Obtains a set of packages. Whoever calls holds the lock.
    pub(crate) fn obtain(&self, name: &str) -> Result<Set> {
        let recorded = self.recorded(name)?;
        let release = self.cache.join(&recorded.release);
        let shelf = Shelf { release: &release, name, progress: self.progress };
        let packages = shelf.obtain(&recorded, &Mirror::of_this_machine)?;
        Ok(Set { packages, folder: shelf.folder(), release, name: name.to_owned() })
    }

    /// Returns a set that an earlier run obtained, whether its files are still there or not.
    pub(crate) fn remembered(&self, name: &str) -> Result<Option<Set>> {
        let recorded = self.recorded(name)?;
        let release = self.cache.join(&recorded.release);
        let shelf = Shelf { release: &release, name, progress: self.progress };
        let set = |packages| Set { packages, folder: shelf.folder(), release: release.clone(), name: name.to_owned() };
        Ok(shelf.remembered(&recorded).map(set))
    }

    /// Records the current packages of every set. Whoever calls holds the lock.
    pub(crate) fn renew(&self) -> Result<()> {
        for name in self.names()? {
            let recorded = self.recorded(&name)?;
            let release = self.cache.join(&recorded.release);
            let shelf = Shelf { release: &release, name: &name, progress: self.progress };
            shelf.newest(&recorded, Mirror::of_this_machine()?)?.write(&self.record(&name))?;
        }
        Ok(())
    }

    /// Lists the sets that are recorded.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(self.records).with_context(|| format!("can't read {}", self.records.display()))?;
        let name = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let mut names: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .filter_map(name)
            .collect();
        names.sort();
        Ok(names)
    }

    /// Finds the set in which a package is.
    pub(crate) fn set_with(&self, package: &str) -> Result<String> {
        let mut known = Vec::new();
        for name in self.names()? {
            let recorded = self.recorded(&name)?;
            if recorded.packages.values().any(|there| there.name == package) {
                return Ok(name);
            }
            known.extend(recorded.packages.into_values().map(|package| package.name));
        }
        known.sort();
        bail!("no package `{package}` is recorded in images/packages, but {}", known.join(", "))
    }

    fn record(&self, name: &str) -> PathBuf {
        self.records.join(name).with_extension("toml")
    }

    fn recorded(&self, name: &str) -> Result<Recorded> {
        Recorded::read(&self.record(name))
    }
}

impl Set {
    /// Unpacks all of its packages into one folder, which is gone when it is dropped.
    pub(crate) fn unpacked(&self) -> Result<TempDir> {
        let folder =
            tempfile::tempdir_in(&self.folder).with_context(|| format!("can't write in {}", self.folder.display()))?;
        Shelf { release: &self.release, name: &self.name, progress: &|_| {} }.unpack(&self.packages, folder.path())?;
        Ok(folder)
    }
}
