// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exercise 6: the report's TEE dies, the default one does not, and the script never says the id 0.

use super::bench::{Bench, holds};
use super::sheet::Sheet;
use super::verdict;
use anyhow::Result;
use lab_run::firmware::{Firmware, Program};
use lab_run::judge::Verdict;

/// What the report's TEE says as it dies of the report's assertion.
const ASSERTION: &str = "assertion 'poolset->freelist.ql.blink->ql.flink == &poolset->freelist' failed";

/// Said to whoever's calls it survives.
const HINT: &str = "The hypervisor's own id has to have a partition before the second VM comes, and you may not \
                    write 0. How wide is an id in the TEE that has the bug, how wide is the argument, and what \
                    becomes of the difference?";

/// Played after the student's steps, to the default TEE.
const ALIVE: &str = r#"
[[step]]
name = "the checker: a VM can be created and used"
set = { vm = 99 }
play = "use-vm"
"#;

/// Judges two TEEs by the same script.
pub(super) fn judge(bench: &Bench<'_>, sheet: &Sheet) -> Result<Vec<Verdict>> {
    let scenario = sheet.scenario("")?;
    let firmware = Firmware::build(bench.workspace, &[Program::Tee], bench.progress)?;
    let reported =
        firmware.build_variant(bench.workspace, Program::Tee, "as-reported", &["as-reported"], bench.progress)?;
    let died = bench.boot_with(&scenario, "as-reported", Some(&reported.image))?;
    let last = died.lines.iter().find(|line| line.speaker == "TEE" && line.text.contains(ASSERTION));
    let mut evidence = last.map_or(HINT.to_owned(), ToString::to_string);
    if last.is_none() && bench.numbers {
        let said = died.lines.iter().filter(|line| line.speaker == "TEE");
        evidence.extend(said.map(|line| format!("\n{line}")));
    }
    let mut verdicts: Vec<_> = sheet.answers.iter().map(|answered| answered.verdict(true, None)).collect();
    verdicts.push(verdict(last.is_some(), "the report's TEE dies of the report's assertion", evidence));
    let lives = bench.boot(&sheet.scenario(ALIVE)?, "default")?;
    verdicts.push(holds("the default TEE lives, and serves a new VM afterwards", &lives));
    Ok(verdicts)
}
