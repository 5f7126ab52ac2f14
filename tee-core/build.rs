//! Gives the image its linker script.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=ld");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo:rustc-link-arg-bins=-T{root}/ld/tee.ld");
    }
}
