// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exercise 2: which layer refuses which image, and who is silent then.

use super::bench::Bench;
use super::sheet::Sheet;
use super::verdict;
use anyhow::Result;
use lab_run::console::Line;
use lab_run::judge::Verdict;
use lab_run::scenario::{Damage, Expect, Image, Scenario};

/// Judges that the TEE's image is refused before anything of it runs, and that what was written tells this machine from
/// one with a whole flash and from those on which another image is damaged in the same way.
pub(super) fn judge(bench: &Bench<'_>, sheet: &Sheet) -> Result<Vec<Verdict>> {
    let scenario = sheet.scenario("")?;
    let chosen = scenario.chain.damage;
    let boot = |name, damage| bench.boot(&with(&scenario, damage), name).map(|outcome| Log(outcome.lines));
    let written = boot("as-written", chosen)?;
    let said = |wanted: &str| bench.numbers.then(|| format!("the machine: {wanted}"));

    let stopped = written.0.iter().rfind(|line| line.speaker == "EL3").map(ToString::to_string).unwrap_or_default();
    let refused = written.refusal();
    let mut verdicts = vec![sheet.answered("", "damage")?.verdict(refused.is_some(), said(&stopped).as_deref())];
    let Some(refused) = refused else { return Ok(verdicts) };
    let others = written.0.iter().find(|line| ["TEE", "HYP"].contains(&line.speaker.as_str()));
    let evidence = others.map_or("neither TEE nor hypervisor said anything".to_owned(), ToString::to_string);
    verdicts.push(verdict(others.is_none(), "nothing of what stands behind the boot stage runs", evidence));

    let whole = boot("whole", None)?;
    let mut elsewhere = Vec::new();
    for (image, name) in [(Image::Bl31, "bl31"), (Image::Bl33, "bl33")] {
        elsewhere.extend(boot(name, chosen.map(|damage| same_to(damage, image)))?.0);
    }

    let refusal = sheet.answered("", "the refusal")?;
    let mut others = whole.0.iter().chain(&elsewhere).filter(|line| has(line, refusal.text()));
    let right = has(refused, refusal.text()) && others.next().is_none();
    verdicts.push(refusal.verdict(right, said(&refused.to_string()).as_deref()));

    let before = sheet.answered("", "who is whole")?;
    let names =
        |log: &Log| log.0.iter().filter(|line| has(line, before.text())).all(|line| line.text.starts_with("BL31"));
    let there = written.0.iter().find(|line| line.text.starts_with("BL31"));
    let right = there.is_some_and(|line| has(line, before.text())) && names(&written) && names(&whole);
    verdicts.push(before.verdict(right, there.and_then(|line| said(&line.to_string())).as_deref()));

    let silent = sheet.answered("", "who is silent")?;
    let speaks = |log: &Log| log.0.iter().any(|line| line.speaker == silent.text());
    verdicts.push(silent.verdict(speaks(&whole) && !speaks(&written), None));
    Ok(verdicts)
}

/// Everything that was said on a machine.
struct Log(Vec<Line>);

impl Log {
    /// Says how the boot stage refuses the TEE's image, if it does.
    fn refusal(&self) -> Option<&Line> {
        let refuses = |line: &&Line| line.text.starts_with("BL32") && line.text.ends_with("stopped");
        self.0.iter().find(|line| line.speaker == "EL3" && refuses(line))
    }
}

/// Says whether a line has this part, in small or capital letters.
fn has(line: &Line, part: &str) -> bool {
    line.text.to_lowercase().contains(&part.to_lowercase())
}

/// Does the damage to another image.
fn same_to(damage: Damage, image: Image) -> Damage {
    match damage {
        Damage::Flip(_) => Damage::Flip(image),
        Damage::CutIn(_) => Damage::CutIn(image),
        Damage::Oversize(_) => Damage::Oversize(image),
        Damage::Drop(_) => Damage::Drop(image),
        Damage::Unlisted(_) => Damage::Unlisted(image),
        Damage::CutToc | Damage::NoManifest => damage,
    }
}

/// Boots the machine with this damage. It is watched until a layer stops or the machine ends; what the student expects
/// is held against everything that was said.
fn with(scenario: &Scenario, damage: Option<Damage>) -> Scenario {
    let mut scenario = scenario.clone();
    scenario.chain.damage = damage;
    scenario.expects = vec![Expect { line: Some("; stopped".into()), ..Expect::any_of("EL3") }];
    scenario
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(said: &[&str]) -> Log {
        Log(said.iter().map(|text| Line { speaker: "EL3".into(), text: (*text).into() }).collect())
    }

    #[test]
    fn a_refusal_is_a_line_about_the_tee_that_says_stopped() {
        assert!(log(&["BL31: ok", "BL32 (TEE): wrong SHA-256; stopped"]).refusal().is_some());
        assert!(log(&["BL32 (TEE): 85 KiB, sha256 ok", "BL33: wrong SHA-256; stopped"]).refusal().is_none());
        assert!(has(&log(&["BL32 (TEE): Wrong"]).0[0], "bl32 (tee): WRONG"));
    }
}
