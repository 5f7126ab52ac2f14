// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is expected of our guests without being written down: that none of the steps that they play fails.

use super::tables::{Expect, Scenario};

/// What each says then (`images/`).
const BARE_GUEST: &str = "^bare-guest: (?:FAIL|PANIC)";
const LINUX: &str = "^init: FAIL";

impl Scenario {
    /// Expects that nothing fails, but of a VM that must be silent, or that must fail.
    pub(super) fn expect_no_failure(&mut self) {
        for index in 0..self.vms.len() {
            let vm = &self.vms[index];
            let pattern = match (vm.kernel.as_deref(), vm.initramfs.as_deref()) {
                (Some("bare-guest"), _) => BARE_GUEST,
                (Some(_), Some("linux")) => LINUX,
                _ => continue,
            };
            let console = self.console(index);
            if !self.expects.iter().any(|expect| expect.from == console && expect.is_about_silence_or_failure()) {
                self.expects.push(Expect {
                    from: console,
                    line: None,
                    regex: Some(pattern.into()),
                    absent: true,
                    count: None,
                    in_order: false,
                    at_most: None,
                    at_least: None,
                    on: Vec::new(),
                });
            }
        }
    }
}

impl Expect {
    fn is_about_silence_or_failure(&self) -> bool {
        let words = self.line.as_ref().or(self.regex.as_ref());
        words.map_or(self.absent, |words| words.contains("FAIL") || words.contains("PANIC"))
    }
}
