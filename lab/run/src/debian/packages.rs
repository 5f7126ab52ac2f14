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
mod tests {
    use super::super::mirror::Keys;
    use super::*;
    use anyhow::bail;
    use std::cell::RefCell;
    use std::process::Command;
    use tempfile::TempDir;

    const KERNEL: &str = "linux-image-cloud-arm64";
    const BUSYBOX: &str = "busybox-static";

    /// A mirror in a folder, and a cache that is filled from it.
    struct Scene {
        folder: TempDir,
        said: RefCell<Vec<String>>,
    }

    impl Scene {
        /// Makes a mirror with its own pool; none where there is no apt, since nothing can be fetched there.
        fn new() -> Option<Self> {
            if Command::new("apt-get").arg("--version").output().is_err() {
                eprintln!("skipped: this machine has no apt");
                return None;
            }
            let scene = Self { folder: tempfile::tempdir().unwrap(), said: RefCell::default() };
            fs::create_dir_all(scene.release()).unwrap();
            Some(scene)
        }

        fn release(&self) -> PathBuf {
            self.folder.path().join("cache/trixie")
        }

        fn place(&self, file: &str) -> PathBuf {
            self.folder.path().join("mirror").join(file)
        }

        /// Puts a package into the pool.
        fn publish(&self, name: &str, version: &str) -> Package {
            let (file, content) = (format!("pool/{name}_{version}.deb"), format!("{name} {version}"));
            store::write(&self.place(&file), content.as_bytes()).unwrap();
            let follows = name.starts_with("linux").then(|| KERNEL.into());
            let sha256 = store::sha256(content.as_bytes());
            Package { name: name.into(), version: version.into(), file, sha256, follows }
        }

        /// Lists these as the current ones.
        fn list(&self, kernel: &Package, busybox: &Package) {
            let depends = format!("Depends: {} (= 1)\n", kernel.name);
            let meta = Package { name: KERNEL.into(), ..kernel.clone() };
            let stanza = |(package, depends): (&Package, &str)| {
                let Package { name, version, file, sha256, .. } = package;
                format!(
                    "Package: {name}\nArchitecture: arm64\nVersion: {version}\n{depends}Filename: {file}\n\
                     Size: {}\nSHA256: {sha256}\n\n",
                    fs::metadata(self.place(file)).unwrap().len()
                )
            };
            let packages: String = [(&meta, depends.as_str()), (kernel, ""), (busybox, "")].map(stanza).concat();
            let (hash, size) = (store::sha256(packages.as_bytes()), packages.len());
            store::write(&self.place("dists/trixie/main/binary-arm64/Packages"), packages.as_bytes()).unwrap();
            let release = format!(
                "Suite: stable\nCodename: trixie\nComponents: main\nArchitectures: arm64\nSHA256:\n \
                 {hash} {size} main/binary-arm64/Packages\n"
            );
            store::write(&self.place("dists/trixie/Release"), release.as_bytes()).unwrap();
        }

        fn shelf<T>(&self, then: impl FnOnce(Shelf<'_>) -> T) -> T {
            let progress = |line: &str| self.said.borrow_mut().push(line.to_owned());
            then(Shelf { release: &self.release(), name: "linux", progress: &progress })
        }

        fn mirror(&self) -> Mirror {
            Mirror::new(&format!("file://{}", self.folder.path().join("mirror").display()), Keys::Nobody)
        }

        fn obtain(&self, recorded: &Recorded) -> Result<Packages> {
            self.shelf(|shelf| shelf.obtain(recorded, &|| Ok(self.mirror())))
        }

        /// Obtains the packages from the cache alone.
        fn obtain_again(&self, recorded: &Recorded) -> Result<Packages> {
            self.shelf(|shelf| shelf.obtain(recorded, &|| bail!("a mirror was asked for")))
        }

        fn content(&self, package: &Package) -> String {
            fs::read_to_string(self.shelf(|shelf| shelf.path(package))).unwrap()
        }
    }

    fn record(kernel: &Package, busybox: &Package) -> Recorded {
        let packages = [("kernel", kernel), ("busybox", busybox)];
        let packages = packages.map(|(role, package)| (role.to_owned(), package.clone())).into();
        Recorded { release: "trixie".into(), packages }
    }

    #[test]
    fn what_is_recorded_and_there_is_used_though_there_is_something_newer() {
        let Some(scene) = Scene::new() else { return };
        let (kernel, busybox) = (scene.publish("linux-image-6+deb", "6"), scene.publish(BUSYBOX, "1"));
        scene.list(&scene.publish("linux-image-7+deb", "7"), &scene.publish(BUSYBOX, "2"));
        let recorded = record(&kernel, &busybox);
        let packages = scene.obtain(&recorded).unwrap();
        assert_eq!((&packages.packages["kernel"], &packages.packages["busybox"]), (&kernel, &busybox));
        assert_eq!(packages.instead, [""; 0]);
        assert_eq!(scene.content(&kernel), "linux-image-6+deb 6");
        assert_eq!(scene.content(&busybox), "busybox-static 1");
        // No lists are fetched for them.
        assert!(scene.said.borrow().iter().all(|line| !line.contains("lists")), "{:?}", scene.said);
        assert_eq!(scene.obtain_again(&recorded).unwrap(), packages);
        assert_eq!(scene.shelf(|shelf| shelf.remembered(&recorded)), Some(packages));
    }

