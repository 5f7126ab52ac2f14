// SPDX-License-Identifier: MIT OR Apache-2.0
//! SHA-256 with the CPU's own instructions (FEAT_SHA256): 1.6 instructions a byte, where plain ones take 32.

use super::sysreg;
use crate::digest::{Compress, SOFTWARE};
use core::arch::naked_asm;

/// FIPS 180-4 §4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes.
static K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
    0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
    0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2,
];

/// Picks the fastest block function that this CPU has.
pub fn compressor() -> Compress {
    // ID_AA64ISAR0_EL1.SHA2.
    if (sysreg::read!("id_aa64isar0_el1") >> 12) & 0xF != 0 { instructions } else { SOFTWARE }
}

fn instructions(state: &mut [u32; 8], blocks: &[[u8; 64]]) {
    // SAFETY: `compressor` found the instructions; EL3 may use them, CPTR_EL3.TFP being 0; the pointers are a state's
    // and that many blocks'. No code of this image keeps anything in vector registers.
    unsafe { compress(state.as_mut_ptr(), blocks.as_ptr().cast(), blocks.len()) }
}

/// Four rounds with the message words in `$w`.
macro_rules! rounds {
    ($w:literal, $k:literal) => {
        concat!(
            "add v8.4s, v",
            $w,
            ".4s, v",
            $k,
            ".4s\n",
            "mov v9.16b, v0.16b\n",
            "sha256h q0, q1, v8.4s\n",
            "sha256h2 q1, q9, v8.4s\n",
        )
    };
}

/// Four rounds with the message words in `$w`, and the words of four rounds further on in their place.
macro_rules! rounds_and_schedule {
    ($w:literal, $w1:literal, $w2:literal, $w3:literal, $k:literal) => {
        concat!(
            rounds!($w, $k),
            "sha256su0 v",
            $w,
            ".4s, v",
            $w1,
            ".4s\n",
            "sha256su1 v",
            $w,
            ".4s, v",
            $w2,
            ".4s, v",
            $w3,
            ".4s\n",
        )
    };
}

/// Works `count` blocks into `state`. The vector registers are zero afterwards: nothing of an image stays in them.
///
/// # Safety
///
/// The CPU must have FEAT_SHA256, the vector registers must be free, the pointers valid.
#[unsafe(naked)]
unsafe extern "C" fn compress(state: *mut u32, blocks: *const u8, count: usize) {
    naked_asm!(
        ".arch_extension sha2",
        "cbz x2, 2f",
        "adrp x3, {k}",
        "add x3, x3, :lo12:{k}",
        "ld1 {{v16.4s-v19.4s}}, [x3], #64",
        "ld1 {{v20.4s-v23.4s}}, [x3], #64",
        "ld1 {{v24.4s-v27.4s}}, [x3], #64",
        "ld1 {{v28.4s-v31.4s}}, [x3]",
        "ld1 {{v0.4s-v1.4s}}, [x0]",
        "1:",
        "ld1 {{v4.16b-v7.16b}}, [x1], #64",
        "rev32 v4.16b, v4.16b",
        "rev32 v5.16b, v5.16b",
        "rev32 v6.16b, v6.16b",
        "rev32 v7.16b, v7.16b",
        "mov v2.16b, v0.16b",
        "mov v3.16b, v1.16b",
        rounds_and_schedule!("4", "5", "6", "7", "16"),
        rounds_and_schedule!("5", "6", "7", "4", "17"),
        rounds_and_schedule!("6", "7", "4", "5", "18"),
        rounds_and_schedule!("7", "4", "5", "6", "19"),
        rounds_and_schedule!("4", "5", "6", "7", "20"),
        rounds_and_schedule!("5", "6", "7", "4", "21"),
        rounds_and_schedule!("6", "7", "4", "5", "22"),
        rounds_and_schedule!("7", "4", "5", "6", "23"),
        rounds_and_schedule!("4", "5", "6", "7", "24"),
        rounds_and_schedule!("5", "6", "7", "4", "25"),
        rounds_and_schedule!("6", "7", "4", "5", "26"),
        rounds_and_schedule!("7", "4", "5", "6", "27"),
        rounds!("4", "28"),
        rounds!("5", "29"),
        rounds!("6", "30"),
        rounds!("7", "31"),
        "add v0.4s, v0.4s, v2.4s",
        "add v1.4s, v1.4s, v3.4s",
        "subs x2, x2, #1",
        "b.ne 1b",
        "st1 {{v0.4s-v1.4s}}, [x0]",
        ".irp n, 0,1,2,3,4,5,6,7,8,9,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
        "movi v\\n\\().2d, #0",
        ".endr",
        "2: ret",
        ".arch_extension nosha2",
        k = sym K,
    )
}
