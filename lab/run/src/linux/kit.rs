// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kit: what the guest needs out of Debian's packages, each file with its SHA-256.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use shared_abi::image::Format;

use super::PACKAGES;
use super::modules::Tree;
use crate::debian::{Depot, Set, store};
use crate::kernel;

/// The modules that init loads, beside what they depend on.
const MODULES: [&str; 2] = ["optee", "optee-rng"];

/// Counts up when this file takes something else out of the packages, so that older caches are made anew.
const EDITION: u32 = 1;

/// The files of the kit.
#[derive(Debug)]
pub(super) struct GuestKit {
    /// The kernel's `Image`.
    pub image: PathBuf,
    /// The static busybox.
    pub busybox: PathBuf,
    /// Kernel modules, in the order in which they must be loaded.
    pub modules: Vec<Named>,
    /// What is used instead of a recorded package, for people.
    pub instead: Vec<String>,
}

/// A file with a name of its own.
#[derive(Debug)]
pub(super) struct Named {
    /// The name.
    pub name: String,
    /// Where the file is.
    pub path: PathBuf,
}

/// What is remembered of a kit.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    edition: u32,
    /// Packages and versions.
    origin: String,
    image: String,
    busybox: String,
    modules: Vec<ModuleRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModuleRecord {
    name: String,
    sha256: String,
}

/// Obtains the kit and its folder: the remembered one if all its files are whole, else one made from the packages.
pub(super) fn obtain(depot: &Depot<'_>) -> Result<(GuestKit, PathBuf)> {
    let kit_of = |set: &Set| {
        let kit = remembered(&set.folder, &set.packages.origin())?;
        Some((GuestKit { instead: set.packages.instead.clone(), ..kit }, set.folder.clone()))
    };
    if let Some(kit) = depot.remembered(PACKAGES)?.as_ref().and_then(kit_of) {
        return Ok(kit);
    }
    let set = depot.obtain(PACKAGES)?;
    if let Some(kit) = kit_of(&set) {
        return Ok(kit);
    }
    let (folder, origin) = (&set.folder, set.packages.origin());
    (depot.progress)(&format!("unpacking {origin}"));
    let unpacked = set.unpacked()?;
    let kit = make(folder, unpacked.path(), origin)?;
    Ok((GuestKit { instead: set.packages.instead, ..kit }, set.folder))
}

/// Names the files of a kit, whether they exist or not.
fn layout(folder: &Path, record: &Record) -> GuestKit {
    let kit = folder.join("kit");
    GuestKit {
        image: kit.join("Image"),
        busybox: kit.join("busybox"),
        modules: record
            .modules
            .iter()
            .map(|module| Named { name: module.name.clone(), path: kit.join(format!("{}.ko", module.name)) })
            .collect(),
        instead: Vec::new(),
    }
}

fn remembered(folder: &Path, origin: &str) -> Option<GuestKit> {
    let record: Record = toml::from_str(&fs::read_to_string(folder.join("kit.toml")).ok()?).ok()?;
    let kit = layout(folder, &record);
    let whole = |path: &Path, hash: &str| matches!(store::sha256_of_file(path), Ok(Some(found)) if found == hash);
    let files_are_whole = record.edition == EDITION
        && record.origin == origin
        && whole(&kit.image, &record.image)
        && whole(&kit.busybox, &record.busybox)
        && kit.modules.iter().zip(&record.modules).all(|(file, module)| whole(&file.path, &module.sha256));
    files_are_whole.then_some(kit)
}

