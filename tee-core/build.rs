//! Gives the image its linker script, and says whether it is the one of the report, and whether it traces.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=ld");
    println!("cargo:rustc-check-cfg=cfg(as_reported)");
    println!("cargo:rustc-check-cfg=cfg(tracing)");
    // On the host the tests are told.
    if env::var_os("CARGO_FEATURE_TRACE").is_some() || env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        println!("cargo:rustc-cfg=tracing");
    }
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo:rustc-link-arg-bins=-T{root}/ld/tee.ld");
        // The mistakes of `src/as_reported` are made on the machine only; on the host the feature changes nothing.
        if env::var_os("CARGO_FEATURE_AS_REPORTED").is_some() {
            println!("cargo:rustc-cfg=as_reported");
        }
    }
}
