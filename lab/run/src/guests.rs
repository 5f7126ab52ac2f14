// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guests of a scenario as files at addresses: what the loader puts into memory, and what the tree says about it.

use crate::elf::Place;
use crate::firmware::{Firmware, Program};
use crate::kernel;
use crate::linux::LinuxGuest;
use crate::scenario::{NormalWorld, Scenario, Size, Vm};
use crate::workspace::write_if_changed;
use anyhow::{Context, Result, ensure};
use hypervisor::memory::GUEST_RAM;
use shared_abi::image::Format;
use shared_abi::layout::{DRAM_BASE, MODULES_BASE, Range};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The initramfs with OP-TEE's client side.
const XTEST: &str = "linux-xtest";

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
    if linux(scenario) != Linux::None {
        programs.push(Program::LinuxClient);
    }
    programs
}

/// How much of Linux a scenario needs, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Linux {
    /// Nothing.
    None,
    /// The guest.
    Guest,
    /// The guest, and OP-TEE's client side in an initramfs.
    Xtest,
}

/// Says how much of Linux must be fetched and made.
pub fn linux(scenario: &Scenario) -> Linux {
    let (chain, vms) = (&scenario.chain, &scenario.vms);
    let kernels = vms.iter().map(|vm| &vm.kernel).chain([&chain.kernel]);
    let initramfs = vms.iter().map(|vm| &vm.initramfs).chain([&chain.initramfs]);
    let named = kernels.chain(initramfs).flatten().map(|name| match name.as_str() {
        XTEST => Linux::Xtest,
        "linux" => Linux::Guest,
        _ => Linux::None,
    });
    let first = if chain.normal_world == NormalWorld::Linux { Linux::Guest } else { Linux::None };
    named.max().unwrap_or(Linux::None).max(first)
}

/// What is put into memory for a normal world that is not ours: its RAM disk, or what its first kernel is made of.
pub fn first(scenario: &Scenario, linux: Option<&LinuxGuest>) -> Result<Vec<Module>> {
    let mut free = MODULES_BASE;
    let mut modules = Vec::new();
    for (role, name) in [(Role::Kernel, &scenario.chain.kernel), (Role::Ramdisk, &scenario.chain.initramfs)] {
        let Some(name) = name else { continue };
        let file = match made(name, role, linux) {
            Some(file) => file,
            None => absolute(&scenario.folder.join(name))?,
        };
        let size = fs::metadata(&file).with_context(|| format!("cannot read {}", file.display()))?.len();
        ensure!(size != 0, "{} is empty", file.display());
        modules.push(Module { role, file, address: free, size, place: None });
        free = (free + size).next_multiple_of(ALIGNMENT);
    }
    let end = DRAM_BASE + scenario.machine.memory.0;
    ensure!(
        free <= end || modules.is_empty(),
        "what boots first ends at {free:#x}, behind the machine's memory: give it more"
    );
    Ok(modules)
}

/// Finds what a name means that is made here for Linux.
fn made(name: &str, role: Role, linux: Option<&LinuxGuest>) -> Option<PathBuf> {
    let linux = linux?;
    match (name, role) {
        ("linux", Role::Kernel) => Some(linux.image.clone()),
        ("linux", Role::Ramdisk) => Some(linux.initramfs.clone()),
        (XTEST, Role::Ramdisk) => linux.xtest.clone(),
        _ => None,
    }
}

/// Puts every guest's files one after another behind what is there `first`, each at a boundary of its own.
///
/// A probe's script is its RAM disk; it is written to `folder`.
pub fn place<'a>(
    scenario: &'a Scenario,
    first: &[Module],
    firmware: &Firmware,
    linux: Option<&LinuxGuest>,
    folder: &Path,
) -> Result<Vec<Guest<'a>>> {
    let end_of_first = first.iter().map(|module| module.address + module.size).max();
    let mut free = end_of_first.unwrap_or(MODULES_BASE).next_multiple_of(ALIGNMENT);
    let end = DRAM_BASE + scenario.machine.memory.0;
    let mut guests = Vec::new();
    for vm in &scenario.vms {
        let mut modules = Vec::new();
        let script = vm.script.as_ref().map(|script| write_script(&vm.name, script, folder)).transpose()?;
        for (role, name) in
            [(Role::Kernel, &vm.kernel), (Role::Ramdisk, script.as_ref().map_or(&vm.initramfs, |_| &script))]
        {
            let Some(name) = name else { continue };
            let ours = |program| (role == Role::Kernel).then(|| firmware.image(program));
            let file = match name.as_str() {
                "bare-guest" => ours(Program::BareGuest),
                "probe" => ours(Program::Probe),
                "contract" => ours(Program::Contract),
                name => made(name, role, linux),
            };
            let file = match file {
                Some(file) => file,
                None => absolute(&scenario.folder.join(name))?,
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