    #[test]
    fn what_is_recorded_and_gone_is_replaced_by_the_current_one_and_that_is_said() {
        let Some(scene) = Scene::new() else { return };
        let (kernel, busybox) = (scene.publish("linux-image-6", "6"), scene.publish(BUSYBOX, "1"));
        let newer = scene.publish("linux-image-7", "7");
        scene.list(&newer, &busybox);
        fs::remove_file(scene.place(&kernel.file)).unwrap();
        let recorded = record(&kernel, &busybox);
        let packages = scene.obtain(&recorded).unwrap();
        // The other one is still there.
        assert_eq!((&packages.packages["kernel"], &packages.packages["busybox"]), (&newer, &busybox));
        let said = "linux-image-7 7 instead of linux-image-6 6, which is recorded, but which the mirror no longer has";
        assert_eq!(packages.instead, [said]);
        assert_eq!(scene.content(&newer), "linux-image-7 7");
        // Every later run says it, too, and asks nobody.
        assert_eq!(scene.obtain_again(&recorded).unwrap(), packages);
        // Until the record is another one.
        let packages = scene.obtain(&record(&newer, &busybox)).unwrap();
        assert_eq!((packages.packages["kernel"].clone(), packages.instead.len()), (newer, 0));
    }

    #[test]
    fn what_has_another_hash_than_is_recorded_is_refused_and_not_replaced() {
        let Some(scene) = Scene::new() else { return };
        let (kernel, busybox) = (scene.publish("linux-image-6", "6"), scene.publish(BUSYBOX, "1"));
        scene.list(&kernel, &busybox);
        fs::write(scene.place(&kernel.file), "a kernel of somebody else's").unwrap();
        let recorded = record(&kernel, &busybox);
        let error = format!("{:#}", scene.obtain(&recorded).unwrap_err());
        let other = store::sha256(b"a kernel of somebody else's");
        for part in ["images/packages/linux.toml", "pool/linux-image-6_6.deb", &other, &kernel.sha256, MIRROR_VARIABLE]
        {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!scene.shelf(|shelf| shelf.path(&kernel)).exists());
        assert_eq!(scene.shelf(|shelf| shelf.listed()), None);
    }

    #[test]
    fn what_has_another_hash_than_the_lists_have_is_refused() {
        let Some(scene) = Scene::new() else { return };
        let (kernel, busybox) = (scene.publish("linux-image-7", "7"), scene.publish(BUSYBOX, "1"));
        scene.list(&kernel, &busybox);
        fs::write(scene.place(&kernel.file), "other").unwrap();
        let gone = Package { name: "linux-image-6".into(), file: "pool/gone.deb".into(), ..kernel };
        let error = format!("{:#}", scene.obtain(&record(&gone, &busybox)).unwrap_err());
        assert!(error.contains("signed lists"), "{error}");
    }

    #[test]
    fn a_damaged_package_is_fetched_again() {
        let Some(scene) = Scene::new() else { return };
        let recorded = record(&scene.publish("linux-image-6", "6"), &scene.publish(BUSYBOX, "1"));
        scene.obtain(&recorded).unwrap();
        fs::write(scene.shelf(|shelf| shelf.path(&recorded.packages["kernel"])), "damaged").unwrap();
        assert!(scene.obtain_again(&recorded).is_err());
        scene.obtain(&recorded).unwrap();
        assert_eq!(scene.content(&recorded.packages["kernel"]), "linux-image-6 6");
    }

    #[test]
    fn without_a_mirror_what_is_here_is_used_whatever_is_recorded_and_is_not_taken_for_it() {
        let Some(scene) = Scene::new() else { return };
        let (kernel, busybox) = (scene.publish("linux-image-6", "6"), scene.publish(BUSYBOX, "1"));
        let before = scene.obtain(&record(&kernel, &busybox)).unwrap();
        let newer = scene.publish("linux-image-7", "7");
        let recorded = record(&newer, &busybox);
        let mirror = scene.place("");
        fs::rename(&mirror, scene.folder.path().join("away")).unwrap();
        assert_eq!(scene.obtain(&recorded).unwrap(), before);
        let said = scene.said.borrow().join("\n");
        assert!(said.contains("busybox-static 1, linux-image-6 6 are used, which are here"), "{said}");
        fs::rename(scene.folder.path().join("away"), &mirror).unwrap();
        assert_eq!(scene.obtain(&recorded).unwrap().packages["kernel"], newer);
        assert!(!scene.shelf(|shelf| shelf.path(&kernel)).exists());
    }

    #[test]
    fn the_newest_packages_make_a_record() {
        let Some(scene) = Scene::new() else { return };
        let (kernel, busybox) = (scene.publish("linux-image-7", "7"), scene.publish(BUSYBOX, "2"));
        scene.list(&kernel, &busybox);
        let recorded = scene
            .shelf(|shelf| shelf.newest(&record(&scene.publish("linux-image-5", "5"), &busybox), scene.mirror()))
            .unwrap();
        assert_eq!(recorded, record(&kernel, &busybox));
        assert_eq!(scene.obtain_again(&recorded).unwrap().instead, [""; 0]);
    }
}
