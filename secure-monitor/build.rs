//! Gives each of the two firmware images its linker script.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=ld");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        for image in ["boot", "runtime"] {
            println!("cargo:rustc-link-arg-bin={image}=-T{root}/ld/{image}.ld");
            // What the linker dropped must not be described as standing at 0: there the boot stage is, for debuggers too.
            println!("cargo:rustc-link-arg-bin={image}=-zdead-reloc-in-nonalloc=.debug_*=0xffffffffffffffff");
        }
    }
}
