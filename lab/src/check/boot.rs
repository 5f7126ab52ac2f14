//! Exercise 2: which layer refuses which image, and who is silent then.

use super::bench::{Bench, holds, refuted};
use super::verdict;
use crate::judge::Verdict;
use crate::scenario::{Damage, Image};
use anyhow::Result;

/// Long enough for a boot stage; a machine that has stopped is waited for in vain.
const PATIENCE: u64 = 20;

/// The TEE's image is refused before anything of it runs, and the expectations tell this from a whole flash and from one
/// with another image damaged.
pub(super) fn judge(bench: &Bench<'_>) -> Result<Vec<Verdict>> {
    let mut scenario = bench.scenario("02.toml", "")?;
    scenario.timeout = scenario.timeout.min(PATIENCE);
    let written = bench.boot(&scenario, "as-written")?;
    let mut verdicts = vec![holds("the machine does what you expect", &written)];
    let refusal = written.lines.iter().find(|line| line.speaker == "EL3" && line.text.starts_with("BL32"));
    let refused = refusal.filter(|line| line.text.contains("stopped"));
    let said = refused.or(refusal).map_or("it said nothing of BL32".to_owned(), ToString::to_string);
    verdicts.push(verdict(refused.is_some(), "the boot stage refuses BL32, the TEE", said));
    let others = written.lines.iter().find(|line| ["TEE", "HYP"].contains(&line.speaker.as_str()));
    let said = others.map_or("neither TEE nor hypervisor said anything".to_owned(), ToString::to_string);
    verdicts.push(verdict(others.is_none(), "nothing of what stands behind it runs", said));
    if !super::passed(&verdicts) {
        return Ok(verdicts);
    }
    for (claim, name, damage) in [
        ("on a whole flash your expectations do not hold", "whole", None),
        ("with the hypervisor's image damaged instead they do not hold", "bl33", Some(Damage::Flip(Image::Bl33))),
    ] {
        let mut other = scenario.clone();
        other.chain.damage = damage;
        verdicts.push(refuted(claim, &bench.boot(&other, name)?));
    }
    Ok(verdicts)
}
