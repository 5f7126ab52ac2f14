// SPDX-License-Identifier: MIT OR Apache-2.0
//! Damaged device trees: none makes any layer of the chain panic, and what the first one lets through the others take.

mod layers;

use fdt::Fdt;
use lab_run::workspace::Workspace;
use std::fs;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
/// Fields of the header.
const TOTAL: usize = 4;
const OFF_STRUCTURE: usize = 8;
const OFF_STRINGS: usize = 12;
const SIZE_STRUCTURE: usize = 36;

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

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

fn word(tree: &[u8], at: usize) -> u32 {
    tree.get(at..at + 4).map_or(0, |bytes| u32::from_be_bytes(bytes.try_into().unwrap()))
}

fn put(tree: &mut [u8], at: usize, number: u32) {
    if let Some(bytes) = tree.get_mut(at..at + 4) {
        bytes.copy_from_slice(&number.to_be_bytes());
    }
}

/// Finds the words of a tree that say what it is made of: tokens, lengths, places of names.
fn structure(tree: &[u8], random: &mut Random) -> usize {
    (word(tree, OFF_STRUCTURE) as usize + 4 * random.below(word(tree, SIZE_STRUCTURE) as usize / 4)) % tree.len().max(1)
}

/// Puts words into the structure, or takes some out; the rest of the tree stays whole.
fn shift(tree: &mut Vec<u8>, at: usize, words: &[u32], out: usize) {
    let at = at.min(tree.len());
    let out = (4 * out).min(tree.len() - at);
    tree.splice(at..at + out, words.iter().flat_map(|word| word.to_be_bytes()));
    for field in [TOTAL, OFF_STRINGS, SIZE_STRUCTURE] {
        let number = word(tree, field).wrapping_add(4 * words.len() as u32).wrapping_sub(out as u32);
        put(tree, field, number);
    }
}

/// Changes a tree a little.
fn change(tree: &mut Vec<u8>, random: &mut Random) {
    let interesting =
        [0, BEGIN_NODE, END_NODE, PROP, NOP, 5, 8, 9, 12, 0xFF, 0x7FFF_FFFF, u32::MAX, random.next() as u32 % 4096];
    match random.below(9) {
        0 => {
            let at = random.below(tree.len());
            tree[at] = random.next() as u8;
        }
        1 => {
            let at = random.below(tree.len());
            tree[at] ^= 1 << random.below(8);
        }
        2 | 3 => {
            let at = structure(tree, random);
            put(tree, at, random.one_of(&interesting));
        }
        4 => {
            let at = structure(tree, random);
            let number = word(tree, at).wrapping_add(random.one_of(&[1, u32::MAX, 4, 0_u32.wrapping_sub(4)]));
            put(tree, at, number);
        }
        5 => put(tree, 4 * random.below(10), random.one_of(&interesting)),
        6 => {
            let (at, from) = (structure(tree, random), structure(tree, random));
            let number = word(tree, from);
            put(tree, at, number);
        }
        7 => {
            let at = structure(tree, random);
            let words =
                random.one_of(&[&[NOP][..], &[NOP, NOP], &[BEGIN_NODE, 0x6100_0000], &[END_NODE], &[PROP, 0, 0]]);
            shift(tree, at, words, 0);
        }
        _ => {
            let at = structure(tree, random);
            shift(tree, at, &[], 1 + random.below(5));
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let folder = Workspace::locate().unwrap().root().join("lab/tests/device_trees/seeds");
    let mut paths: Vec<_> = fs::read_dir(folder).expect("the seeds").map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Makes a tree: a seed, changed.
fn tree(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut tree = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        if !tree.is_empty() {
            change(&mut tree, random);
        }
    }
    tree
}

/// Has the layers read so many changed trees; says how many were taken for trees.
fn search(trees: usize, random: &mut Random, until: Option<Instant>) -> usize {
    let seeds = seeds();
    let mut taken = 0;
    for n in 0..trees {
        if until.is_some_and(|until| Instant::now() > until) {
            break;
        }
        let state = random.0;
        let tree = tree(&seeds, random);
        match catch_unwind(AssertUnwindSafe(|| layers::read(&tree))) {
            Ok(whole) => taken += usize::from(whole),
            Err(why) => {
                let file = Workspace::locate().unwrap().target().join("found.dtb");
                fs::write(&file, &tree).unwrap();
                eprintln!("tree {n}, of state {state:#x}, is in {}", file.display());
                panic::resume_unwind(why);
            }
        }
    }
    taken
}

#[test]
fn the_seeds_are_read_by_every_layer() {
    for seed in seeds() {
        assert!(layers::read(&seed));
    }
}

#[test]
fn damaged_trees_panic_nobody() {
    let taken = search(4000, &mut Random(0xD4), None);
    assert!((400..3600).contains(&taken), "{taken} of 4000 taken: the changes are too coarse, or too fine");
}

/// What the check is for: handed to the crate unchecked, some of the same trees are the end of whoever reads them.
#[test]
fn unchecked_some_of_them_would() {
    let (seeds, mut random) = (seeds(), Random(0xD4));
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let panics = (0..1000).filter(|_| {
        let tree = tree(&seeds, &mut random);
        let children =
            || Fdt::new(&tree).is_ok_and(|fdt| fdt.find_node("/").is_some_and(|root| root.children().count() > 0));
        catch_unwind(AssertUnwindSafe(children)).is_err()
    });
    let panics = panics.count();
    panic::set_hook(hook);
    assert!(panics > 10, "{panics}: is the check still needed?");
}

/// Seconds: `SEARCH_SECONDS`, an hour by default.
#[test]
#[ignore = "takes an hour"]
fn damaged_trees_panic_nobody_for_long() {
    let seconds = std::env::var("SEARCH_SECONDS").map_or(3600, |text| text.parse().expect("a number of seconds"));
    let start = Instant::now();
    let until = start + Duration::from_secs(seconds);
    let mut random = Random(std::process::id().into());
    println!("from state {}", random.0);
    let taken = search(usize::MAX, &mut random, Some(until));
    println!("{taken} damaged trees were taken for whole in {} s", start.elapsed().as_secs());
}
