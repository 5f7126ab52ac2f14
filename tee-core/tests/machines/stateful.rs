// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random sequences of calls on the TEE and the model.

use crate::draw::{Random, shrink};
use crate::finding;
use crate::generate::{again, sequence};
use crate::play::Sequence;
use crate::step::Step;
use shared_abi::smccc::{FunctionId, OwningEntity};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// Sequences of `make test`.
const SEQUENCES: usize = 10_000;

/// A number that is another one each time.
fn any_seed() -> u64 {
    RandomState::new().hash_one(0)
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

/// Plays a sequence; returns how many calls it took. If it fails, what is left of it when it is made short is printed.
fn check(seed: u64, longest: u64) -> u64 {
    let (sequence, choices) = sequence(seed, longest);
    finding::calls(&sequence).unwrap_or_else(|| {
        println!("SEED={seed} LONGEST={longest}");
        finding::fail(&again(&shrink(choices, |choices| finding::fails(&again(choices)))))
    })
}

#[test]
fn the_tee_answers_as_the_model_does() {
    // Others each time; `SEED` for the same ones again.
    let mut seeds = Random(number("SEED", any_seed()));
    for _ in 0..SEQUENCES {
        check(seeds.next(), 60);
    }
}

/// Seconds: `SEARCH_SECONDS`, an hour by default.
#[test]
#[ignore = "takes an hour"]
fn the_tee_answers_as_the_model_does_for_long() {
    let (start, time) = (Instant::now(), Duration::from_secs(number("SEARCH_SECONDS", 3600)));
    let (mut seeds, mut played, mut calls) = (Random(any_seed()), 0u64, 0);
    while start.elapsed() < time {
        // Short ones find most; long ones what takes full tables.
        let longest = if played % 20 == 0 { 400 } else { 60 };
        calls += check(seeds.next(), longest);
        played += 1;
    }
    println!("{played} sequences of {calls} calls in {} s", start.elapsed().as_secs());
}

/// Plays one sequence again: `SEED`, and `LONGEST` if it was of more than 60 parts.
#[test]
#[ignore = "for a seed that failed"]
fn a_seed_passes() {
    check(number("SEED", 0), number("LONGEST", 60));
}

/// Prints a scenario: a random sequence for the TEE on its real machine, with what the model says. `SEED` chooses it.
#[test]
#[ignore = "prints a scenario for QEMU"]
fn a_sequence_for_the_probe() {
    let seed = number("SEED", 0);
    let (Sequence { mut steps, .. }, _) = sequence(seed, 60);
    // What the probe cannot do, and what differs there: the end of RAM, its hole, how much there is, the time.
    steps.retain(|step| {
        let text = format!("{step:?}");
        let elsewhere = ["Interrupt(", "After(", "Random(", "End(", "Hole(", "func: 4,", "8388608"];
        let the_monitors = matches!(step, Step::Smc(x) if FunctionId(x.0[0]).owner() != OwningEntity::TrustedOs);
        !the_monitors && !elsewhere.iter().any(|what| text.contains(what))
    });
    println!("{}", Sequence { pages: 3700, steps }.scenario(&format!("sequence-{seed}")));
}
