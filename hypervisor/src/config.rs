// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the device tree says: the machine, and the VMs it is to run.
//!
//! VMs are described by Xen's dom0less binding (Xen `docs/misc/arm/device-tree/booting.txt`): nodes under `/chosen`
//! with `compatible = "xen,domain"`. Properties of ours are prefixed `triptych,`; one of them that is not known is an
//! error, as it would otherwise be a wish silently ignored; what of Xen's is not followed, the log says ([`binding`]).
//! The tree is the machine's owner's: it is checked for mistakes, not against malice.
#![forbid(unsafe_code)]

pub mod binding;

use crate::address::Ipa;
use crate::interrupts::{EDGE_RISING, SPI, UART};
use crate::loader::{DtbPlace, Wish};
use crate::memory::{BLOCK, FreeMemory};
use crate::resources::MAX_VMS;
use crate::vgic::MAX_VCPUS;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use binding::{KERNEL, MODULE, RAMDISK, Remark};
use fdt::Fdt;
use fdt::node::FdtNode;
use shared_abi::client::VmId;
use shared_abi::layout::{DTB, MAX_CPUS, OPTEE_RESERVED_SHM, Range};

/// The most RAM a VM can have: what fits below the 36 bits of address that guests are told of.
pub const MAX_MEMORY: u64 = 63 << 30;
/// The longest command line. Linux takes 2048 bytes; a VM's device tree has room for more.
pub const MAX_BOOTARGS: usize = 4096;

/// The machine.
#[derive(Default)]
pub struct Inventory {
    /// Memory that nobody uses.
    pub free: FreeMemory,
    /// Memory that nobody uses, with that where modules may lie.
    pub loadable: FreeMemory,
    /// All memory.
    pub memory: heapless::Vec<Range, 16>,
    /// Of it, what is not to be mapped by anybody (`no-map`).
    pub hidden: FreeMemory,
    /// Affinities of the CPUs, the first at most [`MAX_CPUS`].
    pub cpus: heapless::Vec<u64, MAX_CPUS>,
    /// VMs that are asked for.
    pub domains: usize,
    /// The INTID by which the TEE notifies, if it does.
    pub notification: Option<u32>,
    /// Whether no guest is to leave the branch predictor as it trained it (`triptych,harden-predictor` in
    /// `/chosen`).
    pub harden_branch_predictor: bool,
}

/// A VM, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmConfig {
    /// The name of its node.
    pub node: String,
    /// Its id, towards the TEE and on the console.
    pub id: VmId,
    /// `triptych,name`, for people.
    pub name: Option<String>,
    /// Bytes of RAM, a multiple of [`BLOCK`].
    pub memory: u64,
    /// How many vCPUs.
    pub vcpus: usize,
    /// Whether it may use the TEE.
    pub tee: bool,
    /// Its kernel.
    pub kernel: Range,
    /// Where its images are to be.
    pub places: Wish,
    /// Its initial RAM disk.
    pub ramdisk: Option<Range>,
    /// Its command line.
    pub bootargs: String,
}

/// A VM that can't run, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The name of its node.
    pub node: String,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// The VMs that a tree asks for.
#[derive(Debug, Default)]
pub struct Asked {
    /// Those that can be made.
    pub vms: Vec<VmConfig>,
    /// Those that can't.
    pub skipped: Vec<Skipped>,
    /// What is not done as the tree says.
    pub remarks: Vec<Remark>,
}

