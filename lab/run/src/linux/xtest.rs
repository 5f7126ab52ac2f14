// SPDX-License-Identifier: MIT OR Apache-2.0
//! OP-TEE's client side in the initramfs: tee-supplicant, libteec, xtest with its applications, and their libraries.

use super::initramfs::{Further, What};
use crate::debian::Set;
use crate::xtest;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The packages.
pub(super) const PACKAGES: &str = "xtest";

/// Where Debian has libraries, and where its programs look for them.
const LIBRARIES: &str = "usr/lib/aarch64-linux-gnu";
/// What programs look for in `/lib`, which Debian merged into `/usr/lib` and the initramfs has beside it: the program
/// interpreter, and tee-supplicant's applications.
const LINKS: [[&str; 2]; 2] = [
    ["lib/ld-linux-aarch64.so.1", "/usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1"],
    ["lib/optee_armtz", "/usr/lib/optee_armtz"],
];
/// Where the applications are.
const APPLICATIONS: &str = "usr/lib/optee_armtz";
/// OP-TEE's own application that xtest needs, PKCS #11's, where its build leaves it.
const PKCS11: [&str; 2] =
    ["usr/lib/optee-os-dev/vexpress-qemu_armv8a-virtualized/ta", "fd02c9da-306c-48c7-a49c-bbd827ae86ee.ta"];

/// Files, and folders of which all is taken.
const WHOLE: [&str; 4] = ["usr/bin/xtest", "usr/sbin/tee-supplicant", APPLICATIONS, "usr/lib/tee-supplicant/plugins"];
/// What the libraries' names begin with that programs and libraries name as needed.
const NEEDED: [&str; 8] = [
    "ld-linux-aarch64.so.",
    "libc.so.",
    "libm.so.",
    "libcrypto.so.",
    "libz.so.",
    "libzstd.so.",
    "libteec.so.",
    "libckteec.so.",
];

/// Makes the list by which init knows the suite's cases.
pub(super) fn list() -> Further {
    Further { path: "etc/xtest-cases".to_owned(), what: What::File(xtest::list().into_bytes()) }
}

/// Lists what is added to the initramfs, folders before what is in them.
pub(super) fn files(set: &Set) -> Result<Vec<Further>> {
    let unpacked = set.unpacked()?;
    out_of(unpacked.path())
}

fn out_of(root: &Path) -> Result<Vec<Further>> {
    let mut files = Vec::new();
    for path in WHOLE {
        take(root, path, &mut files)?;
    }
    for name in names(&root.join(LIBRARIES))? {
        if NEEDED.iter().any(|needed| name.starts_with(needed)) {
            take(root, &format!("{LIBRARIES}/{name}"), &mut files)?;
        }
    }
    for needed in NEEDED {
        let there =
            |file: &Further| file.path.strip_prefix(LIBRARIES).is_some_and(|name| name[1..].starts_with(needed));
        if !files.iter().any(there) {
            bail!("the packages have no library {needed}*");
        }
    }
    let [folder, name] = PKCS11;
    let mut pkcs11 = Vec::new();
    take(root, &format!("{folder}/{name}"), &mut pkcs11)?;
    files.extend(pkcs11.into_iter().map(|file| Further { path: format!("{APPLICATIONS}/{name}"), ..file }));
    let link = |[path, to]: [&str; 2]| Further { path: path.to_owned(), what: What::Link(to.to_owned()) };
    files.extend(LINKS.map(link));
    let folders: BTreeSet<_> = files.iter().flat_map(|file| ancestors(&file.path)).collect();
    let folder = |path: String| Further { path, what: What::Folder };
    let made: Vec<_> = folders.into_iter().filter(|path| path != "lib").map(folder).collect();
    files.sort();
    files.dedup();
    Ok(made.into_iter().chain(files).collect())
}

/// Lists the folders that a path is in, the outermost first.
fn ancestors(path: &str) -> Vec<String> {
    path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect()
}

/// Takes a file, a link, or all that is in a folder.
fn take(root: &Path, path: &str, files: &mut Vec<Further>) -> Result<()> {
    let place = root.join(path);
    let kind = fs::symlink_metadata(&place).with_context(|| format!("the packages have no {path}"))?.file_type();
    let mut add = |what| files.push(Further { path: path.to_owned(), what });
    if kind.is_symlink() {
        let to = fs::read_link(&place)?;
        add(What::Link(to.to_str().with_context(|| format!("{path} leads nowhere"))?.to_owned()));
    } else if kind.is_dir() {
        for name in names(&place)? {
            take(root, &format!("{path}/{name}"), files)?;
        }
    } else {
        add(What::File(fs::read(&place).with_context(|| format!("can't read {}", place.display()))?));
    }
    Ok(())
}

/// Lists a folder.
fn names(folder: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debian::store;
    use std::os::unix::fs::symlink;

    /// Lays out what the packages have.
    fn unpacked(root: &Path) {
        let [folder, name] = PKCS11;
        let mut paths = vec![
            "usr/bin/xtest".to_owned(),
            "usr/bin/other".to_owned(),
            "usr/sbin/tee-supplicant".to_owned(),
            "usr/lib/tee-supplicant/plugins/a.plugin".to_owned(),
            format!("{APPLICATIONS}/a.ta"),
            format!("{folder}/{name}"),
            format!("{LIBRARIES}/libssl.so.3"),
        ];
        paths.extend(NEEDED.iter().map(|name| format!("{LIBRARIES}/{name}1")));
        for path in paths {
            store::write(&root.join(&path), path.as_bytes()).unwrap();
        }
        symlink("libteec.so.1", root.join(LIBRARIES).join("libteec.so.2")).unwrap();
    }

    #[test]
    fn what_the_programs_need_is_taken_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        unpacked(folder.path());
        let files = out_of(folder.path()).unwrap();
        let find = |path: &str| files.iter().find(|file| file.path == path).map(|file| &file.what);
        assert_eq!(find("usr/bin/xtest"), Some(&What::File(b"usr/bin/xtest".to_vec())));
        assert_eq!(find("usr/bin/other"), None);
        assert_eq!(find("usr/lib/aarch64-linux-gnu/libssl.so.3"), None);
        assert_eq!(find("usr/lib/aarch64-linux-gnu/libteec.so.2"), Some(&What::Link("libteec.so.1".into())));
        assert!(find(&format!("{APPLICATIONS}/{}", PKCS11[1])).is_some());
        for [path, to] in LINKS {
            assert_eq!(find(path), Some(&What::Link(to.into())));
        }
        // Folders first, each before what is in it; `lib` is in every initramfs.
        let folders = files.iter().take_while(|file| file.what == What::Folder).map(|file| file.path.as_str());
        let folders: Vec<_> = folders.collect();
        assert_eq!(folders[..3], ["usr", "usr/bin", "usr/lib"]);
        assert!(!folders.contains(&"lib"));
        assert!(files[folders.len()..].iter().all(|file| file.what != What::Folder));
    }

    #[test]
    fn a_package_without_what_is_needed_is_told() {
        let folder = tempfile::tempdir().unwrap();
        unpacked(folder.path());
        fs::remove_file(folder.path().join(LIBRARIES).join("libzstd.so.1")).unwrap();
        assert_eq!(out_of(folder.path()).unwrap_err().to_string(), "the packages have no library libzstd.so.*");
        fs::remove_file(folder.path().join("usr/bin/xtest")).unwrap();
        assert_eq!(out_of(folder.path()).unwrap_err().to_string(), "the packages have no usr/bin/xtest");
    }
}
