// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rooms of the layers: `lib.rs` of each says in which order they stand, imports go down that list only, and no
//! circle goes through more than one folder. And the crates: which imports which.

mod order;
mod source;

use lab_run::workspace::Workspace;
use order::{circles, faults};
use source::{Crate, Texts, texts};
use std::collections::BTreeSet;
use std::fs;

/// The crates that say an order, and the files of their programs.
const CRATES: [(&str, &[&str]); 6] = [
    ("support/firmware", &[]),
    ("lab", &["main.rs"]),
    ("lab/run", &[]),
    ("hypervisor", &["main.rs"]),
    ("secure-monitor", &["boot/main.rs", "runtime/main.rs"]),
    ("tee-core", &["main.rs"]),
];

fn of_workspace(name: &str) -> Texts {
    texts(&Workspace::locate().unwrap().root().join(name).join("src"))
}

fn read(name: &str, programs: &[&str], texts: &Texts) -> Crate {
    // The crates in the lab's folder have its name before theirs.
    let name = name.replace("lab/", "lab-");
    Crate::read(&name.replace('-', "_"), programs, texts)
}

#[test]
fn imports_go_down_the_order_that_a_crate_says() {
    for (name, programs) in CRATES {
        let texts = of_workspace(name);
        let read = read(name, programs, &texts);
        let faults = faults(&read);
        assert!(faults.is_empty(), "{name}:\n{}", faults.join("\n"));
        assert!(read.left.is_empty(), "{name}: in no module: {:?}", read.left);
    }
}

/// Lists every other crate of the workspace with a library.
fn without_an_order() -> Vec<String> {
    let members = manifest("")["workspace"]["members"].as_array().unwrap().clone();
    let members = members.iter().map(|member| member.as_str().unwrap().to_owned());
    members.filter(|member| CRATES.iter().all(|(name, _)| name != member)).collect()
}

#[test]
fn no_circle_goes_through_more_than_one_folder_of_any_crate() {
    for name in without_an_order() {
        let texts = of_workspace(&name);
        let programs: Vec<_> = texts.keys().map(String::as_str).filter(|file| *file == "main.rs").collect();
        let read = read(&name, &programs, &texts);
        assert!(read.left.is_empty(), "{name}: in no module: {:?}", read.left);
        let circles = circles(&read);
        assert!(circles.is_empty(), "{name}: {circles:?}");
    }
}

#[test]
fn one_import_that_goes_up_is_found_in_every_room_of_every_crate() {
    for (name, programs) in CRATES {
        let texts = of_workspace(name);
        let whole = read(name, programs, &texts);
        let order = order::lines(&whole.about);
        let top = &order[0][0];
        let lower = order.iter().skip(1).flatten();
        for room in lower {
            let file = [format!("{room}.rs"), format!("{room}/mod.rs")];
            let file = file.iter().find(|file| texts.contains_key(*file)).unwrap();
            let mut texts = texts.clone();
            texts.get_mut(file).unwrap().push_str(&format!("use crate::{top}::Anything;"));
            let faults = faults(&read(name, programs, &texts));
            let fault = format!("{file}: `{room}` imports crate::{top}::Anything, which stands above it");
            assert!(faults.contains(&fault), "{name}: {faults:?}");
        }
    }
}

/// Makes a crate of these files, whose order is the first.
fn small(files: &[(&str, &str)]) -> Vec<String> {
    let texts = files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    faults(&Crate::read("small", &["high/main.rs"], &texts))
}

const LIB: &str = "//! A crate.
//!
//! # Rooms
//!
//! 1. `high`: the program
//! 2. `left`, `right`: two
//! 3. `low`: the ground

pub mod high;
pub mod left;
pub mod low;
pub mod right;
";

/// Returns these files with some others in their place.
fn with<'a>(changed: &[(&'a str, &'a str)]) -> Vec<String> {
    let mut files: Vec<(&'a str, &'a str)> = vec![
        ("lib.rs", LIB),
        ("high/mod.rs", "use crate::left::Left;"),
        ("high/main.rs", "mod stage { use small::{right, left::{self, Left}}; use super::other; } fn other() {}"),
        ("left/mod.rs", "mod inner; pub use inner::Left; use crate::low::Low;"),
        ("left/inner.rs", "use super::super::low; pub struct Left(low::Low);"),
        ("right.rs", "fn f() -> crate::low::Low { crate::low::Low }"),
        ("low.rs", "pub struct Low; #[cfg(test)] mod tests { use crate::high::main; }"),
    ];
    files.retain(|(name, _)| changed.iter().all(|(other, _)| name != other));
    files.extend(changed);
    small(&files)
}

#[test]
fn what_goes_down_is_no_fault_nor_is_what_only_tests_import() {
    assert_eq!(with(&[]), [""; 0]);
    assert_eq!(
        with(&[("low.rs", "#[cfg(all(test, unix))] use crate::high::a; #[test] fn f() { crate::left::g() }")]),
        [""; 0]
    );
}

