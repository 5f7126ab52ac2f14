// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exercise 5: a message by hand, and a message that changes while it is being served.

use super::bench::Bench;
use super::grade::grade;
use super::sheet::Sheet;
use anyhow::Result;
use lab_run::judge::Verdict;

/// Played after the student's steps: is the session one with the device enumeration, was the message really changed
/// while its call was under way, and did the TEE answer what it had been asked at first?
const PROOF: &str = r#"
[[step]]
name = "the checker: your session lists devices"
message = "msg"
cmd = "INVOKE_COMMAND"
func = 0
session = "opened"
params = [{ type = "tmem-out" }]
smc = "OPTEE_SMC_CALL_WITH_ARG"
client = 1
expect = { x0 = 0, ret = "TEE_ERROR_SHORT_BUFFER", param0_b = { at-least = 16 } }

[[step]]
name = "the checker: the message was changed into a reference to the TEE's memory"
expect = { "u64(calls + 32)" = 0xA }

[[step]]
name = "the checker: the answer is the time, as asked at first"
expect = { "u64(calls + 40)" = 1234, "u64(calls + 48)" = 567 }

[[step]]
name = "the checker: VM 1 can be destroyed"
smc = "OPTEE_SMC_VM_DESTROYED"
x1 = 1
expect = { x0 = 0 }
"#;

/// Judges that what the student wrote holds, and that what the checker asks afterwards on the same machine does.
pub(super) fn judge(bench: &Bench<'_>, sheet: &Sheet) -> Result<Vec<Verdict>> {
    let outcome = bench.boot(&sheet.scenario(PROOF)?, "as-written")?;
    Ok(grade(sheet, &outcome, bench.numbers))
}
