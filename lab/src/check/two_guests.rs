//! Exercise 4: two guests whose addresses are the same and whose memory is not.

use super::bench::{Bench, holds, refuted};
use super::verdict;
use crate::judge::Verdict;
use crate::scenario::{Scenario, Size};
use anyhow::Result;

/// The memory that the exercise asks for: 0x43FF_FFF8 is its last double word.
const ASKED: Size = Size(64 << 20);

/// Both boot and see what was predicted; with less memory, or none but its neighbour, the second contradicts.
pub(super) fn judge(bench: &Bench<'_>) -> Result<Vec<Verdict>> {
    let scenario = bench.scenario("04.toml", "")?;
    let written = bench.boot(&scenario, "as-written")?;
    let mut verdicts = vec![holds("both guests see what you predict", &written)];
    for index in 0..scenario.vms.len() {
        let console = scenario.console(index);
        let booted = written.lines.iter().find(|line| line.speaker == console && line.text.contains("[probe] EL1"));
        let hint = || {
            let about = written.lines.iter().filter(|line| line.speaker == "HYP");
            about.map(|line| format!("{line}\n")).collect()
        };
        verdicts.push(verdict(
            booted.is_some(),
            format!("{} ({console}) starts at EL1", scenario.vms[index].name),
            booted.map_or_else(hint, ToString::to_string),
        ));
    }
    if !super::passed(&verdicts) {
        return Ok(verdicts);
    }
    let small = with_memory(&scenario, Size(ASKED.0 / 2));
    verdicts.push(refuted("half of bob's memory is not enough", &bench.boot(&small, "half-the-memory")?));
    let large = with_memory(&scenario, Size(ASKED.0 + (2 << 20)));
    verdicts.push(refuted("2 MiB more of it are too much", &bench.boot(&large, "more-memory")?));
    Ok(verdicts)
}

/// The same scripts in a VM with other memory.
fn with_memory(scenario: &Scenario, memory: Size) -> Scenario {
    let mut scenario = scenario.clone();
    if let Some(bob) = scenario.vms.iter_mut().find(|vm| vm.name == "bob") {
        bob.memory = memory;
    }
    scenario
}