/// Copies the kit out of unpacked packages, then records it: a run that is killed in between leaves no record.
fn make(folder: &Path, unpacked: &Path, origin: String) -> Result<GuestKit> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("can't read {}", path.display()));
    let image = image(read(&only_entry(&unpacked.join("boot"), "vmlinuz-")?)?)?;
    // Debian 13 merged /bin and /lib into /usr; Debian 12's packages have both.
    let busybox = read(&first_existing(unpacked, &["usr/bin/busybox", "bin/busybox"])?)?;
    let module_folder = first_existing(unpacked, &["usr/lib/modules", "lib/modules"])?;
    let modules = Tree::open(&only_entry(&module_folder, "")?)?.closure(&MODULES)?;

    let record = Record {
        edition: EDITION,
        origin,
        image: store::sha256(&image),
        busybox: store::sha256(&busybox),
        modules: modules
            .iter()
            .map(|module| ModuleRecord { name: module.name.clone(), sha256: store::sha256(&module.content) })
            .collect(),
    };
    let kit = layout(folder, &record);
    store::fresh_folder(&folder.join("kit"))?;
    store::write(&kit.image, &image)?;
    store::write(&kit.busybox, &busybox)?;
    for (file, module) in kit.modules.iter().zip(&modules) {
        store::write(&file.path, &module.content)?;
    }
    let text = toml::to_string(&record).context("the kit can't be recorded")?;
    store::write(&folder.join("kit.toml"), text.as_bytes())?;
    Ok(kit)
}

/// Reads the arm64 `Image` in the package's `vmlinuz`, whatever that is packed in.
fn image(vmlinuz: Vec<u8>) -> Result<Vec<u8>> {
    let kernel = kernel::unpack(vmlinuz).context("the kernel package's vmlinuz is not taken")?;
    if Format::of(&kernel.bytes) != Format::Image {
        bail!("the kernel package's vmlinuz is no arm64 Image");
    }
    Ok(kernel.bytes)
}

fn first_existing(root: &Path, candidates: &[&str]) -> Result<PathBuf> {
    candidates
        .iter()
        .map(|candidate| root.join(candidate))
        .find(|path| path.exists())
        .with_context(|| format!("Debian's packages have no {}", candidates.join(" nor ")))
}

/// Finds the one entry of a folder whose name starts with `prefix`.
fn only_entry(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))?;
    let mut matching = entries
        .filter_map(|entry| entry.ok())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path());
    match (matching.next(), matching.next()) {
        (Some(only), None) => Ok(only),
        _ => bail!("expected exactly one {prefix}* in {}", folder.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(folder: &Path) -> PathBuf {
        let root = folder.join("unpacked");
        let mut image = vec![0; 64];
        image[56..60].copy_from_slice(b"ARM\x64");
        for (name, content) in [
            ("boot/vmlinuz-6", image.as_slice()),
            ("bin/busybox", b"busybox"),
            ("lib/modules/6/modules.builtin", b""),
            ("lib/modules/6/kernel/tee.ko", b"\0depends=\0"),
            ("lib/modules/6/kernel/optee.ko", b"\0depends=tee\0"),
            ("lib/modules/6/kernel/optee-rng.ko", b"\0depends=tee\0"),
        ] {
            store::write(&root.join(name), content).unwrap();
        }
        root
    }

    #[test]
    fn a_kit_is_remembered_until_a_file_of_it_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let made = make(folder.path(), &unpacked(folder.path()), "kernel 6".into()).unwrap();
        let again = remembered(folder.path(), "kernel 6").unwrap();
        assert!(remembered(folder.path(), "kernel 7").is_none());
        assert_eq!(again.modules.iter().map(|module| &module.name).collect::<Vec<_>>(), ["tee", "optee", "optee-rng"]);
        fs::write(&made.modules[1].path, b"other").unwrap();
        assert!(remembered(folder.path(), "kernel 6").is_none());
    }

    #[test]
    fn a_kit_of_another_edition_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), &unpacked(folder.path()), "kernel 6".into()).unwrap();
        let path = folder.path().join("kit.toml");
        let text = fs::read_to_string(&path).unwrap().replace("edition = 1", "edition = 0");
        fs::write(&path, text).unwrap();
        assert!(remembered(folder.path(), "kernel 6").is_none());
    }

    #[test]
    fn a_kernel_that_is_no_image_is_refused() {
        assert!(image(b"\x1f\x8b\x08".to_vec()).is_err());
        assert!(image(vec![0; 64]).is_err());
    }
}
