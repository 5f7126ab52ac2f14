// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab book`: the documents as a book of web pages that open from disk.
//!
//! mdBook makes the pages. Links out of `docs/`, to sources and scenarios, it leaves as they are, though the pages
//! stand in another folder; they are mended here, and every link of every page is followed once.

use anyhow::{Context, Result, bail, ensure};
use lab_run::progress::Progress;
use lab_run::workspace::Workspace;
use regex::{Captures, Regex};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

/// The mdBook that the pages are known to come out right with.
const VERSION: &str = "0.5.4";

/// Builds the book; returns the path of its first page.
pub fn book(workspace: &Workspace, progress: &Progress) -> Result<PathBuf> {
    let tool = mdbook(workspace, progress)?;
    let folder = workspace.target().join("book");
    progress.step("making the book");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let mut command = Command::new(&tool);
    command.arg("build").arg(workspace.root().join("docs")).arg("--dest-dir").arg(&folder);
    let output = command.output().with_context(|| format!("cannot start {}", tool.display()))?;
    ensure!(output.status.success(), "mdbook fails:\n{}", String::from_utf8_lossy(&output.stderr));
    let pages = Pages { book: &folder, docs: &workspace.root().join("docs") };
    let broken = pages.mend()?;
    ensure!(broken.is_empty(), "links of the book that lead nowhere:\n{}", broken.join("\n"));
    Ok(folder.join("index.html"))
}

/// Finds the tool: the one on the path if it is of this version, else one that is built once and kept under `target/`.
fn mdbook(workspace: &Workspace, progress: &Progress) -> Result<PathBuf> {
    let kept = workspace.kept("tools");
    let built = kept.join("bin/mdbook");
    for candidate in [PathBuf::from("mdbook"), built.clone()] {
        let version = Command::new(&candidate).arg("--version").stderr(Stdio::null()).output();
        if version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim().ends_with(VERSION)) {
            return Ok(candidate);
        }
    }
    progress.step(&format!("building mdbook {VERSION}, once: some minutes"));
    let mut command = Command::new("cargo");
    // Without the features that watch files and serve pages, which are most of it.
    command.args(["install", "mdbook", "--locked", "--version", VERSION, "--no-default-features"]);
    command.args(["--features", "search", "--root"]).arg(&kept).arg("--target-dir").arg(kept.join("build"));
    let output = command.output().context("cannot start cargo")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "mdbook cannot be installed:\n{said}\nremedy: install mdbook {VERSION} yourself, so that it is on the path"
        );
    }
    // What it was built from is only of use for building it again.
    let _ = fs::remove_dir_all(kept.join("build"));
    Ok(built)
}

/// The pages of a book, and what they were made of.
struct Pages<'p> {
    book: &'p Path,
    docs: &'p Path,
}

impl Pages<'_> {
    /// Mends every page; returns the links that lead nowhere.
    fn mend(&self) -> Result<Vec<String>> {
        // The pattern is a constant.
        let link = Regex::new(r#"(href|src)="([^"]+)""#)?;
        let mut broken = Vec::new();
        for page in html(self.book)? {
            let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
            let mended = link.replace_all(&text, |found: &Captures<'_>| match self.follow(&page, &found[2], &text) {
                Some(link) => format!("{}=\"{link}\"", &found[1]),
                None => {
                    broken.push(format!("{}: {}", page.display(), &found[2]));
                    found[0].to_owned()
                }
            });
            if mended != text {
                fs::write(&page, mended.as_bytes()).with_context(|| format!("cannot write {}", page.display()))?;
            }
        }
        Ok(broken)
    }

    /// Turns a link into what must stand on a page; `None` if it leads nowhere.
    fn follow(&self, page: &Path, link: &str, text: &str) -> Option<String> {
        if link.contains("://") || ["mailto:", "data:", "javascript:"].iter().any(|scheme| link.starts_with(scheme)) {
            return Some(link.to_owned());
        }
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let here = page.parent()?;
        if file.is_empty() {
            return has_anchor(text, anchor).then(|| link.to_owned());
        }
        let target = plain(&here.join(file));
        if target.starts_with(self.book) {
            let there = target.exists();
            let anchored = || fs::read_to_string(&target).is_ok_and(|other| has_anchor(&other, anchor));
            return (there && (anchor.is_empty() || anchored())).then(|| link.to_owned());
        }
        // Out of the book: where the document itself stands it leads into the checkout.
        let source = plain(&self.docs.join(here.strip_prefix(self.book).ok()?).join(file));
        let markdown = source.with_extension("md");
        let source = if source.exists() { source } else { markdown };
        source.exists().then(|| from_to(here, &source))
    }
}

fn has_anchor(page: &str, anchor: &str) -> bool {
    anchor.is_empty() || page.contains(&format!("id=\"{anchor}\""))
}

/// Finds the way from a folder to a file, both absolute.
fn from_to(folder: &Path, file: &Path) -> String {
    let (from, to): (Vec<_>, Vec<_>) = (folder.components().collect(), file.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from[common..].iter().map(|_| "..".to_owned());
    let down = to[common..].iter().map(|part| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// Takes `..` out of a path.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

fn html(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        if path.is_dir() {
            pages.extend(html(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "html") {
            pages.push(path);
        }
    }
    pages.sort();
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn links_out_of_the_book_lead_into_the_checkout_and_dead_ones_are_named() {
        let root = TempDir::new().unwrap();
        let (book, docs) = (root.path().join("target/book"), root.path().join("docs"));
        fs::create_dir_all(book.join("course")).unwrap();
        fs::create_dir_all(docs.join("course")).unwrap();
        fs::write(root.path().join("README.md"), "").unwrap();
        fs::write(book.join("a.html"), "<h1 id=\"top\"></h1><a href=\"course/b.html\">").unwrap();
        let page = "<a href=\"../a.html#top\"><a href=\"../../README.html\"><a href=\"https://x.y/z\">\
                    <a href=\"../a.html#no\"><a href=\"#no\"><img src=\"no.svg\">";
        fs::write(book.join("course/b.html"), page).unwrap();
        let broken = Pages { book: &book, docs: &docs }.mend().unwrap();
        let dead: Vec<_> = broken.iter().filter_map(|line| line.rsplit_once(": ")).map(|(_, link)| link).collect();
        assert_eq!(dead, ["../a.html#no", "#no", "no.svg"]);
        let mended = fs::read_to_string(book.join("course/b.html")).unwrap();
        assert!(mended.contains("href=\"../../../README.md\""), "{mended}");
    }
}
