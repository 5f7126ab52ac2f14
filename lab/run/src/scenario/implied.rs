// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is expected of our guests without being written down: that none of the steps that they play fails.

use super::tables::{Expect, Scenario, Vm};
use crate::console::FOREIGN;
use crate::xtest;

/// What each says then (`images/`).
const BARE_GUEST: &str = "^bare-guest: (?:FAIL|PANIC)";
const LINUX: &str = "^init: FAIL";
/// Before a step of init's that runs OP-TEE's test suite.
const XTEST: &str = "triptych.xtest=";

impl Scenario {
    /// Expects that nothing fails, but of a VM that must be silent, or that must fail; and of OP-TEE's test suite that
    /// it counts what it counted on the real stack.
    pub(super) fn expect_no_failure(&mut self) {
        let mut guests: Vec<_> = (0..self.vms.len())
            .filter_map(|index| {
                Some((self.console(index), self.vms[index].failure()?, self.vms[index].bootargs.clone()))
            })
            .collect();
        if self.chain.plays_steps() {
            guests = vec![(FOREIGN.to_owned(), LINUX, self.chain.bootargs.clone())];
        }
        for (console, pattern, bootargs) in guests {
            if !self.expects.iter().any(|expect| expect.from == console && expect.is_about_silence_or_failure()) {
                self.expects.push(Expect { absent: true, ..implied(&console, pattern.to_owned()) });
            }
            let lists = bootargs.split_whitespace().filter_map(|word| word.strip_prefix(XTEST));
            for (case, subtests) in lists.flat_map(|list| list.split(',')).flat_map(xtest::cases) {
                let pattern = format!("^xtest: {case}: (\\d+) subtests, 0 failed");
                let [least, most] = subtests.bounds().map(|count| Some(count as f64));
                self.expects.push(Expect { at_least: least, at_most: most, ..implied(&console, pattern) });
            }
        }
    }
}

/// Expects a line that nobody wrote an expectation for.
fn implied(console: &str, pattern: String) -> Expect {
    Expect { regex: Some(pattern), ..Expect::any_of(console) }
}

impl Vm {
    /// Returns what its program says when something fails, if it is one of ours.
    fn failure(&self) -> Option<&'static str> {
        match self.kernel.as_deref()? {
            "bare-guest" => Some(BARE_GUEST),
            _ => self.has_our_init().then_some(LINUX),
        }
    }
}

impl Expect {
    fn is_about_silence_or_failure(&self) -> bool {
        let words = self.line.as_ref().or(self.regex.as_ref());
        words.map_or(self.absent, |words| words.contains("FAIL") || words.contains("PANIC"))
    }
}
