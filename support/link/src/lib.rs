// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the build scripts of firmware have to say to cargo: which linker script makes an image of a program, whether
//! the image runs wherever it is loaded, whether it traces.
//!
//! Each function speaks for the package whose build script calls it, and does nothing for other machines than the bare
//! one where it is about linking.
#![forbid(unsafe_code)]
#![deny(unreachable_pub)]

use std::path::Path;
use std::{env, fs};

/// What a linker script names to begin as every image does that runs anywhere.
const INCLUDED: &str = "INCLUDE image.ld";

/// Links every binary of the package by this script, at the addresses that it says.
pub fn fixed(script: &str) {
    println!("cargo:rerun-if-changed={script}");
    if let Some(kept) = kept(script) {
        println!("cargo:rustc-link-arg-bins=-T{kept}");
        println!("cargo:rustc-link-arg-bins={DEAD_IS_NOWHERE}");
    }
}

/// Links one binary of the package by this script, at the addresses that it says.
pub fn fixed_binary(binary: &str, script: &str) {
    println!("cargo:rerun-if-changed={script}");
    if let Some(kept) = kept(script) {
        println!("cargo:rustc-link-arg-bin={binary}=-T{kept}");
        println!("cargo:rustc-link-arg-bin={binary}={DEAD_IS_NOWHERE}");
    }
}

/// Links every binary of the package by this script, as an image that runs wherever it is loaded: the script's sections
/// begin with `INCLUDE image.ld`, and the program with `firmware_support::start::relocate`.
///
/// Code for the bare machine addresses everything relative to the PC; what is absolute is data (vtables, tables of
/// strings). As a static position independent executable the linker lists those words.
pub fn relocatable(script: &str) {
    println!("cargo:rerun-if-changed={script}");
    if let Some(kept) = kept(script) {
        println!("cargo:rustc-link-arg-bins=-T{kept}");
        for argument in ["--pie", "--no-dynamic-linker", "-znotext", DEAD_IS_NOWHERE] {
            println!("cargo:rustc-link-arg-bins={argument}");
        }
    }
}

/// Says `cfg(tracing)` in builds with the feature `trace`, and on the host, where the tests are told.
pub fn tracing() {
    println!("cargo:rustc-check-cfg=cfg(tracing)");
    if env::var_os("CARGO_FEATURE_TRACE").is_some() || !is_bare() {
        println!("cargo:rustc-cfg=tracing");
    }
}

/// Says whether the build is for the bare machine.
pub fn is_bare() -> bool {
    env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none")
}

/// Debug information of code that the linker dropped must not describe it as standing at 0, where there is an image.
const DEAD_IS_NOWHERE: &str = "-zdead-reloc-in-nonalloc=.debug_*=0xffffffffffffffff";

/// Keeps a copy of the script, whole, in cargo's own folder, and says where: that folder cargo knows again after the
/// checkout was copied or moved; a path to the sources it would keep. `None` in builds for another machine.
fn kept(script: &str) -> Option<String> {
    if !is_bare() {
        return None;
    }
    let text = fs::read_to_string(script).unwrap_or_else(|error| panic!("cannot read {script}: {error}"));
    let name = Path::new(script).file_name().and_then(|name| name.to_str()).expect("a script has a name");
    let kept = env::var("OUT_DIR").expect("cargo sets it") + "/" + name;
    fs::write(&kept, whole(&text)).unwrap_or_else(|error| panic!("cannot write {kept}: {error}"));
    Some(kept)
}

/// Returns the script with what it includes in its place: the linker would look for that in folders of its own.
fn whole(script: &str) -> String {
    script.replace(INCLUDED, include_str!("../image.ld"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_gets_what_it_includes_and_nothing_else() {
        assert_eq!(whole("SECTIONS { . = 1; }"), "SECTIONS { . = 1; }");
        let text = whole("SECTIONS\n{\n    INCLUDE image.ld\n    .bss : {}\n}\n");
        assert!(text.starts_with("SECTIONS\n{\n") && text.ends_with("\n    .bss : {}\n}\n"));
        for symbol in ["_image_start = .", "_rela_start = .", "_rela_end = ."] {
            assert_eq!(text.matches(symbol).count(), 1, "{symbol}");
        }
        assert!(!text.contains(INCLUDED));
    }
}
