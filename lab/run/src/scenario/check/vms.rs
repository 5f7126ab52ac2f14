// SPDX-License-Identifier: MIT OR Apache-2.0
//! The VMs. Their bounds are the hypervisor's own; what it would skip a VM for is said here in the scenario's words.

use super::{Mistake, is_plain, mistake};
use crate::scenario::error::Fault;
use crate::scenario::tables::{Property, Scenario, Vm};
use crate::xtest;
use bare_guest::script::Step;
use hypervisor::config::{MAX_BOOTARGS, MAX_MEMORY};
use hypervisor::memory::BLOCK;
use hypervisor::resources::MAX_VMS;
use hypervisor::scheduler::SLOTS;
use hypervisor::vgic::MAX_VCPUS;
use lab_script::Size;

pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    for (index, vm) in scenario.vms.iter().enumerate() {
        let checked = itself(vm).and_then(|()| kernel(vm, scenario)).and_then(|()| steps(vm, scenario));
        if let Err((key, message)) = checked.and_then(|()| among_others(index, scenario)) {
            return Err(Fault { table: "[[vm]]", index, key, message });
        }
    }
    Ok(())
}

/// Checks what the VM is given.
fn itself(vm: &Vm) -> Result<(), Mistake> {
    if !is_plain(&vm.name) {
        return mistake("name", "a name is made of a-z, 0-9 and `-`: it names a node and files");
    }
    let memory = vm.memory.0;
    if memory == 0 || !memory.is_multiple_of(BLOCK) || memory > MAX_MEMORY {
        let near = Size(memory.clamp(BLOCK, MAX_MEMORY).next_multiple_of(BLOCK));
        let (step, most) = (Size(BLOCK), Size(MAX_MEMORY));
        return mistake("memory", format!("{}; a VM has a multiple of {step}, at most {most}: {near}, say", vm.memory));
    }
    if !(1..=MAX_VCPUS as u32).contains(&vm.cpus) {
        return mistake("cpus", format!("{} CPUs; a VM has 1 to {MAX_VCPUS}", vm.cpus));
    }
    if let Some(id) = vm.id.filter(|id| !(1..=0xFFFF).contains(id)) {
        return mistake("id", format!("{id}; a VM's id is 1 to 65535"));
    }
    if vm.bootargs.len() > MAX_BOOTARGS {
        let length = vm.bootargs.len();
        return mistake("bootargs", format!("{length} bytes; a command line has at most {MAX_BOOTARGS}"));
    }
    if let Some((name, _)) = vm.properties.iter().find(|(name, value)| !is_property(name, value)) {
        return mistake(
            "properties",
            format!("`{name}` is no property that can be written there, or has a key of its own"),
        );
    }
    if vm.bootargs.contains(char::is_control) {
        return mistake("bootargs", "a command line is one line, without control characters");
    }
    Ok(())
}

/// Says whether a property can be written beside those that come from a VM's keys.
fn is_property(name: &str, value: &Property) -> bool {
    let own = ["compatible", "memory", "cpus", "#address-cells", "#size-cells"];
    let plain = |c: char| c.is_ascii_alphanumeric() || ",._+-#".contains(c);
    let fits = !name.is_empty() && name.len() <= 31 && name.chars().all(plain);
    fits && !own.contains(&name) && !name.starts_with("triptych,") && *value != Property::Empty(false)
}

/// Checks the VM's files.
fn kernel(vm: &Vm, scenario: &Scenario) -> Result<(), Mistake> {
    let missing = |file: &str| !scenario.folder.join(file).is_file();
    let Some(kernel) = vm.kernel.as_deref() else {
        let keys = [
            ("initramfs", vm.initramfs.is_some()),
            ("bootargs", !vm.bootargs.is_empty()),
            ("kernel-ballast", vm.kernel_ballast != Size(0)),
            ("dtb", vm.dtb.is_some()),
            ("kernel-module", vm.kernel_module.address.is_some() || vm.kernel_module.size.is_some()),
            ("play", vm.play.is_some()),
        ];
        return match keys.iter().find(|(_, there)| *there) {
            Some((key, _)) => mistake(key, format!("`{key}` means nothing without a `kernel`")),
            None => Ok(()),
        };
    };
    let ours = ["linux", "bare-guest", "probe", "contract"].contains(&kernel);
    if !ours && missing(kernel) {
        let file = scenario.folder.join(kernel);
        let none = "`linux`, `bare-guest`, `probe` and `contract` need none";
        let message = format!("there is no file {}; {none}", file.display());
        return mistake("kernel", message);
    }
    if let Some(initramfs) = vm.initramfs.as_deref() {
        match kernel {
            "bare-guest" => return mistake("initramfs", "the bare guest reads no RAM disk"),
            "contract" => return mistake("initramfs", "the contract's program reads no RAM disk"),
            "probe" => return mistake("initramfs", "the probe's script is its RAM disk"),
            _ if !vm.has_our_init() && missing(initramfs) => {
                let file = scenario.folder.join(initramfs);
                let none = "`linux` and `linux-xtest` need none";
                return mistake("initramfs", format!("there is no file {}; {none}", file.display()));
            }
            _ => {}
        }
    }
    if vm.play.is_some() && kernel != "probe" {
        return mistake("play", format!("only the probe plays lists of steps, and the kernel is `{kernel}`"));
    }
    if !vm.bootargs.is_empty() && kernel == "probe" {
        return mistake(
            "bootargs",
            "the probe reads no command line: it plays [[step]], or the list that `play` names",
        );
    }
    Ok(())
}

