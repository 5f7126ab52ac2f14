// SPDX-License-Identifier: MIT OR Apache-2.0
//! The documents: links lead somewhere, every page is in the book, and commands are ones that exist.
//!
//! Links to other hosts are not followed: a test needs no network.

mod program;

use lab_run::workspace::Workspace;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// A document, read.
#[derive(Default)]
struct Page {
    /// Where its links go.
    links: Vec<String>,
    /// The anchors of its headings.
    anchors: BTreeSet<String>,
    /// Code: lines of blocks, and words in a line.
    code: Vec<String>,
}

impl Page {
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut heading: Option<String> = None;
        let mut block = false;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => page.add_anchor(&heading.take().unwrap_or_default()),
                Event::Start(Tag::CodeBlock(_)) => block = true,
                Event::End(TagEnd::CodeBlock) => block = false,
                Event::Text(text) if block => page.code.extend(text.lines().map(|line| line.trim().to_owned())),
                Event::Text(text) => heading.iter_mut().for_each(|heading| heading.push_str(&text)),
                Event::Code(text) => {
                    heading.iter_mut().for_each(|heading| heading.push_str(&text));
                    page.code.push(text.into_string());
                }
                _ => {}
            }
        }
        page
    }

    /// Makes an anchor as GitHub and mdBook make them: small letters, no punctuation, `-` for a space.
    fn add_anchor(&mut self, heading: &str) {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        let anchor: String = kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect();
        let mut unique = anchor.clone();
        let mut n = 0;
        while !self.anchors.insert(unique.clone()) {
            n += 1;
            unique = format!("{anchor}-{n}");
        }
    }
}

fn root() -> PathBuf {
    Workspace::locate().unwrap().root().to_path_buf()
}

/// Reads every document of the checkout, by its path from the root.
fn pages() -> BTreeMap<PathBuf, Page> {
    fn collect(folder: &Path, pages: &mut BTreeMap<PathBuf, Page>) {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name();
            let path = folder.join(&name);
            if root().join(&path).is_dir() {
                if name != "target" && !name.to_string_lossy().starts_with('.') {
                    collect(&path, pages);
                }
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.insert(path.clone(), Page::read(&fs::read_to_string(root().join(&path)).unwrap()));
            }
        }
    }
    let mut pages = BTreeMap::new();
    collect(Path::new(""), &mut pages);
    pages
}

/// Takes `..` out of a path.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

fn is_elsewhere(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

#[test]
fn every_link_leads_to_a_file_and_every_anchor_to_a_heading() {
    let pages = pages();
    let mut broken = Vec::new();
    for (path, page) in &pages {
        for link in page.links.iter().filter(|link| !is_elsewhere(link)) {
            let (file, anchor) =
                link.split_once('#').map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
            let target = match file {
                "" => path.clone(),
                file => plain(&path.parent().unwrap().join(file)),
            };
            let there = root().join(&target).exists();
            let anchored =
                anchor.is_none_or(|anchor| pages.get(&target).is_some_and(|page| page.anchors.contains(anchor)));
            if !there || !anchored {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(pages.len() > 5 && broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_page_of_docs_is_in_the_book_once() {
    let pages = pages();
    let summary = Path::new("docs/SUMMARY.md");
    let mut listed: Vec<_> = pages[summary].links.iter().map(|link| Path::new("docs").join(link)).collect();
    listed.sort();
    let written: Vec<_> =
        pages.keys().filter(|path| path.starts_with("docs") && path.as_path() != summary).cloned().collect();
    assert_eq!(listed, written);
}

/// Lists the commands of a document: lines of code that call the lab or make.
fn commands(page: &Page) -> Vec<Vec<String>> {
    let starts = |line: &&String| line.starts_with("cargo lab ") || line.starts_with("make ");
    // What comes after two spaces, and what comes after a `#`, explains.
    let words = |line: &String| {
        let command = line.split('#').next().unwrap_or(line);
        let command = command.split("   ").next().unwrap_or(command);
        command.split_whitespace().map(|word| word.trim_matches('"').to_owned()).collect()
    };
    page.code.iter().filter(starts).map(words).collect()
}

/// Says whether a word stands for another: `FILE`, `N`.
fn stands_for_another(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_uppercase() || c == '/' || c == '.')
}

#[test]
fn every_command_is_one_that_the_lab_or_make_has_with_files_that_are_there() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (path, page) in &pages() {
        for command in commands(page) {
            seen += 1;
            let words: Vec<_> = command.iter().map(String::as_str).collect();
            let known = match words.as_slice() {
                ["cargo", "lab", arguments @ ..] => {
                    let arguments = arguments.iter().map(|word| if stands_for_another(word) { "1" } else { word });
                    // clap reads up to `--help`, and complains of what it does not know before that.
                    let lab = Command::new(program::lab()).args(arguments).arg("--help").output().unwrap();
                    lab.status.success()
                }
                ["make", target, ..] => makefile.lines().any(|line| line.starts_with(&format!("{target}:"))),
                _ => false,
            };
            let file_of = |word: &&str| {
                let file = word.strip_prefix("SCENARIO=").unwrap_or(word);
                // What stands under `target/` an earlier command has made.
                let ours = !file.starts_with("target/") && !file.chars().any(|c| c.is_ascii_uppercase());
                let named = file.ends_with(".toml") && ours;
                named.then(|| root().join(file))
            };
            let files = words.iter().filter_map(file_of).all(|file| file.is_file());
            if !known || !files {
                wrong.push(format!("{}: {}", path.display(), command.join(" ")));
            }
        }
    }
    assert!(seen > 10 && wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_document_is_read_as_its_readers_see_it() {
    let page =
        Page::read("# `VM_CREATED`: what?\n\n## a b\n## a b\n[x](y.md#z) ![p](q.svg)\n\n    cargo lab run   # why\n");
    assert_eq!(page.anchors, ["vm_created-what", "a-b", "a-b-1"].map(str::to_owned).into());
    assert_eq!(page.links, ["y.md#z", "q.svg"]);
    assert_eq!(commands(&page), [["cargo", "lab", "run"]]);
}
