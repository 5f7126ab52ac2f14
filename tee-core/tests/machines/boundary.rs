//! What the fuzzer does, without the fuzzer: its seeds, changed a little, and any bytes.

use crate::finding;
use crate::play::Sequence;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let n = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        n ^ (n >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

fn fails(sequence: &Sequence) -> bool {
    catch_unwind(AssertUnwindSafe(|| sequence.play())).is_err()
}

/// Plays a sequence. If it fails, what is left of it when it is made short is printed.
fn check(sequence: Sequence) {
    if fails(&sequence) {
        let short = sequence.shorten(fails);
        println!("{}", finding::report(&short, "found"));
        short.play();
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/smc");
    let mut paths: Vec<_> = fs::read_dir(folder).expect("the seeds").map(|entry| entry.unwrap().path()).collect();
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
    for n in 0..300 {
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
