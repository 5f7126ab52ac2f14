//! Gives each of the two firmware images its linker script, and says whether they trace.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=ld");
    println!("cargo:rustc-check-cfg=cfg(tracing)");
    // On the host the tests are told.
    if env::var_os("CARGO_FEATURE_TRACE").is_some() || env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        println!("cargo:rustc-cfg=tracing");
    }
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        for image in ["boot", "runtime"] {
            println!("cargo:rustc-link-arg-bin={image}=-T{root}/ld/{image}.ld");
            // Debug information of code that the linker dropped must not place it at 0: the boot stage is there.
            println!("cargo:rustc-link-arg-bin={image}=-zdead-reloc-in-nonalloc=.debug_*=0xffffffffffffffff");
        }
    }
}
