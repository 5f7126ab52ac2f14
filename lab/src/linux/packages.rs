//! Debian's packages: fetched once, remembered with their SHA-256, fetched again when missing or damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::apt::Apt;
use super::store;

/// A Debian release whose kernel can be the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Suite {
    /// Debian 12, Linux 6.1.
    Bookworm,
    /// Debian 13, Linux 6.12.
    #[default]
    Trixie,
}

impl Suite {
    /// Debian's name of the release.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

impl FromStr for Suite {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "bookworm" => Ok(Self::Bookworm),
            "trixie" => Ok(Self::Trixie),
            _ => bail!("{name} is no Debian release that the Linux guest can be made of: bookworm or trixie"),
        }
    }
}

/// The meta-package that depends on the release's current kernel.
const KERNEL: &str = "linux-image-cloud-arm64";
/// The shell of the initramfs.
const BUSYBOX: &str = "busybox-static";

/// A fetched package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name in Debian.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The name of its file in the release's folder of packages.
    file: String,
    /// SHA-256 of that file, as apt verified it.
    sha256: String,
}

/// Both packages of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// The kernel, its `Image` and modules.
    pub kernel: Package,
    /// The static busybox.
    pub busybox: Package,
}

impl Package {
    /// Where the package is.
    pub fn path(&self, cache: &Path, suite: Suite) -> PathBuf {
        folder(cache, suite).join(&self.file)
    }

    fn is_whole(&self, cache: &Path, suite: Suite) -> bool {
        matches!(store::sha256_of_file(&self.path(cache, suite)), Ok(Some(hash)) if hash == self.sha256)
    }
}

/// The packages of `suite`, from the cache if they are whole there.
///
/// All are fetched anew when one is not: a version that is damaged here may be gone from the archive.
pub fn obtain(cache: &Path, suite: Suite, progress: &dyn Fn(&str)) -> Result<Packages> {
    let record = cache.join(suite.name()).join("packages.toml");
    if let Some(packages) = remembered(&record)
        && packages.kernel.is_whole(cache, suite)
        && packages.busybox.is_whole(cache, suite)
    {
        return Ok(packages);
    }
    let apt = Apt::update(&cache.join(suite.name()).join("apt"), suite, progress)?;
    let kernel = apt.listed(KERNEL)?.depends.into_iter().find(|name| name.starts_with("linux-image-"));
    let kernel = kernel.with_context(|| format!("Debian's {KERNEL} names no kernel"))?;
    store::fresh_folder(&folder(cache, suite))?;
    let packages = Packages {
        kernel: fetch(&apt, &kernel, cache, suite, progress)?,
        busybox: fetch(&apt, BUSYBOX, cache, suite, progress)?,
    };
    let text = toml::to_string(&packages).context("the packages can't be recorded")?;
    store::write(&record, text.as_bytes())?;
    Ok(packages)
}

fn folder(cache: &Path, suite: Suite) -> PathBuf {
    cache.join(suite.name()).join("packages")
}

/// What an earlier run recorded. A record that can't be read is none: the worst is that a package is fetched again.
fn remembered(record: &Path) -> Option<Packages> {
    toml::from_str(&fs::read_to_string(record).ok()?).ok()
}

fn fetch(apt: &Apt, name: &str, cache: &Path, suite: Suite, progress: &dyn Fn(&str)) -> Result<Package> {
    let listed = apt.listed(name)?;
    let folder = folder(cache, suite);
    let arriving = tempfile::tempdir_in(&folder).with_context(|| format!("can't write in {}", folder.display()))?;
    let title = format!("Debian {}: {name} {} ({})", suite.name(), listed.version, size(listed.size));
    progress(&title);
    let package = apt.download(name, arriving.path(), &|step| progress(&format!("{title}, {step}")))?;
    let sha256 = store::sha256_of_file(&package)?.context("the fetched package is gone")?;
    // apt's own name holds an escaped epoch (`1%3a1.37`); a plain one needs no quoting anywhere.
    let file = format!("{name}.deb");
    let path = folder.join(&file);
    fs::rename(&package, &path).with_context(|| format!("can't write {}", path.display()))?;
    Ok(Package { name: name.to_owned(), version: listed.version, file, sha256 })
}

fn size(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(file: &str, content: &[u8]) -> Package {
        Package { name: "p".into(), version: "1".into(), file: file.into(), sha256: store::sha256(content) }
    }

    #[test]
    fn whole_packages_are_taken_from_the_cache_without_apt() {
        let cache = tempfile::tempdir().unwrap();
        let packages = Packages { kernel: package("k.deb", b"kernel"), busybox: package("b.deb", b"busybox") };
        store::write(&packages.kernel.path(cache.path(), Suite::Trixie), b"kernel").unwrap();
        store::write(&packages.busybox.path(cache.path(), Suite::Trixie), b"busybox").unwrap();
        let record = cache.path().join("trixie/packages.toml");
        store::write(&record, toml::to_string(&packages).unwrap().as_bytes()).unwrap();
        let silent = |line: &str| panic!("said {line}");
        assert_eq!(obtain(cache.path(), Suite::Trixie, &silent).unwrap(), packages);
    }

    #[test]
    fn a_damaged_package_is_noticed() {
        let cache = tempfile::tempdir().unwrap();
        let package = package("k.deb", b"kernel");
        assert!(!package.is_whole(cache.path(), Suite::Trixie));
        store::write(&package.path(cache.path(), Suite::Trixie), b"kernex").unwrap();
        assert!(!package.is_whole(cache.path(), Suite::Trixie));
    }

    #[test]
    fn only_known_releases_are_accepted() {
        assert_eq!("bookworm".parse::<Suite>().unwrap(), Suite::Bookworm);
        assert!("buster".parse::<Suite>().unwrap_err().to_string().contains("bookworm or trixie"));
    }

    #[test]
    fn sizes_are_said_in_megabytes() {
        assert_eq!(size(28_391_960), "28.3 MB");
        assert_eq!(size(1464), "0.0 MB");
    }
}
