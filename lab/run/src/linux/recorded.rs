// SPDX-License-Identifier: MIT OR Apache-2.0
//! The record: which packages the Linux guest is made of, in `images/linux/packages.toml`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::store;

/// What the file begins with when it is written anew.
const HEADER: &str = "\
# What the Linux guest is made of: packages of Debian's, fetched from any of its mirrors and held against these hashes.
# A mirror has a version for as long as some release of Debian's has it. When one is gone the current one is used, and
# every run says so; `cargo lab fetch --newest` records the current ones here.

";

/// The packages that the tests were last seen to pass with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Recorded {
    /// Debian's name of the release that they are of.
    pub release: String,
    /// The kernel, its `Image` and modules.
    pub kernel: Package,
    /// The static busybox.
    pub busybox: Package,
}

/// A package, in one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Package {
    /// Its name in Debian.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it is below a mirror's address.
    pub file: String,
    /// SHA-256 of that file.
    pub sha256: String,
}

impl Recorded {
    /// Reads the record.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no record of packages", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let recorded: Self = toml::from_str(text)?;
        let release = &recorded.release;
        ensure!(is_made_of(release, &|c| c.is_ascii_lowercase()), "`{release}` is no release's name");
        recorded.kernel.check()?;
        recorded.busybox.check()?;
        Ok(recorded)
    }

    /// Writes the record.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self).context("the packages can't be recorded")?;
        store::write(path, format!("{HEADER}{text}").as_bytes())
    }

    /// Returns what tells this record from another one.
    pub(super) fn hash(&self) -> Result<String> {
        Ok(store::sha256(toml::to_string(self).context("the record can't be hashed")?.as_bytes()))
    }
}

impl Package {
    /// Checks a package's words: its name becomes a file's, its place a part of an address.
    fn check(&self) -> Result<()> {
        let Self { name, file, sha256, .. } = self;
        // Debian policy 5.6.1.
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        ensure!(is_made_of(name, &plain) && !name.starts_with('.'), "`{name}` is no package's name");
        let inside = !file.starts_with('/') && file.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
        ensure!(inside, "`{file}` is no place on a mirror");
        let is_hash = sha256.len() == 64 && is_made_of(sha256, &|c| matches!(c, '0'..='9' | 'a'..='f'));
        ensure!(is_hash, "`{sha256}` is no SHA-256 in small hexadecimal digits");
        Ok(())
    }

    /// Writes name and version, for people.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

fn is_made_of(text: &str, of: &dyn Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
        release = 'trixie'\n\
        kernel = { name = 'linux-image-6+deb', version = '6', file = 'pool/k_6_arm64.deb', sha256 = 'HASH' }\n\
        busybox = { name = 'busybox', version = '1:2', file = 'pool/b_2_arm64.deb', sha256 = 'HASH' }\n";

    fn parse(text: &str) -> Result<Recorded> {
        Recorded::parse(&text.replace("HASH", &"0f".repeat(32)))
    }

    #[test]
    fn a_record_that_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packages.toml");
        let recorded = parse(TEXT).unwrap();
        recorded.write(&path).unwrap();
        assert_eq!(Recorded::read(&path).unwrap(), recorded);
        assert!(fs::read_to_string(&path).unwrap().starts_with("# What"));
    }

    #[test]
    fn records_that_differ_in_anything_differ_in_their_hash() {
        let hash = |text: &str| parse(text).unwrap().hash().unwrap();
        assert_eq!(hash(TEXT), hash(&format!("# A comment.\n{TEXT}")));
        assert_ne!(hash(TEXT), hash(&TEXT.replace("1:2", "1:3")));
        assert_ne!(hash(TEXT), hash(&TEXT.replace("trixie", "forky")));
    }

    #[test]
    fn what_would_leave_its_folder_or_is_no_hash_is_refused() {
        for (right, wrong, named) in [
            ("trixie", "../trixie", "no release's name"),
            ("'busybox'", "'../busybox'", "no package's name"),
            ("'busybox'", "''", "no package's name"),
            ("pool/b", "pool/../b", "no place on a mirror"),
            ("pool/b", "/pool/b", "no place on a mirror"),
            ("HASH", "abc", "no SHA-256"),
            ("release", "suite", "unknown field"),
        ] {
            let error = format!("{:#}", parse(&TEXT.replace(right, wrong)).unwrap_err());
            assert!(error.contains(named), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_trees_record_is_one() {
        let root = crate::workspace::Workspace::locate().unwrap().root().to_path_buf();
        let path = root.join("images/linux/packages.toml");
        let recorded = Recorded::read(&path).unwrap();
        let folder = tempfile::tempdir().unwrap();
        recorded.write(&folder.path().join("again")).unwrap();
        // As `cargo lab fetch --newest` would write it.
        let again = fs::read_to_string(folder.path().join("again")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), again);
    }
}
