// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packages of a mirror in a folder.

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
    for part in ["images/packages/linux.toml", "pool/linux-image-6_6.deb", &other, &kernel.sha256, MIRROR_VARIABLE] {
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
