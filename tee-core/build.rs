// SPDX-License-Identifier: MIT OR Apache-2.0
//! Gives the image its linker script, and says whether it is the one of the report, and whether it traces.

use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=ld");
    println!("cargo:rustc-check-cfg=cfg(as_reported)");
    println!("cargo:rustc-check-cfg=cfg(tracing)");
    // On the host the tests are told.
    if env::var_os("CARGO_FEATURE_TRACE").is_some() || env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        println!("cargo:rustc-cfg=tracing");
    }
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        // Cargo knows its own folder again after the checkout was copied or moved; a path to the sources it would keep.
        let script = env::var("OUT_DIR").expect("cargo sets it") + "/tee.ld";
        fs::copy("ld/tee.ld", &script).expect("the linker script is in ld/");
        println!("cargo:rustc-link-arg-bins=-T{script}");
        // The mistakes of `src/as_reported` are made on the machine only; on the host the feature changes nothing.
        if env::var_os("CARGO_FEATURE_AS_REPORTED").is_some() {
            println!("cargo:rustc-cfg=as_reported");
        }
    }
}