/// Checks the steps in its command line: that they are some, that somebody plays them, and that there is what they
/// need.
fn steps(vm: &Vm, scenario: &Scenario) -> Result<(), Mistake> {
    let has_tee = vm.tee && scenario.chain.tee.is_some();
    let why = if vm.tee { "`[chain] tee` is false" } else { "`tee` is not true" };
    match vm.kernel.as_deref() {
        Some("bare-guest") => {
            if let Some(word) = vm.bootargs.split_whitespace().find(|word| Step::parse(word).is_err()) {
                return mistake(
                    "bootargs",
                    format!("`{word}` is no step of the bare guest, which takes every word for one"),
                );
            }
            if !has_tee && !vm.bootargs.trim().is_empty() {
                return mistake("bootargs", format!("the bare guest plays no step without a TEE, and {why}"));
            }
            Ok(())
        }
        Some(_) => {
            let mut steps = vm.bootargs.split_whitespace().filter_map(|word| word.strip_prefix("triptych.")).peekable();
            if vm.kernel.as_deref() == Some("linux") && vm.initramfs.is_none() && steps.peek().is_some() {
                return mistake("bootargs", "it is the `initramfs` that plays steps, and there is none");
            }
            if !vm.has_our_init() {
                return Ok(());
            }
            for word in steps.filter(|word| !["shell", "poweroff"].contains(word)) {
                if let Some(cases) = word.strip_prefix("xtest=") {
                    xtest(vm.initramfs.as_deref(), cases)?;
                    if !has_tee {
                        return mistake("bootargs", format!("`triptych.{word}` needs the TEE, and {why}"));
                    }
                    continue;
                }
                if word.strip_prefix("interrupts=").is_some_and(|which| !which.is_empty()) {
                    continue;
                }
                match Step::parse(word) {
                    Ok(Step::Call(_) | Step::Read(_)) | Err(_) => {
                        return mistake("bootargs", format!("`triptych.{word}` is no step of the Linux guest"));
                    }
                    Ok(_) if word.starts_with("vault.") && !has_tee => {
                        return mistake("bootargs", format!("`triptych.{word}` needs the TEE, and {why}"));
                    }
                    Ok(_) => {}
                }
            }
            Ok(())
        }
        None => Ok(()),
    }
}

/// Checks a list of cases of OP-TEE's test suite: what it does not have would count as passed, for nothing of it fails.
pub(super) fn xtest(initramfs: Option<&str>, cases: &str) -> Result<(), Mistake> {
    if initramfs != Some("linux-xtest") {
        return mistake("bootargs", "`triptych.xtest` is a step of `initramfs = \"linux-xtest\"`");
    }
    match cases.split(',').find(|word| xtest::cases(word).next().is_none()) {
        Some(word) => mistake("bootargs", format!("`triptych.xtest={cases}`: the suite has no case `{word}`")),
        None => Ok(()),
    }
}

/// Checks the VM beside those before it.
fn among_others(index: usize, scenario: &Scenario) -> Result<(), Mistake> {
    let (vm, before) = (&scenario.vms[index], &scenario.vms[..index]);
    let ours = [("id", vm.id.is_some()), ("dtb", vm.dtb.is_some())];
    if scenario.chain.normal_world.is_foreign()
        && let Some((key, _)) = ours.iter().find(|(_, there)| *there)
    {
        return mistake(key, format!("only our hypervisor knows of `{key}`, and `normal-world` is another"));
    }
    if index == MAX_VMS {
        return mistake("name", format!("one VM too many: there can be {MAX_VMS}"));
    }
    if before.iter().any(|other| other.name == vm.name) {
        return mistake("name", format!("there are two VMs `{}`", vm.name));
    }
    if let Some(other) = (0..index).find(|other| scenario.console(*other) == scenario.console(index)) {
        let (console, name) = (scenario.console(index), &before[other].name);
        let key = if vm.id.is_some() { "id" } else { "name" };
        return mistake(key, format!("it is {console}, and so is `{name}`: give one of them another `id`"));
    }
    let memory: u64 = scenario.vms[..=index].iter().map(|vm| vm.memory.0).sum();
    let machine = scenario.machine.memory;
    if memory >= machine.0 {
        let message = format!("the VMs up to this one have {} together, the machine {machine}", Size(memory));
        return mistake("memory", format!("{message}: give them less, or it more (`[machine] memory`)"));
    }
    let cpus: u32 = scenario.vms[..=index].iter().map(|vm| vm.cpus).sum();
    let room = scenario.machine.cpus * SLOTS as u32;
    if cpus > room {
        return mistake(
            "cpus",
            format!("the VMs up to this one have {cpus} CPUs together, and the machine's take {room}"),
        );
    }
    Ok(())
}
