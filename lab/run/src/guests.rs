// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guests of a scenario as files at addresses: what the loader puts into memory, and what the tree says about it.

use crate::elf::Place;
use crate::firmware::{Firmware, Program};
use crate::kernel;
use crate::linux::LinuxGuest;
use crate::scenario::{Scenario, Size, Vm};
use crate::workspace::write_if_changed;
use anyhow::{Context, Result, ensure};
use hypervisor::memory::GUEST_RAM;
use shared_abi::image::Format;
use shared_abi::layout::{DRAM_BASE, MODULES_BASE, Range};
use std::fs;
use std::io::Read;
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
    /// Where its VM must have it, if it is a program that was linked for one place.
    pub place: Option<Place>,
}

/// A VM with its modules.
#[derive(Debug, Clone)]
pub struct Guest<'a> {
    /// What the scenario says.
    pub vm: &'a Vm,
    /// Its files.
    pub modules: Vec<Module>,
}

/// Lists which of our own programs a scenario's guests need.
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

/// Says whether the Linux guest must be fetched and made.
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
            let (file, place) = match role {
                Role::Kernel => unpacked(file, vm, folder)?,
                Role::Ramdisk => (file, None),
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
            modules.push(Module { role, file, address: free, size, place });
            free = (free + size).next_multiple_of(ALIGNMENT);
            ensure!(free <= end, "the guests' images do not fit into the machine's memory: give it more");
        }
        guests.push(Guest { vm, modules });
    }
    Ok(guests)
}

/// Returns a kernel as its VM starts it: the file itself, or what is packed in it.
fn unpacked(file: PathBuf, vm: &Vm, folder: &Path) -> Result<(PathBuf, Option<Place>)> {
    let mut head = Vec::new();
    let opened = fs::File::open(&file).and_then(|file| file.take(64).read_to_end(&mut head));
    opened.with_context(|| format!("the VM {} names {}, which cannot be read", vm.name, file.display()))?;
    if Format::of(&head).runs() {
        return Ok((file, None));
    }
    let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let kernel =
        kernel::unpack(bytes).with_context(|| format!("the VM {} cannot start {}", vm.name, file.display()))?;
    if let Some(Place { address, .. }) = kernel.place {
        let ram = Range::new(GUEST_RAM.0, vm.memory.0);
        let size = kernel.bytes.len() as u64;
        ensure!(
            ram.holds(address, size),
            "the VM {} cannot start {}: it is linked for {address:#x}, {size} bytes, and the VM's RAM is \
             {:#x} to {:#x}",
            vm.name,
            file.display(),
            ram.base,
            ram.end()
        );
    }
    let file = folder.join(&vm.name).with_extension("unpacked");
    write_if_changed(&file, &kernel.bytes)?;
    Ok((absolute(&file)?, kernel.place))
}

/// Writes the kernel with zeroes behind it.
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
