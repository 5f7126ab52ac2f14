//! The guests of a scenario as files at addresses: what the loader puts into memory, and what the tree says about it.

use crate::firmware::{Firmware, Program};
use crate::linux::LinuxGuest;
use crate::scenario::{Scenario, Size, Vm};
use crate::workspace::write_if_changed;
use anyhow::{Context, Result, ensure};
use shared_abi::layout::{DRAM_BASE, MODULES_BASE};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules start at multiples of this, so that stage 2 could map one by block.
const ALIGNMENT: u64 = 2 << 20;

/// What a module is to its VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The image that is started.
    Kernel,
    /// The initial RAM disk.
    Ramdisk,
}

/// One file in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// What it is.
    pub role: Role,
    /// The file.
    pub file: PathBuf,
    /// Where it is loaded.
    pub address: u64,
    /// How long it is.
    pub size: u64,
}

/// A VM with its modules.
#[derive(Debug, Clone)]
pub struct Guest<'a> {
    /// What the scenario says.
    pub vm: &'a Vm,
    /// Its files.
    pub modules: Vec<Module>,
}

/// Which of our own programs a scenario's guests need.
pub fn programs(scenario: &Scenario) -> Vec<Program> {
    let uses = |name| scenario.vms.iter().any(|vm| vm.kernel.as_deref() == Some(name));
    let mut programs = Vec::new();
    if uses("bare-guest") {
        programs.push(Program::BareGuest);
    }
    if uses("probe") {
        programs.push(Program::Probe);
    }
    if uses("contract") {
        programs.push(Program::Contract);
    }
    if needs_linux(scenario) {
        programs.push(Program::LinuxClient);
    }
    programs
}

/// Whether the Linux guest must be fetched and made.
pub fn needs_linux(scenario: &Scenario) -> bool {
    scenario.vms.iter().any(|vm| [&vm.kernel, &vm.initramfs].into_iter().any(|file| file.as_deref() == Some("linux")))
}

/// Puts every guest's files one after another, each at a boundary of its own.
///
/// A probe's script is its RAM disk; it is written to `folder`.
pub fn place<'a>(
    scenario: &'a Scenario,
    firmware: &Firmware,
    linux: Option<&LinuxGuest>,
    folder: &Path,
) -> Result<Vec<Guest<'a>>> {
    let mut free = MODULES_BASE;
    let end = DRAM_BASE + scenario.machine.memory.0;
    let mut guests = Vec::new();
    for vm in &scenario.vms {
        let mut modules = Vec::new();
        let script = vm.script.as_ref().map(|script| write_script(&vm.name, script, folder)).transpose()?;
        for (role, name) in
            [(Role::Kernel, &vm.kernel), (Role::Ramdisk, script.as_ref().map_or(&vm.initramfs, |_| &script))]
        {
            let Some(name) = name else { continue };
            let file = match (name.as_str(), linux) {
                ("linux", Some(linux)) if role == Role::Kernel => linux.image.clone(),
                ("linux", Some(linux)) => linux.initramfs.clone(),
                ("bare-guest", _) if role == Role::Kernel => firmware.image(Program::BareGuest),
                ("probe", _) if role == Role::Kernel => firmware.image(Program::Probe),
                ("contract", _) if role == Role::Kernel => firmware.image(Program::Contract),
                _ => absolute(&scenario.folder.join(name))?,
            };
            let file = match vm.kernel_ballast {
                Size(0) => file,
                Size(ballast) if role == Role::Kernel => write_larger(&file, ballast, &folder.join(&vm.name))?,
                _ => file,
            };
            let size = fs::metadata(&file)
                .with_context(|| format!("the VM {} names {}, which cannot be read", vm.name, file.display()))?
                .len();
            ensure!(size != 0, "{} is empty", file.display());
            modules.push(Module { role, file, address: free, size });
            free = (free + size).next_multiple_of(ALIGNMENT);
            ensure!(free <= end, "the guests' images do not fit into the machine's memory: give it more");
        }
        guests.push(Guest { vm, modules });
    }
    Ok(guests)
}

/// The kernel with zeroes behind it.
fn write_larger(kernel: &Path, ballast: u64, file: &Path) -> Result<PathBuf> {
    let mut bytes = fs::read(kernel).with_context(|| format!("cannot read {}", kernel.display()))?;
    bytes.resize(bytes.len() + ballast as usize, 0);
    let file = file.with_extension("kernel");
    write_if_changed(&file, &bytes)?;
    absolute(&file)
}

fn write_script(vm: &str, script: &[u8], folder: &Path) -> Result<String> {
    let file = folder.join(vm).with_extension("script");
    write_if_changed(&file, script)?;
    Ok(absolute(&file)?.to_string_lossy().into_owned())
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))
}
