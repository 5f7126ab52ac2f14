// SPDX-License-Identifier: MIT OR Apache-2.0
//! The source files: each says its licence, no line of code is too wide, and comments cite what is there.

use lab_run::workspace::Workspace;
use regex::Regex;
use std::fs;
use std::path::{Path, PathBuf};

/// What the first line of each says, after the sign of a comment.
const LICENCE: &str = "SPDX-License-Identifier: MIT OR Apache-2.0";
/// Columns of a line of code, as rustfmt.toml has it.
const WIDTH: usize = 120;
/// Kinds of source files, by how their names end.
const KINDS: [&str; 10] = ["rs", "S", "ld", "sh", "js", "css", "html", "gdb", "yml", "toml"];
/// Those whose names don't say it.
const OTHERS: [&str; 3] = ["Makefile", ".ci/run", "images/linux/init"];
/// Who does an exercise writes these, and the answers are the same files with the holes filled.
const STUDENTS: [&str; 2] = ["docs/course/exercises", "lab/tests/answers"];

/// A file of the checkout.
struct Source {
    /// From the root.
    path: PathBuf,
    text: String,
}

impl Source {
    fn is(&self, kind: &str) -> bool {
        self.path.extension().is_some_and(|extension| extension == kind)
    }

    /// Says whether a file is data: manifests, scenarios and lists have no licence of their own in each file, and their
    /// lines cannot always be broken.
    fn is_data(&self) -> bool {
        self.is("toml")
    }

    fn is_in(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
    }

    /// Lists its comments, a line each, with the lines' numbers.
    fn comments(&self) -> impl Iterator<Item = (usize, &str)> {
        let sign = if self.is("rs") || self.is("js") { "//" } else { "#" };
        let lines = self.text.lines().enumerate();
        lines.filter_map(move |(n, line)| Some((n + 1, &line[line.find(sign)?..])))
    }
}

fn root() -> PathBuf {
    Workspace::locate().unwrap().root().to_path_buf()
}

fn sources() -> Vec<Source> {
    fn collect(folder: &Path, sources: &mut Vec<Source>) {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name();
            let path = folder.join(&name);
            let is_hidden = name.to_string_lossy().starts_with('.')
                && ![".ci", ".github", ".cargo"].map(Path::new).contains(&path.as_path());
            if is_hidden || name == "target" {
                continue;
            }
            if root().join(&path).is_dir() {
                collect(&path, sources);
            } else if path.extension().is_some_and(|extension| KINDS.iter().any(|kind| extension == *kind))
                || OTHERS.iter().any(|other| path == Path::new(other))
            {
                let text = fs::read_to_string(root().join(&path)).unwrap();
                sources.push(Source { path, text });
            }
        }
    }
    let mut sources = Vec::new();
    collect(Path::new(""), &mut sources);
    assert!(
        sources.len() > 500 && OTHERS.iter().all(|other| sources.iter().any(|source| source.path == Path::new(other)))
    );
    sources
}

/// Says whether a file says its licence at its top: below what must come first, an interpreter or a document's type.
fn says_its_licence(text: &str) -> bool {
    let mut lines = text.lines().skip_while(|line| line.starts_with("#!/") || line.starts_with("<!doctype"));
    lines.next().is_some_and(|line| line.contains(LICENCE))
}

#[test]
fn every_source_file_says_its_licence_at_its_top() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|source| !source.is_data() && !source.is_in(&STUDENTS) && !says_its_licence(&source.text))
        .map(|source| source.path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "as a comment, in the first line: {LICENCE}\n{}", silent.join("\n"));
    // And it is that of the packages.
    let manifest: toml::Value = toml::from_str(&fs::read_to_string(root().join("Cargo.toml")).unwrap()).unwrap();
    let licence = manifest["workspace"]["package"]["license"].as_str().unwrap();
    assert_eq!(LICENCE, format!("SPDX-License-Identifier: {licence}"));
    for part in licence.split(" OR ") {
        let file = format!("LICENSE-{}", part.split('-').next().unwrap().to_uppercase());
        assert!(root().join(&file).is_file(), "{file}");
    }
}

#[test]
fn a_licence_is_looked_for_below_what_must_come_first() {
    assert!(says_its_licence(&format!("// {LICENCE}\n//! What it is.\n")));
    assert!(says_its_licence(&format!("#!/bin/sh\n# {LICENCE}\n")));
    assert!(says_its_licence(&format!("<!doctype html>\n<!-- {LICENCE} -->\n")));
    assert!(!says_its_licence(&format!("//! What it is.\n// {LICENCE}\n")));
    assert!(!says_its_licence("#![no_std]\n"));
}

#[test]
fn no_line_is_too_wide() {
    let mut wide = Vec::new();
    for source in sources() {
        for (n, line) in source.text.lines().enumerate() {
            let trimmed = line.trim_start();
            // Tables of rustdoc's have a row in a line; of data only comments can be broken; a page's policy is one.
            let may_be = trimmed.starts_with("//! |")
                || trimmed.starts_with("/// |")
                || (source.is_data() && !trimmed.starts_with('#'))
                || source.is("html");
            if line.chars().count() > WIDTH && !may_be {
                wide.push(format!("{}:{}", source.path.display(), n + 1));
            }
        }
    }
    assert!(wide.is_empty(), "more than {WIDTH} columns:\n{}", wide.join("\n"));
}

#[test]
fn comments_cite_documents_that_are_in_the_tree() {
    let name = Regex::new(r"[A-Za-z0-9_./-]+\.md\b").unwrap();
    let mut missing = Vec::new();
    for source in sources() {
        for (n, comment) in source.comments() {
            for cited in name.find_iter(comment).map(|found| found.as_str()) {
                let beside = source.path.parent().unwrap().join(cited);
                if ![Path::new(cited), &beside].iter().any(|path| root().join(path).is_file()) {
                    missing.push(format!("{}:{n}: {cited}", source.path.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "by its path from the root:\n{}", missing.join("\n"));
}

/// What no other crate can reach is not called public: then its users are found by looking in the crate alone.
#[test]
fn every_crate_and_program_denies_pub_that_nobody_can_reach() {
    let roots = sources().into_iter().filter(|source| {
        let name = source.path.file_name().unwrap_or_default();
        source.path.components().any(|part| part.as_os_str() == "src") && (name == "lib.rs" || name == "main.rs")
    });
    let lacking: Vec<_> = roots.filter(|root| !root.text.contains("\n#![deny(unreachable_pub)]\n")).collect();
    let lacking: Vec<_> = lacking.iter().map(|root| root.path.display().to_string()).collect();
    assert!(lacking.is_empty(), "without deny(unreachable_pub): {lacking:?}");
}

#[test]
fn a_reason_why_code_is_safe_begins_in_small_letters() {
    // A register's name, or another one in capitals, stays as it is.
    let capital = Regex::new(r"// SAFETY: [A-Z]([a-z]| )").unwrap();
    let mut others = Vec::new();
    for source in sources().iter().filter(|source| source.is("rs")) {
        for (n, comment) in source.comments().filter(|(_, comment)| capital.is_match(comment)) {
            others.push(format!("{}:{n}: {comment}", source.path.display()));
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
}