/// Reads the machine, without a heap: there is none before it is known which memory is free. `image` is the
/// hypervisor's own memory, `dtb` the tree's.
pub fn machine(tree: &Fdt<'_>, image: Range, dtb: Range) -> Inventory {
    let mut machine = Inventory::default();
    for node in tree.find_all_nodes("/memory") {
        // The secure world's memory is marked so (QEMU: /secram).
        if node.property("status").is_some_and(|status| status.as_str() == Some("disabled")) {
            continue;
        }
        for range in regions(node) {
            // What does not fit the table is not used.
            if machine.memory.push(range).is_ok() {
                machine.free.add(range);
            }
        }
    }
    for used in [image, dtb, DTB, OPTEE_RESERVED_SHM] {
        machine.free.remove(used);
    }
    for reserved in tree.memory_reservations() {
        machine.free.remove(Range::new(reserved.address() as u64, reserved.size() as u64));
    }
    if let Some(reserved) = tree.find_node("/reserved-memory") {
        for node in reserved.children() {
            for range in regions(node) {
                machine.free.remove(range);
                if node.property("no-map").is_some() {
                    machine.hidden.add(range);
                }
            }
        }
    }
    if let Some(cpus) = tree.find_node("/cpus") {
        let affinities = cpus.children().filter(|node| node.name.starts_with("cpu@")).filter_map(|node| {
            let reg = node.property("reg")?.value;
            Some(reg.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte)))
        });
        machine.cpus.extend(affinities.take(MAX_CPUS));
    }
    machine.notification = notification(tree).and_then(Result::ok);
    machine.loadable = machine.free.clone();
    if let Some(chosen) = tree.find_node("/chosen") {
        machine.harden_branch_predictor = chosen.property("triptych,harden-predictor").is_some();
        for domain in domains(chosen) {
            machine.domains += 1;
            // Also a skipped VM's modules: something is there.
            for range in domain.children().filter(|node| is_one_of(*node, &MODULE)).flat_map(regions) {
                machine.free.remove(range);
            }
        }
    }
    machine
}

/// Reads by which interrupt the TEE notifies, as its node says (GICv3's binding): its INTID. The error is one that
/// can't be passed on: not one SPI, at a rising edge, which is not the console's.
fn notification(tree: &Fdt<'_>) -> Option<Result<u32, ()>> {
    let specifier = tree.find_node("/firmware/optee")?.property("interrupts")?.value;
    let mut cells = specifier.chunks(4).map(|cell| <[u8; 4]>::try_from(cell).map(u32::from_be_bytes));
    let cells = [cells.next(), cells.next(), cells.next(), cells.next()];
    Some(match cells {
        [Some(Ok(SPI)), Some(Ok(spi @ ..=987)), Some(Ok(EDGE_RISING)), None] if 32 + spi != UART => Ok(32 + spi),
        _ => Err(()),
    })
}

fn domains<'b, 'a: 'b>(chosen: FdtNode<'b, 'a>) -> impl Iterator<Item = FdtNode<'b, 'a>> {
    chosen.children().filter(|node| is_compatible(*node, "xen,domain"))
}

/// Reads the VMs. `is_empty` tells whether nothing was loaded at a module's place.
pub fn vms(tree: &Fdt<'_>, machine: &Inventory, is_empty: impl Fn(Range) -> bool) -> Asked {
    let mut asked = Asked { remarks: binding::of_machine(tree), ..Asked::default() };
    let Some(chosen) = tree.find_node("/chosen") else { return asked };
    for (next_id, node) in (1..).zip(domains(chosen)) {
        let name = || node.name.to_string();
        let checked = parse(node, next_id).and_then(|(vm, remarks)| {
            check(&vm, &asked.vms, machine, &is_empty)?;
            Ok((vm, remarks))
        });
        match checked {
            Ok((vm, remarks)) => {
                asked.remarks.extend(remarks.into_iter().map(|text| Remark { node: name(), text }));
                asked.vms.push(vm);
            }
            Err(reason) => asked.skipped.push(Skipped { node: name(), reason }),
        }
    }
    asked
}

/// Our own properties of a VM's node.
const OURS: [&str; 6] = [
    "triptych,tee",
    "triptych,id",
    "triptych,name",
    "triptych,dtb",
    "triptych,kernel-address",
    "triptych,kernel-entry",
];
/// What some of them were called before, and what they are called now.
const RENAMED: [[&str; 2]; 1] = [["triptych,vmid", "triptych,id"]];

