// SPDX-License-Identifier: MIT OR Apache-2.0
//! Gives each of the two firmware images its linker script, and says whether they trace.

use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=ld");
    println!("cargo:rustc-check-cfg=cfg(tracing)");
    // On the host the tests are told.
    if env::var_os("CARGO_FEATURE_TRACE").is_some() || env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        println!("cargo:rustc-cfg=tracing");
    }
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let folder = env::var("OUT_DIR").expect("cargo sets it");
        for image in ["boot", "runtime"] {
            // Cargo knows its own folder again after the checkout was copied or moved; a path to the sources it would
            // keep.
            let script = format!("{folder}/{image}.ld");
            fs::copy(format!("ld/{image}.ld"), &script).expect("the linker scripts are in ld/");
            println!("cargo:rustc-link-arg-bin={image}=-T{script}");
            // Debug information of code that the linker dropped must not place it at 0: the boot stage is there.
            println!("cargo:rustc-link-arg-bin={image}=-zdead-reloc-in-nonalloc=.debug_*=0xffffffffffffffff");
        }
    }
}
