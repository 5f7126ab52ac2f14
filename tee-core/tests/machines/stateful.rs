//! Random sequences of calls on the TEE and the model.

use crate::finding;
use crate::generate::sequence;
use crate::play::Sequence;
use crate::step::Step;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use shared_abi::smccc::{FunctionId, Owner};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

fn search(cases: u32, longest: usize, until: Option<Instant>) -> u64 {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let mut runner = TestRunner::new(config);
    // Until the sequence is as short as it gets, every attempt panics.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (played, failed) = (Cell::new(0u64), Cell::new(false));
    let end = runner.run(&sequence(longest), |sequence| {
        // When the time is up, what is left passes unseen; but a failure is always shrunk.
        if until.is_some_and(|until| Instant::now() > until) && !failed.get() {
            return Ok(());
        }
        played.set(played.get() + 1);
        catch_unwind(AssertUnwindSafe(|| sequence.play())).map_err(|why| {
            failed.set(true);
            let text = why.downcast_ref::<String>().cloned();
            let text = text.or_else(|| why.downcast_ref::<&str>().map(|text| text.to_string()));
            TestCaseError::fail(text.unwrap_or_default())
        })
    });
    std::panic::set_hook(hook);
    match end {
        Ok(()) => played.get(),
        Err(TestError::Fail(why, sequence)) => {
            panic!("{why}\n\n{}", finding::report(&sequence, "found"))
        }
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

#[test]
fn the_tee_answers_as_the_model_does() {
    search(500, 60, None);
}

/// Seconds: `SEARCH_SECONDS`, an hour by default.
#[test]
#[ignore = "takes an hour"]
fn the_tee_answers_as_the_model_does_for_long() {
    let seconds = std::env::var("SEARCH_SECONDS").map_or(3600, |text| text.parse().expect("a number of seconds"));
    let start = Instant::now();
    let until = start + Duration::from_secs(seconds);
    let mut played = 0;
    while Instant::now() < until {
        played += search(2_000, 40, Some(until)) + search(500, 250, Some(until));
    }
    println!("{played} sequences in {} s", start.elapsed().as_secs());
}

/// Prints a scenario: a random sequence for the TEE on its real machine, with what the model says. `SEED` chooses it.
#[test]
#[ignore = "prints a scenario for QEMU"]
fn a_sequence_for_the_probe() {
    let seed = std::env::var("SEED").map_or(0, |text| text.parse::<u64>().expect("a number"));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let Sequence { mut steps, .. } = sequence(60).new_tree(&mut runner).expect("a sequence").current();
    // What the probe cannot do, and what differs there: the end of RAM, its hole, how much there is, the time.
    steps.retain(|step| {
        let text = format!("{step:?}");
        let elsewhere = ["Interrupt(", "After(", "Random(", "End(", "Hole(", "func: 4,", "8388608"];
        let the_monitors = matches!(step, Step::Smc(x) if FunctionId(x.0[0]).owner() != Owner::TrustedOs);
        !the_monitors && !elsewhere.iter().any(|what| text.contains(what))
    });
    println!("{}", Sequence { pages: 3700, steps }.scenario(&format!("sequence-{seed}")));
}
