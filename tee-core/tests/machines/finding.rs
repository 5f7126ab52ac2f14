// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is left of a sequence that failed: a test, and a scenario for the TEE on its real machine.

use crate::play::Sequence;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Once;
use std::{env, fs};

thread_local! {
    /// Whether this thread's panics are expected: while a sequence is made short, every attempt is one.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// How many calls the sequence takes; `None` if the TEE and the model disagree somewhere in it.
pub fn calls(sequence: &Sequence) -> Option<u64> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                hook(panic)
            }
        }));
    });
    QUIET.set(true);
    let end = catch_unwind(AssertUnwindSafe(|| sequence.play()));
    QUIET.set(false);
    end.ok()
}

/// Whether they disagree.
pub fn fails(sequence: &Sequence) -> bool {
    calls(sequence).is_none()
}

/// Fails as the sequence does, and says what it is.
pub fn fail(sequence: &Sequence) -> ! {
    println!("{}", report(sequence, "found"));
    sequence.play();
    panic!("a sequence that failed passes when it is played again");
}

/// The test for `found.rs` as text. The scenario of this name is written to a file, which the text names.
pub fn report(sequence: &Sequence, name: &str) -> String {
    let file = folder().join(name).with_extension("toml");
    let written = fs::create_dir_all(folder()).and_then(|()| fs::write(&file, sequence.scenario(name)));
    let scenario = match written {
        Ok(()) => format!("The same on the real machine: cargo lab run {}", file.display()),
        Err(error) => format!("The scenario {} cannot be written: {error}", file.display()),
    };
    format!("{sequence:?}\n\n{scenario}\n")
}

/// Where cargo keeps what tests write: of the target folder that this program lies in, which may have been moved.
fn folder() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target.map_or_else(env::temp_dir, |target| target.join("tmp"))
}

#[test]
fn a_finding_is_a_test_and_a_file() {
    let sequence = Sequence { pages: 40, steps: vec![crate::step::Step::Create(1)] };
    let report = report(&sequence, "example");
    assert!(report.starts_with("#[test]\n") && report.contains("Create(1),\n"), "{report}");
    let file = report.trim().rsplit(' ').next().unwrap();
    assert!(fs::read_to_string(file).unwrap().contains("smc = 0xb200000d"));
}
