// SPDX-License-Identifier: MIT OR Apache-2.0
//! Xen's binding, name by name: what of it is followed, and what follows where it is not.
//!
//! The names are those of Xen 4.20's `docs/misc/arm/device-tree/booting.txt`, and some that came later. A wish is never
//! ignored in silence: each that is not followed is a remark, which the log has once.

use super::{is_compatible, number, text};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use fdt::Fdt;
use fdt::node::{FdtNode, NodeProperty};
use shared_abi::{chosen, trace};

/// Something that the tree asks for and that is not done as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The name of the node.
    pub node: String,
    /// What is said there, and what follows.
    pub text: String,
}

/// A module that is a VM's kernel: today's name, and Xen 4.4's.
pub const KERNEL: [&str; 2] = ["multiboot,kernel", "xen,linux-zimage"];
/// One that is its RAM disk.
pub const RAMDISK: [&str; 2] = ["multiboot,ramdisk", "xen,linux-initrd"];
/// Any module.
pub const MODULE: [&str; 2] = ["multiboot,module", "xen,multiboot-module"];

/// Of a VM's node: what [`super`] reads, and what is no wish at all. Every VM has a `vpl011`.
const FOLLOWED: [&str; 10] = [
    "compatible",
    "memory",
    "cpus",
    "bootargs",
    "vpl011",
    "xen,tee",
    "#address-cells",
    "#size-cells",
    "phandle",
    "name",
];
/// Of /chosen, what is ours.
const OURS: [&str; 5] =
    ["triptych,harden-predictor", "triptych,script", "triptych,ballast", trace::CHOSEN, chosen::TEE];

