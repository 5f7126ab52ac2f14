//! What the types of a scenario cannot say.

use super::error::Fault;
use super::{End, Expect, Scenario, model};
use crate::console::is_vm;
use regex::Regex;
use shared_abi::layout::MAX_CPUS;

/// Finds the first mistake.
pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    let top = |key, message| Err(Fault { table: "", index: 0, key, message });
    let safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if scenario.name.is_empty() || !scenario.name.chars().all(safe) {
        return top("name", "a name is made of a-z, 0-9 and `-`: it names a folder".into());
    }
    if scenario.expects.is_empty() {
        return top("name", "nothing is expected: add an [[expect]]".into());
    }
    if scenario.end == End::KeepsRunning && scenario.expects.iter().all(|expect| expect.absent) {
        return top("end", "a machine that keeps running needs a line to wait for".into());
    }
    let machine = &scenario.machine;
    if !(1..=MAX_CPUS as u32).contains(&machine.cpus) {
        let message = format!("{} CPUs; the layers have room for 1 to {MAX_CPUS}", machine.cpus);
        return Err(Fault { table: "[machine]", index: 0, key: "cpus", message });
    }
    for (index, vm) in scenario.vms.iter().enumerate() {
        let fault = |key, message| Err(Fault { table: "[[vm]]", index, key, message });
        if vm.name.is_empty() || !vm.name.chars().all(safe) {
            return fault("name", "a name is made of a-z, 0-9 and `-`: it names a node".into());
        }
        if vm.memory.0 % 1024 != 0 {
            return fault("memory", "memory comes in whole KiB".into());
        }
        if let Some(kernel) = &vm.kernel
            && !["linux", "bare-guest", "probe"].contains(&kernel.as_str())
            && !scenario.folder.join(kernel).is_file()
        {
            let file = scenario.folder.join(kernel);
            let message = format!("there is no file {}; `linux`, `bare-guest` and `probe` need none", file.display());
            return fault("kernel", message);
        }
        if let Some(initramfs) = &vm.initramfs
            && initramfs != "linux"
            && !scenario.folder.join(initramfs).is_file()
        {
            let file = scenario.folder.join(initramfs);
            return fault("initramfs", format!("there is no file {}; `linux` needs none", file.display()));
        }
        if vm.vmid.is_some_and(|id| !(1..=0xFFFF).contains(&id)) {
            return fault("vmid", "a VM's number is 1 to 65535".into());
        }
    }
    for (index, expect) in scenario.expects.iter().enumerate() {
        if let Err((key, message)) = check_expect(expect, scenario) {
            return Err(Fault { table: "[[expect]]", index, key, message });
        }
    }
    for (index, send) in scenario.sends.iter().enumerate() {
        let known = (0..scenario.vms.len()).any(|vm| scenario.console(vm) == send.to);
        if !known {
            let message = format!("there is no VM `{}`", send.to);
            return Err(Fault { table: "[[send]]", index, key: "to", message });
        }
        if let Some(from) = send.from.as_deref().filter(|from| !speaks(from)) {
            return Err(Fault { table: "[[send]]", index, key: "from", message: nobody(from) });
        }
    }
    Ok(())
}

fn speaks(name: &str) -> bool {
    ["EL3", "TEE", "HYP", "probe"].contains(&name) || is_vm(name)
}

fn nobody(name: &str) -> String {
    format!("`{name}` is nobody; EL3, TEE, HYP, probe and vm1, vm2, … speak")
}

fn check_expect(expect: &Expect, scenario: &Scenario) -> Result<(), (&'static str, String)> {
    if !speaks(&expect.from) {
        return Err(("from", nobody(&expect.from)));
    }
    if expect.line.is_some() && expect.regex.is_some() {
        return Err(("line", "an expectation has either a `line` or a `regex`".into()));
    }
    let regex = expect.regex.as_deref().map(Regex::new).transpose();
    let regex = regex.map_err(|error| ("regex", error.to_string()))?;
    let bounded = expect.at_most.is_some() || expect.at_least.is_some();
    if bounded && regex.is_none_or(|regex| regex.captures_len() < 2) {
        return Err(("regex", "`at-most` and `at-least` are about the first group of a `regex`".into()));
    }
    if expect.absent && (expect.count.is_some() || bounded) {
        return Err(("absent", "what is absent has no count and no bounds".into()));
    }
    if expect.count == Some(0) {
        return Err(("count", "write `absent = true` for what must not be seen".into()));
    }
    match expect.on.iter().find(|name| !scenario.cpus().any(|cpu| model(cpu) == name.as_str())) {
        Some(name) => Err(("on", format!("the scenario doesn't run on `{name}`"))),
        None => Ok(()),
    }
}
