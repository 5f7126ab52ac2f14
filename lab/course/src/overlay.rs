// SPDX-License-Identifier: MIT OR Apache-2.0
//! A copy of the sources with one file changed: what a student wrote becomes part of a layer.

use anyhow::{Context, Result, ensure};
use lab_run::workspace::{Workspace, write_if_changed};
use std::fs;
use std::path::Path;

/// What of the checkout the layers are built from.
const SOURCES: [&str; 9] =
    ["Cargo.toml", "Cargo.lock", "shared-abi", "support", "secure-monitor", "tee-core", "hypervisor", "images", "lab"];

/// Copies the sources, for builds only, and puts `text` into the place of `file`.
///
/// Only what differs is written, so that cargo builds no more than it must.
pub(super) fn overlay(workspace: &Workspace, file: &str, text: &str) -> Result<Workspace> {
    let folder = workspace.target().join("check/sources");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for name in SOURCES {
        copy(&workspace.root().join(name), &folder.join(name), Path::new(name), Path::new(file))?;
    }
    let place = folder.join(file);
    ensure!(workspace.root().join(file).is_file(), "the layers have no {file} any more");
    write_if_changed(&place, text.as_bytes())?;
    Ok(workspace.with_sources(folder))
}

/// Copies a file or a folder, but not `except`, and no build results. What an earlier copy had and `from` has not any
/// more goes: cargo would find it.
fn copy(from: &Path, to: &Path, name: &Path, except: &Path) -> Result<()> {
    if name == except || name.file_name().is_some_and(|name| name == "target") {
        return Ok(());
    }
    if !from.is_dir() {
        let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        return write_if_changed(to, &bytes);
    }
    if to.is_file() {
        fs::remove_file(to).with_context(|| format!("cannot remove {}", to.display()))?;
    }
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(to).with_context(|| format!("cannot read {}", to.display()))? {
        let old = entry.with_context(|| format!("cannot read {}", to.display()))?.path();
        let new = from.join(old.file_name().unwrap_or_default());
        if new.is_dir() != old.is_dir() || !new.exists() {
            let removed = if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
            removed.with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let leaf = entry.file_name();
        copy(&entry.path(), &to.join(&leaf), &name.join(&leaf), except)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| format!("{} {}", entry.file_name().display(), entry.path().is_dir()))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_copy_follows_what_is_moved_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let copied = || copy(&from, &to, Path::new("lab"), Path::new("lab/mine.rs")).unwrap();
        fs::create_dir_all(from.join("old")).unwrap();
        for file in ["report.rs", "a.rs", "mine.rs", "old/b.rs"] {
            fs::write(from.join(file), file).unwrap();
        }
        copied();
        assert_eq!(files(&to), ["a.rs false", "old true", "report.rs false"]);
        fs::write(to.join("mine.rs"), "the student's").unwrap();
        // A test becomes a folder, and a folder a file.
        fs::remove_file(from.join("report.rs")).unwrap();
        fs::create_dir(from.join("report")).unwrap();
        fs::write(from.join("report/main.rs"), "").unwrap();
        fs::remove_dir_all(from.join("old")).unwrap();
        fs::write(from.join("old"), "").unwrap();
        copied();
        assert_eq!(files(&to), ["a.rs false", "mine.rs false", "old false", "report true"]);
        assert_eq!(fs::read(to.join("mine.rs")).unwrap(), b"the student's");
    }
}
