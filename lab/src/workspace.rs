//! Where things are: the checkout that this lab was built from, and what it writes.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The checkout and the folder for everything that can be made again from it.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
    /// What programs are built from, if it is not the checkout.
    sources: Option<PathBuf>,
}

impl Workspace {
    /// The checkout that holds this crate. Cargo's own choice of target folder is respected.
    pub fn locate() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the lab's crate has no parent folder")?
            .to_path_buf();
        // Set but empty is not set, as for cargo.
        let folder = std::env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty());
        let target = root.join(folder.unwrap_or_else(|| "target".into()));
        Ok(Self { root, target, sources: None })
    }

    /// The root of the checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The same, but programs are built from the workspace in another folder.
    pub fn with_sources(&self, folder: PathBuf) -> Self {
        Self { sources: Some(folder), ..self.clone() }
    }

    /// The same with another folder for what can be made again.
    pub fn with_target(&self, target: PathBuf) -> Self {
        Self { target, ..self.clone() }
    }

    /// The workspace that programs are built from.
    pub fn sources(&self) -> &Path {
        self.sources.as_deref().unwrap_or(&self.root)
    }

    /// Cargo's target folder.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// `scenarios/` of the checkout.
    pub fn scenarios(&self) -> PathBuf {
        self.root.join("scenarios")
    }

    /// The contract's program and its lists.
    pub fn contract(&self) -> PathBuf {
        self.root.join("images/contract")
    }

    /// What setup found out about the toolchain.
    pub fn toolchain_file(&self) -> PathBuf {
        self.root.join("target/setup/toolchain.toml")
    }

    /// Downloaded packages and what was made of them; kept in the checkout's own target folder, whatever
    /// `CARGO_TARGET_DIR` says, because fetching is what costs a network.
    pub fn packages(&self) -> PathBuf {
        self.root.join("target/packages")
    }

    /// Raw images and the flash made of them.
    pub fn images(&self) -> Result<PathBuf> {
        self.folder("lab/images")
    }

    /// The layers' ELF files under the names that the gdb script knows.
    pub fn symbols(&self) -> Result<PathBuf> {
        self.folder("lab/symbols")
    }

    /// A fresh folder for the logs of one run.
    pub fn fresh_run(&self, name: &str) -> Result<PathBuf> {
        let folder = self.target.join("runs").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove the old logs in {}", folder.display()))?;
        }
        make(folder)
    }

    fn folder(&self, name: &str) -> Result<PathBuf> {
        make(self.target.join(name))
    }
}

fn make(folder: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Writes a file unless it holds these bytes already, so that its time stamp tells when it changed.
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    // Through a neighbour: two labs at work never see half a file.
    let mut neighbour = path.as_os_str().to_owned();
    neighbour.push(format!(".{}", std::process::id()));
    fs::write(&neighbour, bytes)
        .and_then(|()| fs::rename(&neighbour, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
