//! Links the firmware as a raw image that runs wherever it is loaded.

fn main() {
    println!("cargo:rerun-if-changed=link.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo:rustc-link-arg-bins=-T{folder}/link.ld");
        // Code on this target addresses everything relative to the PC; what is absolute is data (vtables, tables of
        // strings). As a position independent executable the linker lists those words for `arch::boot` to relocate.
        println!("cargo:rustc-link-arg-bins=--pie");
        println!("cargo:rustc-link-arg-bins=--no-dynamic-linker");
        println!("cargo:rustc-link-arg-bins=-znotext");
        // Debug information of code that the linker dropped must not describe it as standing at 0, where the image is.
        println!("cargo:rustc-link-arg-bins=-zdead-reloc-in-nonalloc=.debug_*=0xffffffffffffffff");
    }
}
