// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel modules: which ones are needed, in which order they must be loaded, and as plain ELF files.
//!
//! The package has no `modules.dep` (depmod makes it on an installed machine), but each module names what it needs in
//! its `.modinfo` section, and `modules.builtin` lists what the kernel has in itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::kernel;
use anyhow::{Context, Result, bail};

/// A module, ready to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KernelModule {
    /// Its name without suffix, for instance `optee-rng`.
    pub name: String,
    /// Its ELF file's content.
    pub content: Vec<u8>,
}

/// The modules of an unpacked kernel package.
pub(super) struct Tree {
    /// By [`key`]: the file of each module.
    files: BTreeMap<String, PathBuf>,
    /// Keys of what is built in.
    builtin: Vec<String>,
}

impl Tree {
    /// Reads the module folder of a kernel, `/lib/modules/RELEASE`.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let list = folder.join("modules.builtin");
        let builtin = fs::read_to_string(&list).with_context(|| format!("can't read {}", list.display()))?;
        let mut files = BTreeMap::new();
        collect(&folder.join("kernel"), &mut files)?;
        Ok(Self { files, builtin: builtin.lines().map(|line| key(stem(line))).collect() })
    }

    /// Lists the modules called `names` and all that they depend on, each after what it needs. Built-in ones are left
    /// out.
    pub(super) fn closure(&self, names: &[&str]) -> Result<Vec<KernelModule>> {
        let mut loaded = Vec::new();
        for name in names {
            self.add(name, &mut loaded, 0)?;
        }
        Ok(loaded)
    }

    fn add(&self, name: &str, loaded: &mut Vec<KernelModule>, depth: usize) -> Result<()> {
        // Far deeper than any real chain; a package with a cycle must not take the lab's stack.
        const DEEPEST: usize = 32;
        let wanted = key(name);
        if self.builtin.contains(&wanted) || loaded.iter().any(|module| key(&module.name) == wanted) {
            return Ok(());
        }
        if depth == DEEPEST {
            bail!("kernel module {name}: its dependencies form a cycle");
        }
        let path = self.files.get(&wanted).with_context(|| format!("the kernel package has no module {name}"))?;
        let content = read(path)?;
        for dependency in dependencies(&content) {
            self.add(dependency, loaded, depth + 1)?;
        }
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        loaded.push(KernelModule { name: stem(&file).to_owned(), content });
        Ok(())
    }
}

/// Makes a module's name comparable: `-` and `_` are taken as one, as modprobe does.
fn key(name: &str) -> String {
    name.replace('-', "_")
}

/// Makes `tee` of `kernel/drivers/tee/tee.ko.xz`.
fn stem(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split_once(".ko").map_or(file, |(stem, _)| stem)
}

fn collect(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("can't read {}", folder.display()))?;
        let path = entry.path();
        // The entry's own type: a link is not followed.
        if entry.file_type().with_context(|| format!("can't read {}", path.display()))?.is_dir() {
            collect(&path, files)?;
        } else if let Some(name) = path.file_name().and_then(|name| name.to_str())
            && name.contains(".ko")
        {
            files.insert(key(stem(name)), path);
        }
    }
    Ok(())
}

/// Reads a module, decompressed: the kernel of the guest should spend its time on other things.
fn read(path: &Path) -> Result<Vec<u8>> {
    let data = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => Ok(data),
        Some("xz") => kernel::unxz(&data).with_context(|| format!("can't decompress {}", path.display())),
        _ => bail!("{}: a compression that the lab can't undo", path.display()),
    }
}

/// Reads the names in the module's `depends=` entry of `.modinfo`, a section of NUL-terminated `key=value` strings.
fn dependencies(module: &[u8]) -> Vec<&str> {
    module
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(b"depends="))
        .and_then(|names| str::from_utf8(names).ok())
        .map(|names| names.split(',').filter(|name| !name.is_empty()).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::store;
    use std::io::Write;

    /// Makes a module folder, which lives as long as the test: the files are read late.
    fn tree(modules: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().unwrap();
        store::write(&folder.path().join("modules.builtin"), b"kernel/drivers/char/hw_random/rng-core.ko\n").unwrap();
        fs::create_dir_all(folder.path().join("kernel")).unwrap();
        for (file, depends) in modules {
            let content = format!("\x7fELF\0license=GPL\0depends={depends}\0name=x\0");
            store::write(&folder.path().join("kernel/drivers").join(file), content.as_bytes()).unwrap();
        }
        let tree = Tree::open(folder.path()).unwrap();
        (folder, tree)
    }

    fn names(modules: &[KernelModule]) -> Vec<&str> {
        modules.iter().map(|module| module.name.as_str()).collect()
    }

    #[test]
    fn a_module_comes_after_all_that_it_needs_and_built_in_ones_are_left_out() {
        let (_folder, tree) =
            tree(&[("tee/tee.ko", ""), ("tee/optee.ko", "tee"), ("optee-rng.ko", "optee,rng_core,tee")]);
        assert_eq!(names(&tree.closure(&["optee-rng"]).unwrap()), ["tee", "optee", "optee-rng"]);
        assert_eq!(names(&tree.closure(&["optee", "optee_rng"]).unwrap()), ["tee", "optee", "optee-rng"]);
    }

    #[test]
    fn a_missing_module_is_named() {
        let (_folder, tree) = tree(&[("optee.ko", "tee")]);
        let error = tree.closure(&["optee"]).unwrap_err();
        assert!(error.to_string().contains("no module tee"), "{error}");
    }

    #[test]
    fn a_cycle_ends_in_an_error() {
        let (_folder, tree) = tree(&[("a.ko", "b"), ("b.ko", "a")]);
        let error = tree.closure(&["a"]).unwrap_err();
        assert!(error.to_string().contains("cycle"), "{error}");
    }

    #[test]
    fn a_compressed_module_is_decompressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tee.ko.xz");
        let mut packer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
        packer.write_all(b"depends=\0").unwrap();
        let packed = packer.finish().unwrap();
        store::write(&path, &packed).unwrap();
        assert_eq!(read(&path).unwrap(), b"depends=\0");
        store::write(&path, &packed[..packed.len() - 1]).unwrap();
        assert!(read(&path).is_err());
    }
}
