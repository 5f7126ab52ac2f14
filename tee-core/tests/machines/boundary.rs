// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the fuzzer does, without the fuzzer: its seeds, changed a little, and any bytes.

use crate::draw::Random;
use crate::finding;
use crate::play::Sequence;
use std::fs;

/// Byte strings of `make test`.
const STRINGS: usize = 4_000;

/// Plays a sequence. If it fails, what is left of it when it is made short is printed.
fn check(sequence: Sequence) {
    if finding::fails(&sequence) {
        finding::fail(&sequence.shorten(finding::fails));
    }
}

fn seeds() -> Vec<Vec<u8>> {
    // Cargo runs a test in its package's folder, wherever that is by now.
    let mut paths: Vec<_> =
        fs::read_dir("fuzz/seeds/smc").expect("the seeds").map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn the_fuzzers_seeds_pass() {
    let seeds = seeds();
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| check(Sequence::from_bytes(seed)));
}

#[test]
fn changed_seeds_and_random_bytes_pass() {
    let (seeds, mut random) = (seeds(), Random(7182));
    for n in 0..STRINGS {
        let len = random.below(400);
        let mut bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        if n % 3 != 0 {
            bytes.clone_from(&seeds[random.below(seeds.len())]);
            for _ in 0..1 + random.below(8) {
                let at = random.below(bytes.len());
                match random.below(3) {
                    0 => bytes.insert(at, random.next() as u8),
                    _ if bytes.is_empty() => {}
                    1 => drop(bytes.remove(at)),
                    _ => bytes[at] = random.next() as u8,
                }
            }
        }
        check(Sequence::from_bytes(&bytes));
    }
}

/// `INPUT=file`: what the fuzzer found, made short and printed as a test.
#[test]
#[ignore = "for a file that the fuzzer left"]
fn an_input_passes() {
    let Ok(path) = std::env::var("INPUT") else { return println!("INPUT names no file") };
    check(Sequence::from_bytes(&fs::read(path).expect("a file that can be read")));
}
