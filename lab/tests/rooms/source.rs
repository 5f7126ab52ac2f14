// SPDX-License-Identifier: MIT OR Apache-2.0
//! A crate's files and what each imports of the crate, as its sources say it; what only tests compile is left out.

use proc_macro2::{TokenStream, TokenTree};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::rc::Rc;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Meta, Token, UseTree, punctuated::Punctuated};

/// The texts of a crate, by their paths in its `src`.
pub type Texts = BTreeMap<String, String>;

/// Reads all that is in a crate's `src`.
pub fn texts(src: &Path) -> Texts {
    let mut texts = Texts::new();
    let mut folders = vec![src.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(src).unwrap().to_str().unwrap().replace('\\', "/");
                texts.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    texts
}

/// An import: the path as it is written, and the file that has the module it names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// As written, from the keyword or the crate's name on.
    pub path: String,
    /// The file; `lib.rs` for what stands in no module.
    pub to: String,
}

/// A crate as its files know each other.
pub struct Crate {
    /// What each file imports.
    pub files: BTreeMap<String, BTreeSet<Import>>,
    /// What `lib.rs` says about the crate.
    pub about: String,
    /// Modules of the library's root.
    pub modules: BTreeSet<String>,
    /// Files that no module has, in any build.
    pub left: BTreeSet<String>,
}

/// A module by the names on the way to it.
type Name = Vec<String>;

/// One of the crate's programs, or its library: modules, and the file that each stands in.
struct Tree {
    modules: BTreeMap<Name, String>,
    /// Files that stand in a module's place in some builds (`cfg_attr` with a path): who imports the module does not
    /// know.
    instead: Vec<(Name, String)>,
    /// Where modules are that only tests compile: their files without the ending.
    for_tests: Vec<String>,
}

impl Crate {
    /// Reads a library, by this name to its programs, whose files are `programs`.
    pub fn read(name: &str, programs: &[&str], texts: &Texts) -> Self {
        let library = Tree::read("lib.rs", texts);
        let mut read = Self {
            files: BTreeMap::new(),
            about: docs(&parse("lib.rs", texts).attrs),
            modules: library.modules.keys().filter(|name| name.len() == 1).map(|name| name[0].clone()).collect(),
            left: texts.keys().cloned().collect(),
        };
        read.collect(&library, &library, name, texts);
        for program in programs {
            read.collect(&Tree::read(program, texts), &library, name, texts);
        }
        read
    }

    fn collect(&mut self, tree: &Tree, library: &Tree, name: &str, texts: &Texts) {
        let is_test = |file: &str| {
            tree.for_tests
                .iter()
                .filter_map(|module| file.strip_prefix(module.as_str()))
                .any(|rest| rest.starts_with(['.', '/']))
        };
        self.left.retain(|file| !is_test(file));
        // Of a file's modules the outermost, which is the file.
        let files: BTreeMap<_, _> = tree.modules.iter().rev().map(|(name, file)| (file, name)).collect();
        let instead = tree.instead.iter().map(|(name, file)| (file, name));
        for (file, module) in files.into_iter().chain(instead) {
            let mut found =
                Found { tree, library, library_name: name, module: module.clone(), imports: BTreeSet::new() };
            found.visit_file(&parse(file, texts));
            found.imports.retain(|import| import.to != *file);
            self.left.remove(file);
            self.files.entry(file.clone()).or_default().extend(found.imports);
        }
    }
}

thread_local! {
    /// What was parsed, by its text: most of a crate is the same whenever it is read.
    static PARSED: RefCell<HashMap<String, Rc<syn::File>>> = RefCell::default();
}

fn parse(file: &str, texts: &Texts) -> Rc<syn::File> {
    let text = texts.get(file).unwrap_or_else(|| panic!("there is no {file}"));
    let parsed = || Rc::new(syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}")));
    PARSED.with_borrow_mut(|all| all.entry(text.clone()).or_insert_with(parsed).clone())
}

impl Tree {
    fn read(root: &str, texts: &Texts) -> Self {
        let mut tree = Self { modules: BTreeMap::new(), instead: Vec::new(), for_tests: Vec::new() };
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        tree.add(Vec::new(), root, folder, &parse(root, texts).items, texts);
        tree
    }

    /// Adds a module of `file`, and those below it, whose files are in `folder`.
    fn add(&mut self, name: Name, file: &str, folder: &str, items: &[Item], texts: &Texts) {
        self.modules.insert(name.clone(), file.into());
        for module in items.iter().filter_map(|item| if let Item::Mod(module) = item { Some(module) } else { None }) {
            if test_only(&module.attrs) {
                self.for_tests.push(join(folder, &module.ident.to_string()));
                continue;
            }
            let child = [name.clone(), vec![module.ident.to_string()]].concat();
            let place = join(folder, &module.ident.to_string());
            if let Some((_, items)) = &module.content {
                self.add(child, file, &place, items, texts);
            } else {
                assert!(!module.attrs.iter().any(|attr| attr.path().is_ident("path")), "{file}: a module's path");
                let files = [format!("{place}.rs"), format!("{place}/mod.rs")];
                let own = files.iter().find(|file| texts.contains_key(*file));
                let own = own.unwrap_or_else(|| panic!("{file}: no file has the module {}", module.ident));
                let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
                let instead = module.attrs.iter().filter_map(path_in_some_builds);
                self.instead.extend(instead.map(|path| (child.clone(), up(folder, &path))));
                self.add(child, own, &place, &parse(own, texts).items, texts);
            }
        }
    }

