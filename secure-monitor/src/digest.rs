// SPDX-License-Identifier: MIT OR Apache-2.0
//! SHA-256 (FIPS 180-4) over whichever block function the CPU has.

use sha2::block_api::compress256;

const BLOCK: usize = 64;
/// Where the message's length in bits stands in the last block.
const LENGTH_AT: usize = BLOCK - 8;

/// FIPS 180-4 §5.3.3.
const INITIAL: [u32; 8] =
    [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19];

/// Works whole blocks into the state.
pub type Compress = fn(&mut [u32; 8], &[[u8; BLOCK]]);

/// The `sha2` crate's block function, for a CPU without instructions of its own.
pub const SOFTWARE: Compress = compress256;

/// Computes the SHA-256 of `message`.
pub fn sha256(message: &[u8], compress: Compress) -> [u8; 32] {
    let mut state = INITIAL;
    let (blocks, rest) = message.as_chunks();
    compress(&mut state, blocks);

    // FIPS 180-4 §5.1.1: a one bit, zeros, and the length in the last eight bytes of a block.
    let mut tail = [[0; BLOCK]; 2];
    tail[0][..rest.len()].copy_from_slice(rest);
    tail[0][rest.len()] = 0x80;
    let used = if rest.len() < LENGTH_AT { 1 } else { 2 };
    tail[used - 1][LENGTH_AT..].copy_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    compress(&mut state, &tail[..used]);

    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn every_length_around_a_block_is_padded_as_the_standard_says() {
        let message: std::vec::Vec<u8> = (0..300u32).map(|n| (n * 7) as u8).collect();
        for len in 0..message.len() {
            let expected: [u8; 32] = Sha256::digest(&message[..len]).into();
            assert_eq!(sha256(&message[..len], SOFTWARE), expected, "{len}");
        }
    }
}
