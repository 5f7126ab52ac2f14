// SPDX-License-Identifier: MIT OR Apache-2.0
//! A record of packages: `images/packages/*.toml`, each the set that one thing is made of.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::store;

/// The packages that the tests were last seen to pass with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    /// Debian's name of the release that they are of.
    pub release: String,
    /// Each by what it is for.
    #[serde(flatten)]
    pub packages: BTreeMap<String, Package>,
}

/// A package, in one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Package {
    /// Its name in Debian.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it is below a mirror's address.
    pub file: String,
    /// SHA-256 of that file.
    pub sha256: String,
    /// The meta-package whose first dependency it is: what the release's current one is called says that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,
}

impl Recorded {
    /// Reads the record.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no record of packages", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let recorded: Self = toml::from_str(text)?;
        let release = &recorded.release;
        ensure!(is_made_of(release, &|c| c.is_ascii_lowercase()), "`{release}` is no release's name");
        ensure!(!recorded.packages.is_empty(), "it names no package");
        recorded.packages.values().try_for_each(Package::check)?;
        Ok(recorded)
    }

    /// Writes the record in an older one's place, whose comments it keeps.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let old = fs::read_to_string(path).unwrap_or_default();
        let comments = old.split_inclusive('\n').take_while(|line| line.starts_with('#') || line.trim().is_empty());
        let text = toml::to_string(self).context("the packages can't be recorded")?;
        store::write(path, (comments.collect::<String>() + &text).as_bytes())
    }

    /// Returns what tells this record from another one.
    pub(crate) fn hash(&self) -> Result<String> {
        Ok(store::sha256(toml::to_string(self).context("the record can't be hashed")?.as_bytes()))
    }
}

impl Package {
    /// Checks a package's words: its name becomes a file's, its place a part of an address.
    fn check(&self) -> Result<()> {
        let Self { name, file, sha256, follows, .. } = self;
        // Debian policy 5.6.1.
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        for name in [Some(name), follows.as_ref()].into_iter().flatten() {
            ensure!(is_made_of(name, &plain) && !name.starts_with(['.', '-']), "`{name}` is no package's name");
        }
        let inside = !file.starts_with('/') && file.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
        ensure!(inside, "`{file}` is no place on a mirror");
        let is_hash = sha256.len() == 64 && is_made_of(sha256, &|c| matches!(c, '0'..='9' | 'a'..='f'));
        ensure!(is_hash, "`{sha256}` is no SHA-256 in small hexadecimal digits");
        Ok(())
    }

    /// Writes name and version, for people.
    pub(crate) fn title(&self) -> String {
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
        kernel = { name = 'linux-image-6+deb', version = '6', file = 'pool/k_6_arm64.deb', sha256 = 'HASH', \
        follows = 'linux-image' }\n\
        busybox = { name = 'busybox', version = '1:2', file = 'pool/b_2_arm64.deb', sha256 = 'HASH' }\n";

    fn parse(text: &str) -> Result<Recorded> {
        Recorded::parse(&text.replace("HASH", &"0f".repeat(32)))
    }

    #[test]
    fn a_record_that_is_written_is_read_again_under_its_old_comments() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packages.toml");
        let recorded = parse(TEXT).unwrap();
        fs::write(&path, "# What it is for.\n\nrelease = 'bookworm'\n# Gone.\n").unwrap();
        recorded.write(&path).unwrap();
        assert_eq!(Recorded::read(&path).unwrap(), recorded);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# What it is for.\n\nrelease = \"trixie\"\n"), "{text}");
        assert!(!text.contains("Gone"));
        assert_eq!(recorded.packages["kernel"].follows.as_deref(), Some("linux-image"));
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
            ("release", "suite", "missing field"),
            ("'linux-image'", "'-o'", "no package's name"),
        ] {
            let error = format!("{:#}", parse(&TEXT.replace(right, wrong)).unwrap_err());
            assert!(error.contains(named), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_record_of_nothing_is_none() {
        assert!(Recorded::parse("release = 'trixie'\n").is_err());
    }

    #[test]
    fn the_trees_records_are_such() {
        let folder = crate::workspace::Workspace::locate().unwrap().package_records();
        let records: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!records.is_empty());
        for path in records {
            let recorded = Recorded::read(&path).unwrap();
            // As `cargo lab fetch --newest` would write it.
            let before = fs::read_to_string(&path).unwrap();
            let temporary = tempfile::tempdir().unwrap();
            let again = temporary.path().join("again");
            fs::copy(&path, &again).unwrap();
            recorded.write(&again).unwrap();
            assert_eq!(before, fs::read_to_string(again).unwrap(), "{}", path.display());
        }
    }
}
