// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exercise 4: two guests whose addresses are the same and whose memory is not.

use super::bench::{Bench, refuted};
use super::grade::grade;
use super::sheet::Sheet;
use super::verdict;
use anyhow::Result;
use lab_run::judge::Verdict;
use lab_run::run::Outcome;
use lab_run::scenario::{Scenario, Size};

/// The memory that the exercise asks for: 0x43FF_FFF8 is its last double word.
const ASKED: Size = Size(64 << 20);

/// Judges that both boot and see what was predicted, and that with less memory, or none but its neighbour's, the second
/// contradicts.
pub(super) fn judge(bench: &Bench<'_>, sheet: &Sheet) -> Result<Vec<Verdict>> {
    let scenario = sheet.scenario("")?;
    let written = bench.boot(&scenario, "as-written")?;
    let mut verdicts = grade(sheet, &written, bench.numbers);
    for index in 0..scenario.vms.len() {
        let (name, console) = (&scenario.vms[index].name, scenario.console(index));
        let played = played(&scenario, index, &written);
        let evidence = played.clone().unwrap_or_else(|| hypervisor(&written));
        verdicts.push(verdict(
            played.is_some(),
            format!("{name} boots as {console} and plays all of its steps"),
            evidence,
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

/// Returns what shows that it is this VM that played its steps: the hypervisor says whom it made under this number, and
/// that VM's probe says how many steps it had. A VM that was skipped has neither.
fn played(scenario: &Scenario, index: usize, outcome: &Outcome) -> Option<String> {
    let (vm, console) = (scenario.vms.get(index)?, scenario.console(index));
    let steps = vm.play.as_ref().and_then(|play| scenario.lists.get(play))?.len();
    let line = |speaker: &str, start: String| {
        outcome.lines.iter().find(|line| line.speaker == speaker && line.text.starts_with(&start))
    };
    let made = line("HYP", format!("{console}: {}, ", vm.name))?;
    let done = line(&console, format!("[probe] done: {steps} steps, "))?;
    Some(format!("{made}\n{done}"))
}

fn hypervisor(outcome: &Outcome) -> String {
    outcome.lines.iter().filter(|line| line.speaker == "HYP").map(|line| format!("{line}\n")).collect()
}

/// Plays the scripts in a VM with other memory.
fn with_memory(scenario: &Scenario, memory: Size) -> Scenario {
    let mut scenario = scenario.clone();
    if let Some(bob) = scenario.vms.iter_mut().find(|vm| vm.name == "bob") {
        bob.memory = memory;
    }
    scenario
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_run::console::Line;
    use std::path::Path;

    #[test]
    fn a_vm_that_was_skipped_has_not_played_though_another_has_its_console() {
        let text = "name = 'x'\nsummary = ''\n\
                    [[vm]]\nname = 'bob'\nkernel = 'probe'\nplay = 'bob'\nmemory = '32M'\nid = 2\n\
                    [[steps.bob]]\nread = 0\nfaults = {}\n";
        let scenario = Scenario::parse(text, Path::new("x.toml")).unwrap();
        let played = |said: &[(&str, &str)]| {
            let line = |(speaker, text): &(&str, &str)| Line { speaker: (*speaker).into(), text: (*text).into() };
            let outcome = Outcome { lines: said.iter().map(line).collect(), ..Outcome::default() };
            super::played(&scenario, 0, &outcome).is_some()
        };
        let done = ("vm2", "[probe] done: 1 steps, 1 expectations, 0 failed");
        assert!(played(&[("HYP", "vm2: bob, 1 CPUs, 32 MiB"), done]));
        assert!(!played(&[("HYP", "vm2: alice, 1 CPUs, 32 MiB"), done]));
        assert!(!played(&[
            ("HYP", "vm2: bob, 1 CPUs, 32 MiB"),
            ("vm2", "[probe] done: 3 steps, 1 expectations, 0 failed")
        ]));
    }
}
