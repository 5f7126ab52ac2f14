// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where things are: the checkout that the lab works on, and what it writes.
//!
//! Both are found when the lab runs. A built checkout is copied, moved, or one of two; cargo then sees no reason to
//! build the lab anew, so a path that was compiled in would be that of another checkout.

use crate::runs::RunFolder;
use anyhow::{Context, Result};
use rustix::fs::{Access, access};
use std::env;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::Builder;

/// What every checkout has, and no copy of its sources alone.
const MARKS: [&str; 3] = ["Cargo.toml", "lab/Cargo.toml", "scenarios"];
/// What cargo leaves in a target folder (<https://bford.info/cachedir/>).
const CACHE: &str = "CACHEDIR.TAG";

/// The checkout and the folder for everything that can be made again from it.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
    /// Another checkout that the caller stands in.
    passed_over: Option<PathBuf>,
    /// What programs are built from, if it is not the checkout.
    sources: Option<PathBuf>,
}

/// What tells where the lab is.
#[derive(Debug, Default)]
struct Caller {
    /// The folder of the lab's crate, or of one within it, from a cargo that runs it (`CARGO_MANIFEST_DIR`).
    crate_folder: Option<PathBuf>,
    /// The program.
    program: Option<PathBuf>,
    /// The current folder.
    here: Option<PathBuf>,
    /// `CARGO_TARGET_DIR`.
    target: Option<OsString>,
}

impl Caller {
    fn ask() -> Self {
        let program = env::current_exe().ok();
        Self {
            crate_folder: env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from),
            // Where it lies, and not where a link to it does.
            program: program.map(|program| program.canonicalize().unwrap_or(program)),
            here: env::current_dir().ok(),
            // Set but empty is not set, as for cargo.
            target: env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty()),
        }
    }
}

impl Workspace {
    /// Finds the checkout: of the cargo that runs the lab, else that in which the program lies, else that in which the
    /// caller stands.
    pub fn locate() -> Result<Self> {
        Self::of(&Caller::ask())
    }

    fn of(caller: &Caller) -> Result<Self> {
        let mut above = caller.crate_folder.iter().flat_map(|folder| folder.ancestors().skip(1).take(2));
        let by_cargo = above.find(|folder| is_checkout(folder));
        let around = |path: &Option<PathBuf>| path.as_deref().and_then(checkout_around).map(Path::to_path_buf);
        let (lies, stands) = (around(&caller.program), around(&caller.here));
        let root = by_cargo.map(Path::to_path_buf).or(lies).or_else(|| stands.clone()).with_context(|| {
            let here = caller.here.as_deref().unwrap_or(Path::new(".")).display();
            format!("{here} is in no checkout of Triptych, and this lab isn't either; call it from inside one")
        })?;
        // Cargo's own choice of target folder is respected, whatever made it choose: it holds the program that cargo
        // runs.
        let cargos = || caller.program.as_deref()?.ancestors().find(|folder| folder.join(CACHE).is_file());
        let target = match (by_cargo.and_then(|_| cargos()), &caller.target, &caller.here) {
            (Some(folder), ..) => folder.to_path_buf(),
            (None, Some(folder), Some(here)) => here.join(folder),
            (None, Some(folder), None) => folder.into(),
            (None, None, _) => root.join("target"),
        };
        let passed_over = stands.filter(|stands| !is_same(stands, &root));
        Ok(Self { root, target, passed_over, sources: None })
    }

    /// Returns the checkout that the caller stands in, if the lab works on another one.
    pub fn passed_over(&self) -> Option<&Path> {
        self.passed_over.as_deref()
    }

    /// Returns the root of the checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Has programs built from the workspace in another folder.
    pub fn with_sources(&self, folder: PathBuf) -> Self {
        Self { sources: Some(folder), ..self.clone() }
    }

    /// Takes another folder for what can be made again.
    pub fn with_target(&self, target: PathBuf) -> Self {
        Self { target, ..self.clone() }
    }

    /// Returns the workspace that programs are built from.
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