    /// Finds the innermost module that the path leads to or through.
    fn file(&self, path: &[String]) -> &str {
        let ends = (0..=path.len()).rev();
        ends.filter_map(|end| self.modules.get(&path[..end])).next().expect("the root is a module")
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.into() } else { format!("{folder}/{name}") }
}

/// Returns the path of a file, by the one that is written in a file of `folder`.
fn up(folder: &str, path: &str) -> String {
    match (path.strip_prefix("../"), folder.rsplit_once('/')) {
        (None, _) => join(folder, path),
        (Some(path), Some((folder, _))) => up(folder, path),
        (Some(path), None) => path.into(),
    }
}

/// Returns the file that an attribute puts in a module's place in some builds.
fn path_in_some_builds(attr: &Attribute) -> Option<String> {
    if !attr.path().is_ident("cfg_attr") {
        return None;
    }
    let parts = attr.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).ok()?;
    parts.iter().skip(1).find_map(|part| match part {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) => Some(path.value()),
            _ => None,
        },
        _ => None,
    })
}

/// Reads the documentation in front of something.
fn docs(attrs: &[Attribute]) -> String {
    let mut text = String::new();
    for attr in attrs {
        if let Meta::NameValue(pair) = &attr.meta
            && pair.path.is_ident("doc")
            && let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(line), .. }) = &pair.value
        {
            text.push_str(line.value().strip_prefix(' ').unwrap_or(&line.value()));
            text.push('\n');
        }
    }
    text
}

/// Says whether only tests compile it.
fn test_only(attrs: &[Attribute]) -> bool {
    fn needs_test(condition: &Meta) -> bool {
        let parts = |list: &syn::MetaList| {
            list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).unwrap_or_default()
        };
        match condition {
            Meta::Path(path) => path.is_ident("test"),
            Meta::List(list) if list.path.is_ident("all") => parts(list).iter().any(needs_test),
            Meta::List(list) if list.path.is_ident("any") => {
                let parts = parts(list);
                !parts.is_empty() && parts.iter().all(needs_test)
            }
            _ => false,
        }
    }
    attrs.iter().any(|attr| {
        attr.path().is_ident("test")
            || attr.path().is_ident("cfg") && attr.parse_args::<Meta>().is_ok_and(|condition| needs_test(&condition))
    })
}

/// Collects what a file imports.
struct Found<'a> {
    tree: &'a Tree,
    library: &'a Tree,
    library_name: &'a str,
    /// Where the visit is.
    module: Name,
    imports: BTreeSet<Import>,
}

impl Found<'_> {
    /// Notes a path if it leads into the crate.
    fn note(&mut self, path: &[String]) {
        let mut at = self.module.clone();
        let mut rest = path;
        let tree = match path.first().map(String::as_str) {
            Some("crate") => {
                at.clear();
                rest = &rest[1..];
                self.tree
            }
            Some("self" | "super") => {
                while let Some(("self" | "super", further)) =
                    rest.split_first().map(|(first, further)| (first.as_str(), further))
                {
                    if rest[0] == "super" {
                        at.pop();
                    }
                    rest = further;
                }
                self.tree
            }
            Some(first) if first == self.library_name => {
                at.clear();
                rest = &rest[1..];
                self.library
            }
            // Of the module's own children, or of another crate.
            Some(first) => {
                let child = [at.clone(), vec![first.to_string()]].concat();
                if !self.tree.modules.contains_key(&child) {
                    return;
                }
                self.tree
            }
            None => return,
        };
        // `pub(crate)` and the like import nothing.
        if rest.is_empty() {
            return;
        }
        at.extend(rest.iter().cloned());
        self.imports.insert(Import { path: path.join("::"), to: tree.file(&at).into() });
    }

    fn note_use(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.note_use(&path.tree, &with(&path.ident)),
            UseTree::Name(name) if name.ident == "self" => self.note(before),
            UseTree::Name(name) => self.note(&with(&name.ident)),
            UseTree::Rename(name) if name.ident == "self" => self.note(before),
            UseTree::Rename(name) => self.note(&with(&name.ident)),
            UseTree::Glob(_) => self.note(&[before, &["*".into()]].concat()),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.note_use(tree, before)),
        }
    }

    /// Notes paths in what a macro is given, or makes.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Name = Vec::new();
        // Colons since the last name of the path.
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.note_path(&std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                token => {
                    self.note_path(&std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = token {
                        self.note_tokens(group.stream());
                    }
                }
            }
        }
        self.note_path(&path);
    }

    /// Notes what may as well be a single name, which imports nothing.
    fn note_path(&mut self, path: &[String]) {
        if path.len() > 1 {
            self.note(path);
        }
    }
}

impl<'ast> Visit<'ast> for Found<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attrs = match item {
            Item::Const(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Macro(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Static(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !test_only(attrs) {
            visit::visit_item(self, item);
        }
    }

    /// Visits a module with its text in the file; others are files of their own.
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if module.content.is_some() {
            self.module.push(module.ident.to_string());
            visit::visit_item_mod(self, module);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.note_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Name = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note_path(&names);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.note_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}