/// Reads a VM as its node says, and what it asks for beside that.
fn parse(node: FdtNode<'_, '_>, next_id: u16) -> Result<(VmConfig, Vec<String>), String> {
    if let Some(unknown) = node.properties().find(|p| p.name.starts_with("triptych,") && !OURS.contains(&p.name)) {
        return Err(match RENAMED.iter().find(|[old, _]| *old == unknown.name) {
            Some([old, new]) => format!("has a property {old}, which is called {new} now"),
            None => format!("has an unknown property {}: there are {}", unknown.name, OURS.join(", ")),
        });
    }
    let mut remarks = binding::of_domain(node, &OURS);
    let kib = number(node, "memory")?.ok_or("has no memory property: give its size as a 64-bit number of KiB")?;
    let memory = kib.checked_mul(1024).ok_or("has a memory size beyond all bounds")?;
    let whole = memory.checked_next_multiple_of(BLOCK).filter(|whole| memory != 0 && *whole <= MAX_MEMORY);
    let memory = whole.ok_or_else(|| {
        let near = memory.clamp(BLOCK, MAX_MEMORY) / 1024;
        format!("asks for {kib} KiB of memory: a VM has 2048 to {} KiB, such as {near}", MAX_MEMORY / 1024)
    })?;
    if memory != kib * 1024 {
        remarks.push(format!("asks for {kib} KiB of memory, and gets {}: it comes in pieces of 2048", memory / 1024));
    }
    let vcpus = number(node, "cpus")?.unwrap_or(1);
    let id = match number(node, "triptych,id")? {
        None => VmId::new(next_id),
        Some(id) => u32::try_from(id).ok().and_then(VmId::from_argument),
    };
    let kernel = node.children().find(|child| is_one_of(*child, &KERNEL));
    let kernel = kernel.ok_or("has no kernel: add a module node compatible with \"multiboot,kernel\"")?;
    let ramdisk = node.children().find(|child| is_one_of(*child, &RAMDISK));
    let bootargs = text(kernel, "bootargs").or_else(|| text(node, "bootargs")).unwrap_or_default();
    let config = VmConfig {
        node: node.name.to_string(),
        id: id.ok_or("has a triptych,id that no VM can have: use 1 to 65535")?,
        name: text(node, "triptych,name"),
        memory,
        vcpus: usize::try_from(vcpus)
            .ok()
            .filter(|n| (1..=MAX_VCPUS).contains(n))
            .ok_or_else(|| format!("asks for {vcpus} CPUs: a VM has 1 to {MAX_VCPUS}"))?,
        tee: tee(node, &mut remarks),
        kernel: module(kernel)?,
        places: Wish {
            dtb: match text(node, "triptych,dtb").as_deref() {
                None => DtbPlace::Base,
                Some("after-kernel") => DtbPlace::AfterKernel,
                Some(other) => return Err(format!("has triptych,dtb = \"{other}\": there is \"after-kernel\"")),
            },
            kernel: number(node, "triptych,kernel-address")?.map(Ipa),
            entry: number(node, "triptych,kernel-entry")?.map(Ipa),
        },
        ramdisk: ramdisk.map(module).transpose()?,
        bootargs,
    };
    Ok((config, remarks))
}

/// Says whether a VM is to have the TEE: by our own property, or by Xen's.
fn tee(node: FdtNode<'_, '_>, remarks: &mut Vec<String>) -> bool {
    let ours = node.property("triptych,tee").is_some();
    match text(node, "xen,tee").as_deref() {
        Some("optee") => true,
        None | Some("none") => ours,
        Some(other) => {
            let follows = if ours { "triptych,tee counts" } else { "it gets no TEE" };
            remarks.push(format!("has xen,tee = \"{other}\", which is neither \"optee\" nor \"none\": {follows}"));
            ours
        }
    }
}

