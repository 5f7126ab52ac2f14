// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links the probe as a raw image that runs wherever it is loaded.

fn main() {
    firmware_link::relocatable("link.ld");
}
