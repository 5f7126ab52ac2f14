// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine, and what is in its flash.

use super::expects::{nobody, not_part_of_a_line, speakers};
use super::is_plain;
use crate::models::model;
use crate::scenario::error::Fault;
use crate::scenario::tables::{Damage, Image, NormalWorld, Scenario};
use lab_script::Size;
use shared_abi::layout::{BL33_BASE, DRAM_BASE, MAX_CPUS};

/// The longest that a machine may take: a day.
const LONGEST: u64 = 24 * 60 * 60;
/// QEMU takes no greater one.
const LARGEST_SHIFT: u32 = 10;
/// Memory comes in whole ones.
const MIB: u64 = 1 << 20;

pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    let top = |key, message| Err(Fault { table: "", index: 0, key, message });
    if !is_plain(&scenario.name) {
        return top("name", "a name is made of a-z, 0-9 and `-`: it names a folder".into());
    }
    if !(1..=LONGEST).contains(&scenario.timeout) {
        return top("timeout", format!("{} seconds; 1 to {LONGEST} are possible", scenario.timeout));
    }
    let machine = &scenario.machine;
    let fault = |key, message| Err(Fault { table: "[machine]", index: 0, key, message });
    if !(1..=MAX_CPUS as u32).contains(&machine.cpus) {
        return fault("cpus", format!("{} CPUs; the layers have room for 1 to {MAX_CPUS}", machine.cpus));
    }
    // The firmware puts the normal world at a fixed place.
    let least = Size(BL33_BASE - DRAM_BASE + MIB);
    if machine.memory.0 < least.0 || !machine.memory.0.is_multiple_of(MIB) {
        return fault("memory", format!("{}; the machine needs {least} or more, in whole megabytes", machine.memory));
    }
    if machine.icount_shift > LARGEST_SHIFT || machine.icount_shift != 0 && !machine.icount {
        let message = format!("{}; 0 to {LARGEST_SHIFT} are possible, and only with `icount`", machine.icount_shift);
        return fault("icount-shift", message);
    }
    if let Some(cue) = &machine.late_cpus {
        if machine.cpus == 1 {
            return fault("late-cpus", "the machine has one CPU, and the first one is never late".into());
        }
        if !speakers(scenario).contains(&cue.from) {
            return fault("late-cpus", nobody(&cue.from, scenario));
        }
        if let Some(why) = not_part_of_a_line(&cue.line) {
            return fault("late-cpus", format!("{why}; name the line to wait for"));
        }
    }
    if machine.secure_memory == Some(0) {
        return fault("secure-memory", "it is zero at the start as it is".into());
    }
    for (index, cpu) in machine.also_on.iter().enumerate() {
        let before = std::iter::once(&machine.cpu).chain(&machine.also_on[..index]);
        if before.into_iter().any(|other| model(other) == model(cpu)) {
            let message = format!("`{}` is named twice, and each run is called after its model", model(cpu));
            return fault("also-on", message);
        }
    }
    chain(scenario)
}

fn chain(scenario: &Scenario) -> Result<(), Fault> {
    let chain = &scenario.chain;
    let fault = |key, message: &str| Err(Fault { table: "[chain]", index: 0, key, message: message.to_owned() });
    let damaged = match chain.damage {
        Some(
            Damage::Flip(image)
            | Damage::CutIn(image)
            | Damage::Oversize(image)
            | Damage::Drop(image)
            | Damage::Unlisted(image),
        ) => Some(image),
        Some(Damage::CutToc | Damage::NoManifest) | None => None,
    };
    if damaged == Some(Image::Bl32) && chain.tee.is_none() {
        return fault("damage", "there is no BL32 to damage: `tee` is false");
    }
    if chain.harden_branch_predictor && chain.normal_world == NormalWorld::Probe {
        let message = "it is the hypervisor that would do this, and `normal-world` is the probe";
        return fault("harden-branch-predictor", message);
    }
    Ok(())
}