fn check(
    vm: &VmConfig,
    others: &[VmConfig],
    machine: &Inventory,
    is_empty: &impl Fn(Range) -> bool,
) -> Result<(), String> {
    if others.len() == MAX_VMS {
        return Err(format!("is one VM too many: there can be {MAX_VMS}"));
    }
    if let Some(other) = others.iter().find(|other| other.id == vm.id) {
        return Err(format!("has the id {} of {}: give it another triptych,id", vm.id.get(), other.node));
    }
    if vm.bootargs.len() > MAX_BOOTARGS || vm.bootargs.contains('\0') {
        return Err(format!("has bootargs that are no command line: one string of at most {MAX_BOOTARGS} bytes"));
    }
    for (what, module) in [("kernel", Some(vm.kernel)), ("ramdisk", vm.ramdisk)] {
        let Some(module) = module else { continue };
        let at = format!("{what} at {:#x}, {} bytes,", module.base, module.size);
        if module.size == 0 {
            return Err(format!("has an empty {what}: give its module's reg a size"));
        }
        if !machine.memory.iter().any(|memory| memory.holds(module.base, module.size)) {
            return Err(format!("{at} is not in memory: give the machine more, or load it elsewhere"));
        }
        if !is_free(machine, module) {
            return Err(format!("{at} overlaps the hypervisor or reserved memory: load it elsewhere"));
        }
        for other in others {
            let theirs = [("kernel", Some(other.kernel)), ("ramdisk", other.ramdisk)];
            let hit = theirs.into_iter().find(|(_, theirs)| theirs.is_some_and(|theirs| theirs.overlaps(&module)));
            if let Some((theirs, _)) = hit {
                return Err(format!("{at} overlaps the {theirs} of {}: load them apart", other.node));
            }
        }
        if is_empty(module) {
            return Err(format!("{at} is missing: nothing was loaded there"));
        }
    }
    if vm.ramdisk.is_some_and(|ramdisk| ramdisk.overlaps(&vm.kernel)) {
        return Err("has a kernel and a ramdisk that overlap: load them apart".into());
    }
    Ok(())
}

/// Says whether a range lies in one piece of memory that nobody else uses.
fn is_free(machine: &Inventory, range: Range) -> bool {
    machine.loadable.ranges().iter().any(|free| free.holds(range.base, range.size))
}

fn module(node: FdtNode<'_, '_>) -> Result<Range, String> {
    regions(node).next().ok_or_else(|| format!("{} has no reg: say where it is loaded", node.name))
}

/// Reads the ranges of a node's `reg`; none if it can't be read with its parent's cell sizes.
fn regions<'a>(node: FdtNode<'_, 'a>) -> impl Iterator<Item = Range> + 'a {
    let regions = node.reg().into_iter().flatten();
    regions.map(|region| Range::new(region.starting_address as u64, region.size.unwrap_or(0) as u64))
}

fn is_one_of(node: FdtNode<'_, '_>, names: &[&str]) -> bool {
    names.iter().any(|name| is_compatible(node, name))
}

fn is_compatible(node: FdtNode<'_, '_>, with: &str) -> bool {
    node.compatible().is_some_and(|compatible| compatible.all().any(|name| name == with))
}

/// Reads a number of one or two cells.
fn number(node: FdtNode<'_, '_>, name: &str) -> Result<Option<u64>, String> {
    let Some(property) = node.property(name) else { return Ok(None) };
    match property.value.len() {
        4 | 8 => Ok(Some(property.value.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))),
        length => Err(format!("has a property {name} of {length} bytes: give it one cell, or two")),
    }
}

fn text(node: FdtNode<'_, '_>, name: &str) -> Option<String> {
    node.property(name)?.as_str().map(|text| text.trim_end_matches('\0').to_string())
}

#[cfg(test)]
mod tests;
