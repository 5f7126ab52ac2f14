// SPDX-License-Identifier: MIT OR Apache-2.0
//! Gives the image its linker script, and says whether it is the one of the report, and whether it traces.

fn main() {
    firmware_link::tracing();
    firmware_link::fixed("ld/tee.ld");
    // The mistakes of `src/as_reported` are made on the machine only; on the host the feature changes nothing.
    println!("cargo:rustc-check-cfg=cfg(as_reported)");
    if firmware_link::is_bare() && std::env::var_os("CARGO_FEATURE_AS_REPORTED").is_some() {
        println!("cargo:rustc-cfg=as_reported");
    }
}
