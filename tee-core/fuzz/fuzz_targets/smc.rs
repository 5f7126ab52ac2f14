// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as calls, memory contents and what other CPUs do meanwhile, on the TEE core and its reference model.
//!
//! `cargo fuzz run -s none --no-trace-compares smc corpus/smc seeds/smc`, in this folder. What it finds is printed as a
//! test for `tests/machines/found.rs`; `INPUT=FILE cargo test -p tee-core --test machines an_input_passes -- --ignored
//! --nocapture` makes it short.
#![no_main]

#[path = "../../tests/machines/bytes.rs"]
mod bytes;
#[path = "../../tests/machines/oracle/mod.rs"]
mod oracle;
#[expect(dead_code, reason = "the tests make scenarios, too")]
#[path = "../../tests/machines/play.rs"]
mod play;
#[path = "../../tests/machines/step.rs"]
mod step;

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use play::Sequence;

impl<'a> Arbitrary<'a> for Sequence {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self::from_bytes(u.bytes(u.len())?))
    }
}

fuzz_target!(|sequence: Sequence| {
    sequence.play();
});
