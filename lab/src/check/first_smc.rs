//! Exercise 1: who answers an SMC, and what.

use super::bench::{Bench, holds, refuted};
use super::calls::calling;
use super::verdict;
use crate::judge::Verdict;
use anyhow::Result;
use shared_abi::optee_smc::OPTEE_SMC_CALLS_UID;
use shared_abi::psci::PSCI_VERSION;
use shared_abi::smccc::{FunctionId, SMCCC_VERSION};

/// The functions that the exercise asks to call.
const ASKED: [(&str, FunctionId); 3] =
    [("SMCCC_VERSION", SMCCC_VERSION), ("PSCI_VERSION", PSCI_VERSION), ("OPTEE_SMC_CALLS_UID", OPTEE_SMC_CALLS_UID)];

/// The machine does what was predicted; one without a TEE contradicts, since that prediction was about the TEE.
pub(super) fn judge(bench: &Bench<'_>) -> Result<Vec<Verdict>> {
    let scenario = bench.scenario("01.toml", "")?;
    let mut verdicts = Vec::new();
    for (name, function) in ASKED {
        let calls = calling(&scenario, function);
        let predicts =
            calls.iter().any(|step| step.expect.keys().any(|key| ["x0", "w0"].contains(&key.get_ref().as_str())));
        verdicts.push(verdict(
            predicts,
            format!("a step calls {name} by SMC and says what x0 will be"),
            if predicts { "" } else { "give it `smc` and `expect = { x0 = … }`" },
        ));
    }
    if !super::passed(&verdicts) {
        return Ok(verdicts);
    }
    let whole = bench.boot(&scenario, "as-written")?;
    verdicts.push(holds("the machine does what you predict", &whole));
    if whole.passed() {
        let mut without = scenario.clone();
        without.chain.tee = false;
        let without = bench.boot(&without, "without-tee")?;
        verdicts.push(refuted("without a TEE in the flash the machine contradicts you", &without));
    }
    Ok(verdicts)
}
