// SPDX-License-Identifier: MIT OR Apache-2.0
//! How an image starts that runs wherever it is loaded (`support/link/image.ld`): the header by which it is known, and
//! what makes it ready for Rust.
//!
//! What lies between them is each program's own: which level it expects, whether its MMU is on before anything is
//! written, what caches may hold.

use core::arch::naked_asm;

/// The arm64 boot protocol's header (Linux `Documentation/arch/arm64/booting.rst`), for `global_asm!`: first of all in
/// the image, whose code goes on at a label `1:` behind it, in the same section. It is told what the three words are
/// that the protocol reserves: zeroes, but for who has a use for them.
#[macro_export]
macro_rules! image_header {
    ($reserved:literal) => {
        concat!(
            r#"
    .pushsection .head, "ax"
    .global _start
_start:
    b       1f
    nop
    .quad   0                               // text_offset
    .quad   _image_end - . + 16             // image_size: from the image's start, 16 bytes back
    .quad   0xa                             // little-endian, 4 KiB pages, may stand anywhere in memory
    "#,
            $reserved,
            r#"
    .ascii  "ARM\x64"
    .word   0
"#
        )
    };
}

/// Adds where the image stands to each of its words that the linker listed, and clears what begins as zero.
///
/// x0 is 0 then, or 1 if the image is none of ours. x1 to x5 and the flags change.
///
/// # Safety
///
/// Called once, by assembly, which needs no stack for it, before there is Rust in the image.
#[unsafe(naked)]
pub unsafe extern "C" fn relocate() {
    naked_asm!(
        "adrp   x0, _image_start",
        "add    x0, x0, :lo12:_image_start",
        "adrp   x1, _rela_start",
        "add    x1, x1, :lo12:_rela_start",
        "adrp   x2, _rela_end",
        "add    x2, x2, :lo12:_rela_end",
        "2:",
        "cmp    x1, x2",
        "b.hs   3f",
        "ldp    x3, x4, [x1], #16", // r_offset, r_info
        "ldr    x5, [x1], #8",      // r_addend
        // R_AARCH64_RELATIVE is the only relocation that a static position independent executable has.
        "cmp    w4, #1027",
        "b.ne   5f",
        "add    x5, x5, x0",
        "str    x5, [x0, x3]",
        "b      2b",
        "3:",
        "adrp   x1, _bss_start",
        "add    x1, x1, :lo12:_bss_start",
        "adrp   x2, _bss_end",
        "add    x2, x2, :lo12:_bss_end",
        "4:",
        "cmp    x1, x2",
        "b.hs   6f",
        "stp    xzr, xzr, [x1], #16",
        "b      4b",
        "5:",
        "mov    x0, #1",
        "ret",
        "6:",
        "mov    x0, xzr",
        "ret",
    )
}
