// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine, and what is in its flash.

use super::expects::{nobody, not_part_of_a_line, speakers};
use super::is_plain;
use super::vms::xtest;
use crate::models::model;
use crate::scenario::chain::{Damage, Image};
use crate::scenario::error::Fault;
use crate::scenario::layer::NormalWorld;
use crate::scenario::tables::Scenario;
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
    if chain.harden_branch_predictor && chain.normal_world != NormalWorld::Hypervisor {
        let message = match chain.normal_world {
            NormalWorld::Probe => "it is the hypervisor that would do this, and `normal-world` is the probe",
            _ => "it is our hypervisor that would do this, and `normal-world` is another",
        };
        return fault("harden-branch-predictor", message);
    }
    let started = [
        ("kernel", chain.kernel.is_some()),
        ("initramfs", chain.initramfs.is_some()),
        ("bootargs", !chain.bootargs.is_empty()),
        ("hypervisor-bootargs", !chain.hypervisor_bootargs.is_empty()),
    ];
    let first = started.iter().find(|(_, there)| *there);
    match (&chain.normal_world, first) {
        (NormalWorld::Hypervisor | NormalWorld::Probe, Some((key, _))) => {
            return fault(key, "it is for a normal world that is not ours; a VM has its own");
        }
        (NormalWorld::Linux, _) if chain.kernel.is_some() => {
            return fault(
                "kernel",
                "`normal-world` is the kernel; another one is `normal-world = { image = \"FILE\" }`",
            );
        }
        _ => {}
    }
    for cases in chain.bootargs.split_whitespace().filter_map(|word| word.strip_prefix("triptych.xtest=")) {
        if let Err((key, message)) = xtest(chain.initramfs.as_deref(), cases) {
            return fault(key, &message);
        }
    }
    if chain.kernel.is_none() && !chain.hypervisor_bootargs.is_empty() {
        return fault("hypervisor-bootargs", "a hypervisor has a `kernel` to start");
    }
    if chain.normal_world.is_foreign() && chain.kernel.is_none() && !scenario.vms.is_empty() {
        return fault("normal-world", "VMs need a hypervisor: one that is not ours has a `kernel` to start first");
    }
    for (key, file, named) in
        [("kernel", &chain.kernel, &["linux"][..]), ("initramfs", &chain.initramfs, &["linux", "linux-xtest"])]
    {
        if let Some(file) = file.as_deref().filter(|file| !named.contains(file))
            && !scenario.folder.join(file).is_file()
        {
            let message = format!("there is no file {}", scenario.folder.join(file).display());
            return fault(key, &message);
        }
    }
    Ok(())
}