    /// Returns the folder of the contract's program and its lists.
    pub fn contract(&self) -> PathBuf {
        self.root.join("images/contract")
    }

    /// Returns the folder of the files that record packages.
    pub(crate) fn package_records(&self) -> PathBuf {
        self.root.join("images/packages")
    }

    /// Returns the file in which setup writes what it found out about the toolchain.
    pub fn toolchain_file(&self) -> PathBuf {
        self.kept("setup/toolchain.toml")
    }

    /// Returns the folder of downloaded packages and what was made of them.
    pub(crate) fn packages(&self) -> PathBuf {
        self.kept("packages")
    }

    /// Returns the folder of what took a network or minutes: in the checkout's own target folder, whatever
    /// `CARGO_TARGET_DIR` says, unless the checkout can only be read.
    pub fn kept(&self, name: &str) -> PathBuf {
        let own = self.root.join("target");
        let changes = if own.exists() { &own } else { &self.root };
        let folder = if access(changes, Access::WRITE_OK).is_ok() { &own } else { &self.target };
        folder.join(name)
    }

    /// Returns the folder of raw images and the flash made of them.
    pub fn images(&self) -> Result<PathBuf> {
        self.folder("lab/images")
    }

    /// Returns the folder of the layers' ELF files under the names that the gdb script knows.
    pub fn symbols(&self) -> Result<PathBuf> {
        self.folder("lab/symbols")
    }

    /// Says where runs leave their folders.
    pub fn runs(&self) -> PathBuf {
        self.target.join("runs")
    }

    /// Makes a fresh folder for what one run leaves.
    pub fn fresh_run(&self, name: &str) -> Result<RunFolder> {
        RunFolder::fresh(&self.runs().join(name))
    }

    fn folder(&self, name: &str) -> Result<PathBuf> {
        make(self.target.join(name))
    }
}

fn is_checkout(folder: &Path) -> bool {
    MARKS.iter().all(|name| folder.join(name).exists())
}

