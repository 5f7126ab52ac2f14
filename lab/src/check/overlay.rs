//! A copy of the sources with one file changed: what a student wrote becomes part of a layer.

use crate::workspace::{Workspace, write_if_changed};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;

/// What of the checkout the layers are built from.
const SOURCES: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "shared-abi",
    "secure-monitor",
    "tee-core",
    "hypervisor",
    "images",
    "lab/Cargo.toml",
    "lab/src",
    "lab/tests",
];

/// Copies the sources, for builds only, and puts `text` into the place of `file`.
///
/// Only what differs is written, so that cargo builds no more than it must.
pub fn overlay(workspace: &Workspace, file: &str, text: &str) -> Result<Workspace> {
    let folder = workspace.target().join("check/sources");
    for part in ["images", "lab"] {
        let part = folder.join(part);
        fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
    }
    for name in SOURCES {
        copy(&workspace.root().join(name), &folder.join(name), Path::new(name), Path::new(file))?;
    }
    let place = folder.join(file);
    ensure!(workspace.root().join(file).is_file(), "the layers have no {file} any more");
    write_if_changed(&place, text.as_bytes())?;
    Ok(workspace.with_sources(folder))
}

/// Copies a file or a folder, but not `except`, and no build results.
fn copy(from: &Path, to: &Path, name: &Path, except: &Path) -> Result<()> {
    if name == except || name.file_name().is_some_and(|name| name == "target") {
        return Ok(());
    }
    if !from.is_dir() {
        let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        return write_if_changed(to, &bytes);
    }
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let leaf = entry.file_name();
        copy(&entry.path(), &to.join(&leaf), &name.join(&leaf), except)?;
    }
    Ok(())
}
