//! What is left of a sequence that failed: a test, and a scenario for the TEE on its real machine.

use crate::play::Sequence;
use std::fs;
use std::path::Path;

/// The test for `found.rs` as text. The scenario of this name is written to a file, which the text names.
pub fn report(sequence: &Sequence, name: &str) -> String {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).with_extension("toml");
    let scenario = match fs::write(&file, sequence.scenario(name)) {
        Ok(()) => format!("The same on the real machine: cargo lab run {}", file.display()),
        Err(error) => format!("The scenario {} cannot be written: {error}", file.display()),
    };
    format!("{sequence:?}\n\n{scenario}\n")
}

#[test]
fn a_finding_is_a_test_and_a_file() {
    let sequence = Sequence { pages: 40, steps: vec![crate::step::Step::Create(1)] };
    let report = report(&sequence, "example");
    assert!(report.starts_with("#[test]\n") && report.contains("Create(1),\n"), "{report}");
    let file = report.trim().rsplit(' ').next().unwrap();
    assert!(fs::read_to_string(file).unwrap().contains("smc = 0xb200000d"));
}