/// Returns the innermost checkout that holds this path.
fn checkout_around(path: &Path) -> Option<&Path> {
    path.ancestors().find(|folder| is_checkout(folder))
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().ok().is_some_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

fn make(folder: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Writes a file of the lab's own unless it holds these bytes already, so that its time stamp tells when it changed.
/// What the user names is for [`crate::files`]: this replaces whatever has the name.
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    // Through a neighbour: others at work, this lab's threads among them, never see half a file.
    let folder = path.parent().context("a file has a folder")?;
    let replace = || {
        let mut neighbour = Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(folder)?;
        neighbour.write_all(bytes)?;
        neighbour.persist(path)?;
        std::io::Result::Ok(())
    };
    replace().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// A folder with checkouts in it, whose names a shell or an option of QEMU would take apart.
    struct Shelf(TempDir);

    impl Shelf {
        fn new() -> Self {
            Self(TempDir::new().unwrap())
        }

        fn checkout(&self, name: &str) -> PathBuf {
            let root = self.0.path().join(name);
            for folder in ["lab/src", "scenarios", "target/debug/deps"] {
                fs::create_dir_all(root.join(folder)).unwrap();
            }
            for file in ["Cargo.toml", "lab/Cargo.toml", "target/CACHEDIR.TAG"] {
                fs::write(root.join(file), "").unwrap();
            }
            root
        }
    }

    fn direct(program: &Path, here: &Path) -> Caller {
        Caller { program: Some(program.join("target/debug/lab")), here: Some(here.into()), ..Caller::default() }
    }

    fn by_cargo(of: &Path, here: &Path) -> Caller {
        Caller { crate_folder: Some(of.join("lab")), ..direct(of, here) }
    }

    fn found(caller: &Caller) -> (PathBuf, PathBuf) {
        let workspace = Workspace::of(caller).unwrap();
        (workspace.root, workspace.target)
    }

    #[test]
    fn a_lab_works_on_the_checkout_that_it_lies_in_wherever_it_is_called() {
        let shelf = Shelf::new();
        let (one, two) = (shelf.checkout("eins, zwei"), shelf.checkout("Prüf stand"));
        for here in [&one, &two, &two.join("lab/src"), shelf.0.path(), Path::new("/")] {
            let workspace = Workspace::of(&direct(&two, here)).unwrap();
            assert_eq!((workspace.root(), workspace.target()), (two.as_path(), two.join("target").as_path()));
            // Not silently, where another one might have been meant.
            assert_eq!(workspace.passed_over(), (here == one).then_some(one.as_path()));
        }
        // Of one in another, the inner one.
        let inner = shelf.checkout("Prüf stand/wip");
        assert_eq!(found(&direct(&inner, &two)).0, inner);
        assert_eq!(found(&direct(&two, &inner)).0, two);
    }

    #[test]
    fn a_moved_checkout_is_found_where_it_is_now() {
        let shelf = Shelf::new();
        let (old, new) = (shelf.checkout("old"), shelf.0.path().join("new"));
        fs::rename(&old, &new).unwrap();
        assert_eq!(found(&direct(&new, Path::new("/"))).0, new);
        assert_eq!(found(&by_cargo(&new, &new.join("lab"))).0, new);
    }

    #[test]
    fn what_cargo_runs_works_on_cargos_workspace_and_in_its_target_folder() {
        let shelf = Shelf::new();
        let (one, two) = (shelf.checkout("one"), shelf.checkout("two"));
        // `cargo run --manifest-path`.
        assert_eq!(found(&by_cargo(&one, &two)), (one.clone(), one.join("target")));
        // `CARGO_TARGET_DIR` or a setting: the program lies in the other's folder, and says which that is.
        let shared = Caller { crate_folder: Some(one.join("lab")), ..direct(&two, &one) };
        assert_eq!(found(&shared), (one.clone(), two.join("target")));
        // A test of a crate within the lab's.
        let station = Caller { crate_folder: Some(one.join("lab/run")), ..direct(&two, &two) };
        assert_eq!(found(&station), (one.clone(), two.join("target")));
        // A test, which cargo starts in another folder than the one to which the variable is relative.
        let test = Caller {
            program: Some(two.join("target/debug/deps/scenarios-0123")),
            target: Some("../two/target".into()),
            ..by_cargo(&one, &one.join("lab"))
        };
        assert_eq!(found(&test), (one, two.join("target")));
    }

    #[test]
    fn a_file_is_replaced_whole_by_whichever_thread() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("image.bin");
        std::thread::scope(|scope| {
            for n in 0..4 {
                let file = &file;
                scope.spawn(move || (0..50).for_each(|m| write_if_changed(file, &[n; 4096][..4000 + m]).unwrap()));
            }
        });
        let bytes = fs::read(&file).unwrap();
        assert!(bytes.len() >= 4000 && bytes.iter().all(|byte| *byte == bytes[0]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        // Others may read it, as what any program writes.
        fs::write(folder.path().join("other"), "").unwrap();
        let mode = |name: &str| folder.path().join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode("image.bin"), mode("other"));
    }

    #[test]
    fn another_crates_cargo_says_nothing_about_the_lab() {
        let shelf = Shelf::new();
        let (one, other) = (shelf.checkout("one"), shelf.0.path().join("other/crate"));
        assert_eq!(found(&Caller { crate_folder: Some(other), ..direct(&one, Path::new("/")) }).0, one);
    }

    #[test]
    fn a_lab_outside_of_every_checkout_works_on_the_one_that_the_caller_stands_in() {
        let shelf = Shelf::new();
        let one = shelf.checkout("one");
        let installed = Caller { program: Some("/usr/local/bin/lab".into()), ..direct(&one, &one.join("lab/src")) };
        assert_eq!(found(&installed), (one.clone(), one.join("target")));
        let target = Some("there".into());
        assert_eq!(found(&Caller { target, ..installed }).1, one.join("lab/src/there"), "as cargo reads it");
        let error = Workspace::of(&direct(Path::new("/usr"), shelf.0.path())).unwrap_err().to_string();
        assert!(error.contains("in no checkout") && error.contains(shelf.0.path().to_str().unwrap()), "{error}");
    }
}