#[test]
fn what_stands_in_a_modules_place_in_some_builds_is_of_the_room_that_its_file_is_in() {
    let seam = "#[cfg_attr(odd, path = \"../high/seam.rs\")] mod seam; mod inner; pub use inner::Left;";
    let files = |usual, odd| with(&[("left/mod.rs", seam), ("left/seam.rs", usual), ("high/seam.rs", odd)]);
    assert_eq!(files("use crate::low::Low;", "use crate::right::f; use super::inner; use crate::high::own;"), [""; 0]);
    let fault = "left/seam.rs: `left` imports crate::high::own, which stands above it";
    assert!(files("use crate::high::own;", "").iter().any(|found| found == fault));
}

#[test]
fn a_file_that_no_module_has_is_told_from_one_that_only_tests_have() {
    let files = [("lib.rs", "mod a; #[cfg(test)] mod b;"), ("a.rs", ""), ("b.rs", ""), ("b/c.rs", ""), ("bc.rs", "")];
    let texts = files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    let left = Crate::read("small", &[], &texts).left;
    assert_eq!(left.into_iter().collect::<Vec<_>>(), ["bc.rs"]);
}

#[test]
fn what_goes_up_or_aside_is_named_however_it_is_written() {
    for (text, path) in [
        ("use crate::high::Anything;", "crate::high::Anything"),
        ("use crate::{low::Low as L, high as h};", "crate::high"),
        ("fn f() { super::high::f() }", "super::high::f"),
        ("fn f() { g!(1, crate::high::f) }", "crate::high::f"),
        ("macro_rules! m { () => { $crate::high::f() } }", "crate::high::f"),
        ("type T = Option<crate::high::T>;", "crate::high::T"),
        ("#[cfg(not(test))] use crate::high::T;", "crate::high::T"),
        ("#[cfg(any(test, unix))] use crate::high::T;", "crate::high::T"),
        ("mod inner { use super::super::high::T; }", "super::super::high::T"),
    ] {
        let text = format!("{text} pub struct Low;");
        assert_eq!(
            with(&[("low.rs", &text)]),
            [
                format!("low.rs: `low` imports {path}, which stands above it"),
                "a circle across folders: high/mod.rs, left/inner.rs, left/mod.rs, low.rs".into()
            ],
            "{text}"
        );
    }
    assert_eq!(
        with(&[("right.rs", "use crate::left::Left;")]),
        ["right.rs: `right` imports crate::left::Left, which stands beside it"]
    );
    assert_eq!(
        with(&[("right.rs", "use crate::Everything;")]),
        ["right.rs: `right` imports crate::Everything, which is in no room"]
    );
}

#[test]
fn a_circle_through_two_folders_of_one_room_is_named_with_its_files() {
    let files = [
        ("left/mod.rs", "mod one; mod two;"),
        ("left/one.rs", "mod deep;"),
        ("left/one/deep.rs", "use crate::left::two;"),
        ("left/two.rs", "use super::one::deep;"),
        ("left/inner.rs", ""),
    ];
    assert_eq!(with(&files), ["a circle across folders: left/one/deep.rs, left/two.rs"]);
    // In one folder, and a file with the folder of its name, may.
    let files = [
        ("left/mod.rs", "mod one; mod two;"),
        ("left/one.rs", "mod deep; use deep::D; use super::two;"),
        ("left/one/deep.rs", "use super::E;"),
        ("left/two.rs", "use super::one;"),
    ];
    assert_eq!(with(&files), ["a circle across folders: left/one.rs, left/one/deep.rs, left/two.rs"]);
    let files = [
        ("left/mod.rs", "mod one; mod two;"),
        ("left/one.rs", "mod deep; use deep::D;"),
        ("left/one/deep.rs", "use super::E;"),
        ("left/two.rs", "use super::one; use crate::left::F;"),
    ];
    assert_eq!(with(&files), [""; 0]);
}

#[test]
fn every_room_has_one_place_and_every_place_a_room() {
    let lib = |order: &str| {
        let list: String = order.lines().map(|line| format!("//! {line}\n")).collect();
        let modules = "pub mod high;\npub mod left;\npub mod low;\npub mod right;\n";
        format!("//! # Rooms\n{list}\n{modules}")
    };
    for (order, fault) in [
        ("", "lib.rs says no order: it has no numbered list under `# Rooms`"),
        ("1. `high`: a\n2. `left`, `right`: b", "lib.rs: `low` has no place in the order"),
        ("1. `high`: a\n2. `left`, `right`: b\n3. `low`: c\n4. `cellar`: d", "lib.rs: there is no `cellar`"),
        ("1. `high`: a\n2. `left`, `right`: b\n3. `low`, `low`: c", "lib.rs: `low` stands twice"),
    ] {
        let faults = with(&[("lib.rs", &lib(order))]);
        assert!(faults.iter().any(|found| found == fault), "{order}: {faults:?}");
    }
}

