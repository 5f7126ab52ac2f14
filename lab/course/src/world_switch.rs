// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exercise 3: a monitor that keeps the registers that the student names, and two worlds that overwrite each other's.

use super::bench::Bench;
use super::overlay::overlay;
use super::question::Answer;
use super::registers::{kinds, reason};
use super::sheet::Sheet;
use super::verdict;
use anyhow::{Context, Result, bail};
use lab_run::firmware::{Firmware, Program};
use lab_run::judge::Verdict;
use lab_run::run::Outcome;
use lab_run::scenario::Scenario;
use regex::{Captures, Regex};
use std::path::Path;
use worlds::{KEPT_FOR_BOTH, REGISTERS};

/// Where the monitor switches worlds.
const PLACE: &str = "secure-monitor/src/arch/switch.rs";

/// The machine: whatever the scenario's probe would do, the worlds are booted in its place.
const MACHINE: &str = "name = 'course-3'\nsummary = 'Two worlds.'\ntimeout = 20\n\
                       [machine]\ncpu = 'cortex-a57'\ncpus = 1\n[chain]\nnormal-world = 'probe'\n\
                       [[step]]\nsmc = 'SMCCC_VERSION'\n";

/// Judges that both worlds find every register as they left it.
pub(super) fn judge(bench: &Bench<'_>, sheet: &Sheet) -> Result<Vec<Verdict>> {
    let Answer::Names(keep) = &sheet.answered("", "keep")?.answer else { bail!("the checker asks for a list") };
    let refused = keep.iter().filter_map(|name| Some((name, reason(name)?)));
    let refused =
        refused.map(|(name, reason)| verdict(false, format!("`{name}` is a register that both worlds use"), reason));
    let refused: Vec<_> = refused.collect();
    if !refused.is_empty() {
        return Ok(refused);
    }
    let outcome = boot(bench, keep)?;
    let Some(lost) = outcome.lines.iter().find_map(|line| masks(&line.text)) else {
        let said = outcome.lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        return Ok(vec![verdict(false, "both worlds say what they found", said)]);
    };
    let worlds = [("the normal world", lost.0, REGISTERS.len()), ("the TEE", lost.1, KEPT_FOR_BOTH)];
    Ok(worlds.map(|(world, mask, looked_at)| found(world, mask, looked_at, bench.numbers)).into())
}

/// Judges what a world found in the registers that it looked at. Which ones it lost is told on request only.
fn found(world: &str, mask: u32, looked_at: usize, numbers: bool) -> Verdict {
    let names: Vec<_> = (0..looked_at).filter(|bit| mask & (1 << bit) != 0).map(|bit| REGISTERS[bit]).collect();
    let evidence = match names.as_slice() {
        [] => format!("all {looked_at} that it looked at"),
        [name] if numbers => format!("the other world's number is in {name}"),
        names if numbers => format!("the other world's numbers are in {}", names.join(", ")),
        names => format!("in {} of {looked_at} it finds the other world's number: {}", names.len(), kinds(names)),
    };
    verdict(names.is_empty(), format!("{world} finds its registers as it left them"), evidence)
}

/// Boots both worlds under a monitor that keeps these registers.
fn boot(bench: &Bench<'_>, keep: &[String]) -> Result<Outcome> {
    let original = std::fs::read_to_string(bench.workspace.root().join(PLACE))?;
    let sources = overlay(bench.workspace, PLACE, &keeping(&original, keep)?)?;
    let firmware = Firmware::build(bench.workspace, &[Program::Worlds], bench.progress)?;
    let runtime = firmware.build_variant(&sources, Program::Runtime, "check-switch", &[], bench.progress)?;
    let worlds = firmware.image(Program::Worlds);
    bench.boot_worlds(&Scenario::parse(MACHINE, Path::new("03.toml"))?, &runtime.image, &worlds)
}

/// Writes the switch with only these registers of EL1 and EL0 in it.
fn keeping(source: &str, keep: &[String]) -> Result<String> {
    let pair = Regex::new(r#"(save|load)!\("(\w+)", "(\w+)", (\d+)\)"#)?;
    let kept = |name: &str| keep.iter().any(|kept| kept == name);
    let shared = |name: &str| REGISTERS.contains(&name);
    let text = pair.replace_all(source, |found: &Captures<'_>| {
        let offset: u32 = found[4].parse().unwrap_or_default();
        if !shared(&found[2]) || (kept(&found[2]) && kept(&found[3])) {
            return found[0].to_owned();
        }
        let halves = [(&found[2], offset), (&found[3], offset + 8)];
        let lines = halves.iter().filter(|(name, _)| kept(name)).map(|(name, offset)| match &found[1] {
            "save" => format!("mrs x2, {name}\\nstr x2, [x1, #{offset}]"),
            _ => format!("ldr x2, [x0, #{offset}]\\nmsr {name}, x2"),
        });
        format!("\"{}\"", lines.collect::<Vec<_>>().join("\\n"))
    });
    Ok(text.into_owned())
}

/// Finds the masks in what the normal world prints in the end.
fn masks(line: &str) -> Option<(u32, u32)> {
    let (normal, tee) = line.strip_prefix("not kept: normal world 0x")?.split_once(", TEE 0x")?;
    let number = |text| u32::from_str_radix(text, 16).context("no mask").ok();
    Some((number(normal)?, number(tee)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_that_is_not_listed_is_neither_saved_nor_loaded() {
        let (kept, dropped) = (r#"save!("elr_el3", "spsr_el3", 248)"#, r#"load!("tcr_el1", "mair_el1", 320)"#);
        let source = format!(r#"{kept}, save!("sctlr_el1", "cpacr_el1", 288), {dropped}"#);
        let none = keeping(&source, &[]).unwrap();
        assert_eq!(none, r#"save!("elr_el3", "spsr_el3", 248), "", """#);
        let one = keeping(&source, &["cpacr_el1".into(), "tcr_el1".into()]).unwrap();
        assert!(
            one.contains(r#""mrs x2, cpacr_el1\nstr x2, [x1, #296]", "ldr x2, [x0, #320]\nmsr tcr_el1, x2""#),
            "{one}"
        );
        let all: Vec<_> = REGISTERS.map(str::to_owned).into();
        assert_eq!(keeping(&source, &all).unwrap(), source);
    }

    #[test]
    fn what_is_lost_is_named_only_to_whoever_asks() {
        let told = |numbers| found("the TEE", 0b101, KEPT_FOR_BOTH, numbers).evidence;
        assert!(REGISTERS.iter().all(|name| !told(false).contains(name)), "{}", told(false));
        assert!(told(false).starts_with("in 2 of 14 it finds the other world's number: 1 of the kind"));
        assert!(told(true).ends_with("are in sctlr_el1, ttbr0_el1"));
        // What nobody looks at is not lost.
        assert!(found("the TEE", 1 << 14, KEPT_FOR_BOTH, true).holds);
    }

    #[test]
    fn every_register_of_the_worlds_is_one_that_the_monitor_switches() {
        let root = lab_run::workspace::Workspace::locate().unwrap();
        let source = std::fs::read_to_string(root.root().join(PLACE)).unwrap();
        for name in REGISTERS {
            assert!(source.contains(&format!("\"{name}\"")), "{name}");
        }
        assert_eq!(masks("not kept: normal world 0x00000011, TEE 0x00000001"), Some((0x11, 1)));
    }
}
