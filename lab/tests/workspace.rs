// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab in checkouts that were copied, moved, or are one of two: it works on the one that is meant.

mod program;

use lab_run::workspace::Workspace;
use program::lab;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A folder for checkouts, under the target folder, where the lab's program needs no copying to.
struct Shelf(TempDir);

impl Shelf {
    fn new() -> Self {
        Self(TempDir::new_in(Workspace::locate().unwrap().target()).unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes a checkout that is built as far as the lab knows one.
    fn checkout(&self, name: &str) -> PathBuf {
        let root = self.path().join(name);
        for folder in ["lab", "scenarios", "target/debug"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in ["Cargo.toml", "lab/Cargo.toml", "target/CACHEDIR.TAG"] {
            fs::write(root.join(file), "").unwrap();
        }
        fs::hard_link(lab(), root.join("target/debug/lab")).unwrap();
        root
    }
}

/// Calls a lab by its path, as from a shell: no cargo says where it is.
fn call(program: &Path, here: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(here).env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_TARGET_DIR");
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Says where a lab looks for runs, which its complaint about one that is not there tells.
fn looks_in(mut command: Command) -> PathBuf {
    let text = said(&command.args(["trace", "no-such-run"]).output().unwrap());
    let runs = text.trim_end().rsplit(" makes one in ").next().unwrap();
    Path::new(runs).parent().unwrap_or_else(|| panic!("{text}")).to_path_buf()
}

#[test]
fn a_copied_or_moved_lab_works_on_its_own_checkout_from_everywhere() {
    let shelf = Shelf::new();
    let (one, two) = (shelf.checkout("one"), shelf.checkout("zwei, für später"));
    for root in [&one, &two] {
        for here in [root, &root.join("lab"), &one, &two, shelf.path(), Path::new("/")] {
            let lab = root.join("target/debug/lab");
            assert_eq!(looks_in(call(&lab, here)), root.join("target"), "in {}", here.display());
        }
    }
    let moved = shelf.path().join("moved");
    fs::rename(&one, &moved).unwrap();
    assert_eq!(looks_in(call(&moved.join("target/debug/lab"), &two)), moved.join("target"));
    // And says so, where the other one might have been meant.
    let output = call(&moved.join("target/debug/lab"), &two).args(["trace", "none"]).output().unwrap();
    assert!(said(&output).contains(&format!("not on {}", two.display())), "{}", said(&output));
}

#[test]
fn a_lab_outside_of_every_checkout_works_on_the_one_that_it_is_called_in() {
    let shelf = Shelf::new();
    let checkout = shelf.checkout("one");
    let outside = TempDir::new().unwrap();
    let installed = outside.path().join("lab");
    // Another process copies it: one that a test starts meanwhile would keep it open for writing, and it could not run.
    copy(&lab(), &installed);
    assert_eq!(looks_in(call(&installed, &checkout.join("scenarios"))), checkout.join("target"));
    let mut elsewhere = call(&installed, &checkout.join("scenarios"));
    elsewhere.env("CARGO_TARGET_DIR", "built");
    assert_eq!(looks_in(elsewhere), checkout.join("scenarios/built"));
    let output = call(&installed, outside.path()).args(["trace", "none"]).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("in no checkout of Triptych"), "{}", said(&output));
}

/// Copies what is copied of a checkout; links stay links, and times stay.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// Builds the monitor; from folder to folder nothing but the lab's own path says which one.
fn flash(root: &Path) {
    let mut command = call(&root.join("target/debug/lab"), Path::new("/"));
    command.args(["flash", "--no-tee", "--bl33"]).arg(root.join("Cargo.toml"));
    let output = command.arg("-o").arg(root.join("flash.bin")).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

/// Cargo takes what is in a copied target folder for its own and builds nothing that has not changed.
#[test]
#[ignore = "builds the monitor three times"]
fn a_copied_checkout_is_built_from_its_own_files_into_its_own_folder() {
    let (shelf, workspace) = (Shelf::new(), Workspace::locate().unwrap());
    let one = shelf.checkout("one");
    for name in ["Cargo.toml", "Cargo.lock", "lab", "shared-abi", "support"] {
        copy(&workspace.root().join(name), &one);
    }
    for name in ["secure-monitor", "tee-core", "hypervisor", "images"] {
        copy(&workspace.root().join(name), &one);
    }
    if workspace.toolchain_file().is_file() {
        fs::create_dir_all(one.join("target/setup")).unwrap();
        fs::copy(workspace.toolchain_file(), one.join("target/setup/toolchain.toml")).unwrap();
    }
    flash(&one);
    let two = shelf.path().join("and the other");
    copy(&one, &two);
    let image = |root: &Path| root.join("target/lab/images/runtime.bin");
    let before = fs::read(image(&one)).unwrap();
    // What of the first the second one must not use, and what it has to build.
    for script in ["boot.ld", "runtime.ld"] {
        fs::write(one.join("secure-monitor/ld").join(script), "no linker script").unwrap();
    }
    let greeting = "\"Triptych secure monitor {}\"";
    let edit = |root: &Path, greeting: &str, to: &str| {
        let file = root.join("secure-monitor/src/boot/main.rs");
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.matches(greeting).count(), 1);
        fs::write(&file, text.replace(greeting, to)).unwrap();
    };
    let holds = |root: &Path, text: &str| {
        fs::read(root.join("flash.bin")).unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    };
    edit(&two, greeting, "\"the copy's monitor {}\"");
    flash(&two);
    assert!(holds(&two, "the copy's monitor") && !holds(&one, "the copy's monitor"));
    assert_eq!(fs::read(image(&one)).unwrap(), before);
    // Moved while the first is gone.
    fs::remove_dir_all(&one).unwrap();
    let three = shelf.path().join("three");
    fs::rename(&two, &three).unwrap();
    edit(&three, "\"the copy's monitor {}\"", "\"the moved monitor {}\"");
    flash(&three);
    assert!(holds(&three, "the moved monitor"));
}

#[test]
fn no_source_compiles_the_checkouts_path_in() {
    fn search(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                search(&path, found);
            } else if name.ends_with(".rs") {
                // In two parts each, or this file would be found. What a build script says cargo keeps, too.
                let compiled = [concat!("en", "v!(\"CARGO_"), concat!("en", "v!(\"OUT_DIR")];
                let says = name == "build.rs" || path.ends_with("support/link/src/lib.rs");
                let said = says.then_some("CARGO_MANIFEST_DIR");
                let text = fs::read_to_string(&path).unwrap().replace(concat!("en", "v!(\"CARGO_PKG_"), "");
                let names = compiled.iter().copied().chain(said);
                let lines = text.lines().filter(|line| names.clone().any(|name| line.contains(name)));
                found.extend(lines.map(|line| format!("{}: {line}", path.display())));
            }
        }
    }
    let mut found = Vec::new();
    search(Workspace::locate().unwrap().root(), &mut found);
    assert!(found.is_empty(), "ask when it runs: Workspace::locate(), tests/program\n{}", found.join("\n"));
}
