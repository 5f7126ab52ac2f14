// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's packages: the recorded ones, or the current ones where the mirror has those no longer; fetched once,
//! remembered with their SHA-256, fetched again when missing or damaged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::apt::{self, Apt};
use super::mirror::{MIRROR_VARIABLE, Mirror};
use super::recorded::{Package, Recorded};
use super::store;

/// A set of packages, as they are in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Packages {
    /// What is used instead of a recorded package, for people.
    pub instead: Vec<String>,
    /// The hash of the record that they were fetched for.
    record: String,
    /// Each by what it is for.
    #[serde(flatten)]
    pub packages: BTreeMap<String, Package>,
}

impl Packages {
    /// Writes names and versions, for people.
    pub(crate) fn origin(&self) -> String {
        self.packages.values().map(Package::title).collect::<Vec<_>>().join(", ")
    }
}

/// Where one record's packages are in the cache.
pub(crate) struct Shelf<'s> {
    /// The cache's folder for the release.
    pub release: &'s Path,
    /// The record's name, which is also that of its folder.
    pub name: &'s str,
    /// Hears one short line per step that takes time.
    pub progress: &'s dyn Fn(&str),
}

impl Shelf<'_> {
    /// Says where the set's own files are.
    pub(crate) fn folder(&self) -> PathBuf {
        self.release.join(self.name)
    }

    /// Unpacks all of a set's packages into one folder.
    pub(crate) fn unpack(&self, packages: &Packages, into: &Path) -> Result<()> {
        packages.packages.values().try_for_each(|package| apt::unpack(&self.path(package), into))
    }

    fn path(&self, package: &Package) -> PathBuf {
        // apt's own name holds an escaped epoch (`1%3a1.37`); a plain one needs no quoting anywhere.
        self.packages().join(format!("{}.deb", package.name))
    }

    fn packages(&self) -> PathBuf {
        self.folder().join("packages")
    }

    fn list(&self) -> PathBuf {
        self.folder().join("packages.toml")
    }

    fn apt(&self, mirror: Mirror, release: &str) -> Result<Apt> {
        Apt::new(&self.release.join("apt"), mirror, release)
    }

    fn has(&self, package: &Package) -> bool {
        matches!(store::sha256_of_file(&self.path(package)), Ok(Some(hash)) if hash == package.sha256)
    }

    /// Reads what an earlier run remembered. A list that can't be read is none: the worst is that a package is fetched
    /// again.
    fn listed(&self) -> Option<Packages> {
        toml::from_str(&fs::read_to_string(self.list()).ok()?).ok()
    }

    /// Returns what an earlier run obtained for this record, whether the files are still there or not.
    pub(crate) fn remembered(&self, recorded: &Recorded) -> Option<Packages> {
        let record = recorded.hash().ok()?;
        self.listed().filter(|packages| packages.record == record)
    }

    /// Obtains the packages of a record, or what is used instead. `mirror` is asked for when something is missing.
    pub(crate) fn obtain(&self, recorded: &Recorded, mirror: &dyn Fn() -> Result<Mirror>) -> Result<Packages> {
        let here = self.listed().filter(|packages| packages.packages.values().all(|package| self.has(package)));
        let record = recorded.hash()?;
        if let Some(packages) = here.as_ref().filter(|packages| packages.record == record) {
            return Ok(packages.clone());
        }
        let mut packages = Packages { instead: Vec::new(), record, packages: recorded.packages.clone() };
        if !recorded.packages.values().all(|package| self.has(package)) {
            let apt = self.apt(mirror()?, &recorded.release)?;
            let mut gone = Vec::new();
            for (role, package) in &recorded.packages {
                if !self.fetch_recorded(&apt, package)? {
                    gone.push(role);
                }
            }
            if !gone.is_empty() {
                // Whether the mirror has them no longer, or can't be reached, shows here.
                match (apt.update(self.progress), here) {
                    (Err(why), Some(here)) => {
                        // What worked without a network still does. The mirror is asked again next time.
                        let (used, wanted) = (here.origin(), packages.origin());
                        (self.progress)(&format!("{used} are used, which are here; {wanted} are recorded: {why:#}"));
                        return Ok(here);
                    }
                    (updated, _) => updated?,
                }
            }
            for role in gone {
                let package = self.fetch_instead(&apt, &recorded.packages[role], &mut packages.instead)?;
                packages.packages.insert(role.clone(), package);
            }
        }
        self.remember(&packages)?;
        Ok(packages)
    }

    /// Records the current packages of a record's release.
    pub(crate) fn newest(&self, recorded: &Recorded, mirror: Mirror) -> Result<Recorded> {
        let apt = self.apt(mirror, &recorded.release)?;
        apt.update(self.progress)?;
        let mut packages = BTreeMap::new();
        for (role, package) in &recorded.packages {
            let package = current(&apt, package)?;
            if !self.has(&package) {
                self.fetch_listed(&apt, &package)?;
            }
            packages.insert(role.clone(), package);
        }
        let newest = Recorded { packages: packages.clone(), ..recorded.clone() };
        self.remember(&Packages { instead: Vec::new(), record: newest.hash()?, packages })?;
        Ok(newest)
    }

    /// Fetches a recorded package unless it is here; says whether it is then.
    fn fetch_recorded(&self, apt: &Apt, package: &Package) -> Result<bool> {
        if self.has(package) {
            return Ok(true);
        }
        let Ok(content) = apt.fetch(package, self.progress) else { return Ok(false) };
        self.put(apt, package, &content)
            .with_context(|| format!("the mirror has another file than images/packages/{}.toml records", self.name))?;
        Ok(true)
    }

    /// Fetches the package that the lists have now.
    fn fetch_instead(&self, apt: &Apt, wanted: &Package, instead: &mut Vec<String>) -> Result<Package> {
        let package = current(apt, wanted)?;
        self.fetch_listed(apt, &package)?;
        let (used, wanted) = (package.title(), wanted.title());
        instead.push(format!("{used} instead of {wanted}, which is recorded, but which the mirror no longer has"));
        Ok(package)
    }

    fn fetch_listed(&self, apt: &Apt, package: &Package) -> Result<()> {
        let content = apt.fetch(package, self.progress)?;
        self.put(apt, package, &content).context("the mirror has another file than its signed lists say")
    }

    /// Keeps what a mirror sent if it is the package.
    fn put(&self, apt: &Apt, package: &Package, content: &[u8]) -> Result<()> {
        let (hash, Package { file, sha256, .. }) = (store::sha256(content), package);
        ensure!(
            hash == *sha256,
            "{}/{file} has SHA-256 {hash}, not {sha256}; try another mirror: {MIRROR_VARIABLE}=URL",
            apt.mirror().address
        );
        store::write(&self.path(package), content)
    }

    /// Writes down what is used; what isn't goes.
    fn remember(&self, packages: &Packages) -> Result<()> {
        let text = toml::to_string(packages).context("the packages can't be remembered")?;
        store::write(&self.list(), text.as_bytes())?;
        let used: Vec<_> = packages.packages.values().map(|package| self.path(package)).collect();
        let folder = self.packages();
        let entries = fs::read_dir(&folder).with_context(|| format!("can't read {}", folder.display()))?;
        for path in entries.filter_map(|entry| entry.ok()).map(|entry| entry.path()) {
            if !used.contains(&path) {
                // Left over: it takes room, and does no other harm.
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }
}

/// Finds the release's current package in the place of one that is recorded.
fn current(apt: &Apt, recorded: &Package) -> Result<Package> {
    let follows = recorded.follows.clone();
    let name = match &follows {
        Some(meta) => {
            apt.dependencies(meta)?.into_iter().next().with_context(|| format!("Debian's {meta} is empty"))?
        }
        None => recorded.name.clone(),
    };
    Ok(Package { follows, ..apt.listed(&name)? })
}

#[cfg(test)]
mod tests;
