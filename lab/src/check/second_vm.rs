//! Exercise 6: the report's TEE dies, the default one does not, and the script never says the id 0.

use super::bench::{Bench, holds};
use super::calls::{calling, constant};
use super::verdict;
use crate::firmware::{Firmware, Program};
use crate::judge::Verdict;
use anyhow::Result;
use shared_abi::optee_smc::OPTEE_SMC_VM_CREATED;

/// What the report's TEE says as it dies of the report's assertion.
const ASSERTION: &str = "assertion 'poolset->freelist.ql.blink->ql.flink == &poolset->freelist' failed";

/// Played after the student's steps, to the default TEE.
const ALIVE: &str = r#"
[[step]]
name = "the checker: a VM can be created and used"
set = { vm = 99 }
play = "use-vm"
"#;

/// Two TEEs, the same script.
pub(super) fn judge(bench: &Bench<'_>) -> Result<Vec<Verdict>> {
    let scenario = bench.scenario("06.toml", "")?;
    let ids: Vec<_> = calling(&scenario, OPTEE_SMC_VM_CREATED)
        .iter()
        .map(|step| step.x1.as_ref().map_or(Some(0), constant))
        .collect();
    let mut verdicts = vec![
        verdict(
            ids.len() >= 2,
            "at least two VMs are created",
            format!("{} steps call OPTEE_SMC_VM_CREATED", ids.len()),
        ),
        verdict(
            !ids.contains(&Some(0)) && !ids.contains(&None),
            "no x1 of VM_CREATED is 0, and each is written as a number",
            "a hypervisor that was told of the report refuses the id 0 before it calls",
        ),
    ];
    if !super::passed(&verdicts) {
        return Ok(verdicts);
    }
    let firmware = Firmware::build(bench.workspace, &[Program::Tee], bench.progress)?;
    let reported =
        firmware.build_variant(bench.workspace, Program::Tee, "as-reported", &["as-reported"], bench.progress)?;
    let died = bench.boot_with(&scenario, "as-reported", Some(&reported.image))?;
    let last = died.lines.iter().find(|line| line.speaker == "TEE" && line.text.contains(ASSERTION));
    let last_of_all = || died.lines.iter().rfind(|line| line.speaker == "TEE").map(ToString::to_string);
    verdicts.push(verdict(
        last.is_some(),
        "the report's TEE dies of the report's assertion",
        last.map(ToString::to_string).or_else(last_of_all).unwrap_or_default(),
    ));
    let lives = bench.boot(&bench.scenario("06.toml", ALIVE)?, "default")?;
    verdicts.push(holds("the default TEE lives, and serves a new VM afterwards", &lives));
    Ok(verdicts)
}
