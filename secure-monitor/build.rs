// SPDX-License-Identifier: MIT OR Apache-2.0
//! Gives each of the two firmware images its linker script, and says whether they trace.

fn main() {
    firmware_link::tracing();
    firmware_link::fixed_binary("boot", "ld/boot.ld");
    firmware_link::fixed_binary("runtime", "ld/runtime.ld");
}
