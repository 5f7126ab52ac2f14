// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links the firmware as a raw image that runs wherever it is loaded.

fn main() {
    println!("cargo:rerun-if-changed=link.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        // Cargo knows its own folder again after the checkout was copied or moved; a path to the sources it would keep.
        let script = std::env::var("OUT_DIR").expect("cargo sets it") + "/link.ld";
        std::fs::copy("link.ld", &script).expect("the linker script is beside this file");
        println!("cargo:rustc-link-arg-bins=-T{script}");
        // Code on this target addresses everything relative to the PC; what is absolute is data (vtables, tables of
        // strings). As a position independent executable the linker lists those words for `arch::boot` to relocate.
        println!("cargo:rustc-link-arg-bins=--pie");
        println!("cargo:rustc-link-arg-bins=--no-dynamic-linker");
        println!("cargo:rustc-link-arg-bins=-znotext");
        // Debug information of code that the linker dropped must not describe it as standing at 0, where the image is.
        println!("cargo:rustc-link-arg-bins=-zdead-reloc-in-nonalloc=.debug_*=0xffffffffffffffff");
    }
}
