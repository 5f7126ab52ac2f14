// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exercise 1: who answers an SMC, and what.

use super::bench::{Bench, refuted};
use super::grade::grade;
use super::sheet::Sheet;
use anyhow::Result;
use lab_run::judge::Verdict;

/// Judges that the machine does what was predicted, and that one without a TEE contradicts, since one prediction is
/// about the TEE.
pub(super) fn judge(bench: &Bench<'_>, sheet: &Sheet) -> Result<Vec<Verdict>> {
    let scenario = sheet.scenario("")?;
    let whole = bench.boot(&scenario, "as-written")?;
    let mut verdicts = grade(sheet, &whole, bench.numbers);
    if super::passed(&verdicts) {
        let mut without = scenario;
        without.chain.tee = None;
        let without = bench.boot(&without, "without-tee")?;
        verdicts.push(refuted("without a TEE in the flash the machine contradicts you", &without));
    }
    Ok(verdicts)
}