/// Which rooms of a layer know the board; all others are told. The TEE's map of memory knows which devices are no
/// memory, the hypervisor's guests find the board's devices where QEMU has them.
const KNOW_THE_BOARD: [(&str, &[&str]); 3] = [
    ("hypervisor", &["device", "interrupts", "platform", "vgic"]),
    ("secure-monitor", &["platform"]),
    ("tee-core", &["memory", "platform"]),
];

#[test]
fn the_board_is_known_where_devices_are_driven_alone() {
    for (name, rooms) in KNOW_THE_BOARD {
        let texts = of_workspace(name);
        let knowing = texts.iter().filter(|(_, text)| text.contains("firmware_support::board"));
        let knowing: BTreeSet<_> = knowing.map(|(file, _)| order::room(file)).collect();
        assert_eq!(knowing, rooms.iter().copied().collect(), "{name}");
    }
}

/// Which crates of the workspace a crate may import, in builds that are no tests: as HACKING.md has it.
const IMPORTS: [(&str, &[&str]); 20] = [
    ("shared-abi", &[]),
    ("support/link", &[]),
    ("support/firmware", &["shared-abi"]),
    ("secure-monitor", &FOUNDATIONS),
    ("tee-core", &FOUNDATIONS),
    ("hypervisor", &FOUNDATIONS),
    ("images/bare-guest", &FOUNDATIONS),
    ("images/contract", &FOUNDATIONS),
    ("images/linux-client", &FOUNDATIONS),
    ("images/probe", &FOUNDATIONS),
    ("images/worlds", &FOUNDATIONS),
    ("lab/trace", &["shared-abi"]),
    ("lab/script", &["shared-abi", "firmware-support", "probe"]),
    ("lab/run", &["shared-abi", "bare-guest", "hypervisor", "probe", "lab-script", "lab-trace"]),
    ("lab/report", &["shared-abi", "lab-run", "lab-trace"]),
    ("lab/assay", &["lab-run"]),
    ("lab/bench", &["shared-abi", "lab-run"]),
    ("lab/reproduce", &["shared-abi", "lab-run", "lab-script"]),
    ("lab/course", &["shared-abi", "worlds", "lab-run", "lab-script", "lab-reproduce"]),
    (
        "lab",
        &[
            "shared-abi",
            "lab-trace",
            "lab-script",
            "lab-run",
            "lab-report",
            "lab-assay",
            "lab-bench",
            "lab-reproduce",
            "lab-course",
        ],
    ),
];
const FOUNDATIONS: [&str; 3] = ["shared-abi", "firmware-support", "firmware-link"];

/// Lists the dependencies that a manifest names, but for its tests': `[dependencies]`, `[build-dependencies]`, and the
/// same of a target.
fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let of_targets = manifest.get("target").and_then(|targets| targets.as_table()).into_iter().flatten();
    let tables = of_targets.filter_map(|(_, target)| target.as_table()).chain([manifest]);
    let named = tables.flat_map(|table| ["dependencies", "build-dependencies"].map(|kind| table.get(kind)));
    let named = named.flatten().filter_map(|named| named.as_table());
    named.flat_map(|named| named.keys().cloned()).collect()
}

fn manifest(folder: &str) -> toml::Table {
    let file = Workspace::locate().unwrap().root().join(folder).join("Cargo.toml");
    fs::read_to_string(&file).unwrap().parse().unwrap()
}

#[test]
fn a_crate_imports_what_stands_below_it() {
    let root = manifest("");
    let members = root["workspace"]["members"].as_array().unwrap().iter().map(|member| member.as_str().unwrap());
    let members: Vec<_> = members.collect();
    let named: Vec<_> = IMPORTS.iter().map(|(folder, _)| *folder).collect();
    assert_eq!(members.iter().collect::<BTreeSet<_>>(), named.iter().collect(), "each has a line in IMPORTS");
    let ours: BTreeSet<_> =
        members.iter().map(|member| manifest(member)["package"]["name"].as_str().unwrap().to_owned()).collect();
    for (folder, allowed) in IMPORTS {
        let imported = dependencies(&manifest(folder));
        let others: Vec<_> = imported.intersection(&ours).filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(others.is_empty(), "{folder} must not import {others:?}");
    }
}

#[test]
fn a_dependency_is_found_wherever_a_manifest_may_name_it() {
    let text = "[dependencies]\na.workspace = true\n[build-dependencies]\nb = \"1\"\n[dev-dependencies]\nc = \"1\"\n\
                [target.'cfg(unix)'.dependencies]\nd = { path = \"d\" }\n[target.x.build-dependencies]\ne = \"1\"\n";
    let found = dependencies(&text.parse().unwrap());
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "b", "d", "e"]);
}
