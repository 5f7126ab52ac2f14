// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links the worlds as a raw image that runs wherever it is loaded: nothing in it is absolute.

fn main() {
    firmware_link::fixed("link.ld");
}