/// A value that asks for what every VM has anyway.
enum Usual {
    /// There is none.
    Never,
    /// This word.
    Word(&'static str),
    /// This number.
    Number(u64),
}

/// What is not followed in a VM's node, and what follows.
const NOT_FOLLOWED: [(&str, Usual, &str); 19] = [
    ("direct-map", Usual::Never, "its RAM begins at 0x40000000 for it, wherever that is in the machine"),
    ("xen,static-mem", Usual::Never, "its RAM is taken from what is free"),
    ("#xen,static-mem-address-cells", Usual::Never, "its RAM is taken from what is free"),
    ("#xen,static-mem-size-cells", Usual::Never, "its RAM is taken from what is free"),
    ("passthrough", Usual::Word("disabled"), "no device is given to a VM"),
    ("xen,enhanced", Usual::Word("disabled"), "there are no grant tables, event channels or xenstore"),
    ("max_grant_version", Usual::Never, "there are no grant tables"),
    ("max_grant_frames", Usual::Never, "there are no grant tables"),
    ("max_maptrack_frames", Usual::Never, "there are no grant tables"),
    ("xen,domain-p2m-mem-mb", Usual::Never, "its translation tables are part of the hypervisor's heap"),
    ("nr_spis", Usual::Never, "all VMs' interrupt controllers are alike"),
    ("sve", Usual::Number(0), "no VM has SVE"),
    ("llc-colors", Usual::Never, "caches are not divided among VMs"),
    ("domain-cpupool", Usual::Never, "its CPUs have their places on any of the machine's"),
    ("capabilities", Usual::Number(0), "no VM is above another"),
    ("trap-unmapped-accesses", Usual::Number(1), "an access to what is not there aborts"),
    ("xen,sci_type", Usual::Word("none"), "no VM speaks to the firmware but for PSCI and the TEE"),
    ("v8r_el1_msa", Usual::Word("mmu"), "it has an MMU"),
    ("status", Usual::Word("okay"), "it runs"),
];

/// What is not followed of other nodes, by `compatible`, in a VM's node and in /chosen.
const OTHER_NODES: [(&str, &str); 7] = [
    ("multiboot,device-tree", "no device is given to a VM"),
    ("xen,xsm-policy", "there is no policy but that no VM is above another"),
    ("xen,vcpu", "its CPUs have their places on any of the machine's"),
    ("xen,evtchn-v1", "there are no event channels"),
    ("xen,evtchn", "there are no event channels"),
    ("xen,domain-shared-memory-v1", "VMs share no memory"),
    ("xen,cpupool", "there is one pool, of all CPUs"),
];

/// What is not followed in /chosen.
const NOT_FOLLOWED_IN_CHOSEN: [(&str, &str); 4] = [
    ("xen,xen-bootargs", "the hypervisor has no command line"),
    ("xen,dom0-bootargs", "there is no dom0"),
    ("xen,static-heap", "the hypervisor's heap is taken from what is free"),
    ("xen,uefi-cfg-load", "nothing is loaded from a file"),
];

/// Says what a VM's node asks for and does not get. `ours` are the names of our own properties.
pub fn of_domain(node: FdtNode<'_, '_>, ours: &[&str]) -> Vec<String> {
    let mut remarks: Vec<String> = node.properties().filter_map(|property| of_property(node, property, ours)).collect();
    let (mut kernels, mut ramdisks) = (0, 0);
    for child in node.children() {
        let is = |names: &[&str]| names.iter().any(|name| is_compatible(child, name));
        if is(&KERNEL) {
            kernels += 1;
        } else if is(&RAMDISK) {
            ramdisks += 1;
        } else {
            remarks.push(of_node(child));
        }
        if child.property("xen,uefi-binary").is_some() {
            remarks.push(format!(
                "has xen,uefi-binary in {}, which is not followed: nothing is loaded from a file",
                child.name
            ));
        }
    }
    for (what, _) in [("kernel", kernels), ("ramdisk", ramdisks)].iter().filter(|(_, count)| *count > 1) {
        remarks.push(format!("has more than one {what}: the first one counts"));
    }
    remarks
}

fn of_property(node: FdtNode<'_, '_>, property: NodeProperty<'_>, ours: &[&str]) -> Option<String> {
    let name = property.name;
    if FOLLOWED.contains(&name) || ours.contains(&name) {
        return None;
    }
    match NOT_FOLLOWED.iter().find(|(known, ..)| *known == name) {
        Some((_, usual, follows)) => {
            let is_usual = match usual {
                Usual::Never => false,
                Usual::Word(word) => text(node, name).as_deref() == Some(word),
                Usual::Number(usual) => number(node, name) == Ok(Some(*usual)),
            };
            (!is_usual).then(|| format!("has {name}, which is not followed: {follows}"))
        }
        None => Some(format!("has {name}, which means nothing here")),
    }
}

fn of_node(node: FdtNode<'_, '_>) -> String {
    let name = node.name;
    match OTHER_NODES.iter().find(|(known, _)| is_compatible(node, known)) {
        Some((known, follows)) => format!("has {name}, compatible with \"{known}\", which is not followed: {follows}"),
        None if MODULE.iter().any(|module| is_compatible(node, module)) => {
            format!("has {name}, a module that is neither \"{}\" nor \"{}\": it is not used", KERNEL[0], RAMDISK[0])
        }
        None => format!("has {name}, which means nothing here"),
    }
}

/// Says what is asked for outside of VMs' nodes, and not done: in /chosen, and of devices.
pub fn of_machine(tree: &Fdt<'_>) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut remark = |node: &str, text: String| remarks.push(Remark { node: node.to_string(), text });
    if let Some(chosen) = tree.find_node("/chosen") {
        for name in chosen.properties().map(|property| property.name) {
            if let Some((_, follows)) = NOT_FOLLOWED_IN_CHOSEN.iter().find(|(known, _)| *known == name) {
                remark("/chosen", format!("has {name}, which is not followed: {follows}"));
            } else if (name.starts_with("xen,") || name.starts_with("triptych,")) && !OURS.contains(&name) {
                remark("/chosen", format!("has {name}, which means nothing here"));
            }
        }
        for child in chosen.children() {
            if MODULE.iter().any(|module| is_compatible(child, module)) {
                remark(
                    "/chosen",
                    format!("has {}, a module for a dom0, which there is not: it is not used", child.name),
                );
            } else if OTHER_NODES.iter().any(|(known, _)| is_compatible(child, known)) {
                remark("/chosen", of_node(child));
            }
        }
    }
    if super::notification(tree) == Some(Err(())) {
        let follows = "which are not followed: VMs have no notifications, which come by one SPI with a rising edge";
        remark("/firmware/optee", format!("has interrupts, {follows}"));
    }
    for device in tree.all_nodes().filter(|node| node.property("xen,passthrough").is_some()) {
        remark(device.name, "has xen,passthrough, which is not followed: no device is given to a VM".into());
    }
    remarks
}
