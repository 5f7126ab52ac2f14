// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device tree that the chain boots with: the machine's own, and the VMs beside it.
//!
//! VMs are described by Xen's dom0less binding (Xen `docs/misc/arm/device-tree/booting.txt`); properties that are ours
//! begin with `triptych,`.

use crate::guests::{Guest, Module, Role};
use crate::scenario::{Chain, DtbPlace, Property as Value, Size};
use anyhow::{Context, Result, anyhow};
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use shared_abi::layout::TRACE;
use shared_abi::trace::{CHOSEN, CHOSEN_UART, COMPATIBLE, Way};

/// Whether seeds are what the machine gave or the same each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seeds {
    /// What QEMU drew.
    Random,
    /// Constants, for runs that repeat instruction for instruction.
    Fixed,
}

/// Whose hypervisor it is that reads of VMs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Ours.
    Ours,
    /// Another, which knows Xen's properties only.
    Foreign,
}

/// Makes the machine's tree with the VMs in `/chosen`.
pub(crate) fn with_guests(machine: &[u8], guests: &[Guest<'_>], whose: Whose, seeds: Seeds) -> Result<Vec<u8>> {
    let fdt = Fdt::new(machine).map_err(|error| anyhow!("QEMU's device tree is damaged: {error}"))?;
    let mut tree = DeviceTree::from_fdt(&fdt);
    if tree.find_node("/chosen").is_none() {
        tree.root.add_child(node("chosen")?);
    }
    let chosen = tree.find_node_mut("/chosen").context("the tree lost its /chosen")?;
    put(chosen, "#address-cells", 2u32)?;
    put(chosen, "#size-cells", 2u32)?;
    if seeds == Seeds::Fixed {
        put(chosen, "rng-seed", (0..32).collect::<Vec<u8>>())?;
        put(chosen, "kaslr-seed", 0x0123_4567_89ab_cdef_u64)?;
    }
    for (index, guest) in guests.iter().enumerate() {
        chosen.add_child(domain(index + 1, guest, whose)?);
    }
    Ok(tree.to_dtb())
}

/// Makes the machine's tree with the script of a probe in the hypervisor's place.
pub(crate) fn with_script(machine: &[u8], script: &[u8]) -> Result<Vec<u8>> {
    chosen(machine, "triptych,script", script.to_vec())
}

/// Makes the machine's tree with so many bytes that mean nothing.
pub(crate) fn with_ballast(machine: &[u8], size: Size) -> Result<Vec<u8>> {
    chosen(machine, "triptych,ballast", vec![0x5A_u8; size.0 as usize])
}

/// Makes the machine's tree with the wish that guests leave no trained branch predictor behind.
pub(crate) fn with_hardened_predictor(machine: &[u8]) -> Result<Vec<u8>> {
    chosen(machine, "triptych,harden-predictor", Vec::new())
}

/// Makes the machine's tree with what boots first in a normal world that is not ours: for a kernel its command line and
/// RAM disk (Linux `Documentation/arch/arm64/booting.rst`, `Documentation/devicetree/usage-model.rst`), for a
/// hypervisor the modules of dom0 (Xen `docs/misc/arm/device-tree/booting.txt`).
pub(crate) fn with_first(machine: &[u8], chain: &Chain, first: &[Module]) -> Result<Vec<u8>> {
    let fdt = Fdt::new(machine).map_err(|error| anyhow!("the device tree is damaged: {error}"))?;
    let mut tree = DeviceTree::from_fdt(&fdt);
    let chosen = tree.find_node_mut("/chosen").context("the tree has no /chosen")?;
    if chain.kernel.is_some() {
        put(chosen, "xen,xen-bootargs", chain.hypervisor_bootargs.as_str())?;
        put(chosen, "xen,dom0-bootargs", chain.bootargs.as_str())?;
        for module in first {
            chosen.add_child(module_node(module, module.address, module.size)?);
        }
    } else {
        put(chosen, "bootargs", chain.bootargs.as_str())?;
        for module in first {
            put(chosen, "linux,initrd-start", module.address)?;
            put(chosen, "linux,initrd-end", module.address + module.size)?;
        }
    }
    Ok(tree.to_dtb())
}

/// Makes the machine's tree with the word for our TEE that nobody will tell it of VMs.
pub(crate) fn with_single_client(machine: &[u8]) -> Result<Vec<u8>> {
    chosen(machine, "triptych,tee", b"single\0".to_vec())
}

/// Makes the machine's tree with a node for our TEE, which our monitor adds and no other does; OP-TEE adds its own.
pub(crate) fn with_tee(machine: &[u8]) -> Result<Vec<u8>> {
    let fdt = Fdt::new(machine).map_err(|error| anyhow!("the device tree is damaged: {error}"))?;
    let mut tree = DeviceTree::from_fdt(&fdt);
    if tree.find_node("/firmware").is_none() {
        tree.root.add_child(node("firmware")?);
    }
    let mut optee = node("optee")?;
    put(&mut optee, "compatible", "linaro,optee-tz")?;
    put(&mut optee, "method", "smc")?;
    tree.find_node_mut("/firmware").context("the tree lost its /firmware")?.add_child(optee);
    Ok(tree.to_dtb())
}

fn chosen(machine: &[u8], name: &str, value: Vec<u8>) -> Result<Vec<u8>> {
    let fdt = Fdt::new(machine).map_err(|error| anyhow!("the device tree is damaged: {error}"))?;
    let mut tree = DeviceTree::from_fdt(&fdt);
    let chosen = tree.find_node_mut("/chosen").context("the tree has no /chosen")?;
    put(chosen, name, value)?;
    Ok(tree.to_dtb())
}

/// Makes the machine's tree with the way by which the layers' records leave it.
pub(crate) fn with_trace(machine: &[u8], way: Way) -> Result<Vec<u8>> {
    let fdt = Fdt::new(machine).map_err(|error| anyhow!("the device tree is damaged: {error}"))?;
    let mut tree = DeviceTree::from_fdt(&fdt);
    match way {
        Way::Nowhere => {}
        Way::Rings => {
            if tree.find_node("/reserved-memory").is_none() {
                let mut reserved = node("reserved-memory")?;
                put(&mut reserved, "#address-cells", 2u32)?;
                put(&mut reserved, "#size-cells", 2u32)?;
                put(&mut reserved, "ranges", Vec::<u8>::new())?;
                tree.root.add_child(reserved);
            }
            let mut rings = node(&format!("trace@{:x}", TRACE.base))?;
            put(&mut rings, "compatible", COMPATIBLE)?;
            put(&mut rings, "reg", [TRACE.base.to_be_bytes(), TRACE.size.to_be_bytes()].concat())?;
            put(&mut rings, "no-map", Vec::<u8>::new())?;
            tree.find_node_mut("/reserved-memory").context("the tree lost its /reserved-memory")?.add_child(rings);
        }
        Way::Frames => {
            put(tree.find_node_mut("/chosen").context("the tree has no /chosen")?, CHOSEN, CHOSEN_UART)?;
        }
    }
    Ok(tree.to_dtb())
}

/// Makes the node `/chosen/domU<n>`.
fn domain(number: usize, guest: &Guest<'_>, whose: Whose) -> Result<DeviceTreeNode> {
    let vm = guest.vm;
    let mut domain = node(&format!("domU{number}"))?;
    put(&mut domain, "compatible", "xen,domain")?;
    put(&mut domain, "#address-cells", 2u32)?;
    put(&mut domain, "#size-cells", 2u32)?;
    put(&mut domain, "memory", vm.memory.0 / 1024)?;
    put(&mut domain, "cpus", vm.cpus)?;
    match whose {
        Whose::Ours => say_ours(&mut domain, guest)?,
        Whose::Foreign if vm.tee => put(&mut domain, "xen,tee", "optee")?,
        Whose::Foreign => {}
    }
    for (name, value) in &vm.properties {
        match value {
            Value::Empty(_) => put(&mut domain, name, Vec::<u8>::new())?,
            Value::Number(number) => put(&mut domain, name, *number)?,
            Value::Cells(cells) => put(&mut domain, name, cells.as_slice())?,
            Value::Text(text) => put(&mut domain, name, text.as_str())?,
        }
    }
    for module in &guest.modules {
        let (mut address, mut size) = (module.address, module.size);
        if module.role == Role::Kernel {
            address = vm.kernel_module.address.unwrap_or(address);
            size = vm.kernel_module.size.unwrap_or(size);
        }
        let mut child = module_node(module, address, size)?;
        if module.role == Role::Kernel && !vm.bootargs.is_empty() {
            put(&mut child, "bootargs", vm.bootargs.as_str())?;
        }
        domain.add_child(child);
    }
    Ok(domain)
}

/// Says what our hypervisor alone knows of.
fn say_ours(domain: &mut DeviceTreeNode, guest: &Guest<'_>) -> Result<()> {
    let vm = guest.vm;
    put(domain, "triptych,name", vm.name.as_str())?;
    if vm.tee {
        put(domain, "triptych,tee", Vec::<u8>::new())?;
    }
    if let Some(id) = vm.id {
        put(domain, "triptych,id", id)?;
    }
    if vm.dtb == Some(DtbPlace::AfterKernel) {
        put(domain, "triptych,dtb", "after-kernel")?;
    }
    if let Some(place) = guest.modules.iter().find_map(|module| module.place) {
        put(domain, "triptych,kernel-address", place.address)?;
        put(domain, "triptych,kernel-entry", place.entry)?;
    }
    Ok(())
}

/// Makes a module's node, which says that it is at this address, so long.
fn module_node(module: &Module, address: u64, size: u64) -> Result<DeviceTreeNode> {
    // Named by where it is, so that a scenario's lie can't give two nodes one name.
    let mut child = node(&format!("module@{:x}", module.address))?;
    let kind = match module.role {
        Role::Kernel => "multiboot,kernel",
        Role::Ramdisk => "multiboot,ramdisk",
    };
    put(&mut child, "compatible", vec![kind, "multiboot,module"])?;
    put(&mut child, "reg", [address.to_be_bytes(), size.to_be_bytes()].concat())?;
    Ok(child)
}

fn node(name: &str) -> Result<DeviceTreeNode> {
    DeviceTreeNode::new(name).map_err(|error| anyhow!("`{name}` cannot name a node: {error}"))
}

fn put<T: dtoolkit::ToPropertyValue>(node: &mut DeviceTreeNode, name: &str, value: T) -> Result<()> {
    node.remove_property(name);
    let property = DeviceTreeProperty::new(name, value);
    node.add_property(property.map_err(|error| anyhow!("`{name}` cannot name a property: {error}"))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::Place;
    use crate::scenario::{Placement, Vm};
    use dtoolkit::{Node, Property};
    use std::path::PathBuf;

    fn vm() -> Vm {
        Vm {
            name: "linux".into(),
            kernel: Some("linux".into()),
            initramfs: Some("linux".into()),
            memory: Size(256 << 20),
            cpus: 2,
            bootargs: "console=ttyAMA0".into(),
            tee: true,
            id: Some(7),
            kernel_ballast: Size(0),
            kernel_module: Placement::default(),
            dtb: None,
            properties: Default::default(),
            play: None,
            script: None,
        }
    }

    fn modules() -> Vec<Module> {
        let module = |role, address| Module { role, file: PathBuf::from("f"), address, size: 0x1234, place: None };
        vec![module(Role::Kernel, 0x7000_0000), module(Role::Ramdisk, 0x7020_0000)]
    }

    fn tree(vm: &Vm, seeds: Seeds) -> DeviceTree {
        let mut machine = DeviceTree::new();
        let mut chosen = node("chosen").unwrap();
        put(&mut chosen, "rng-seed", vec![0xA5_u8; 32]).unwrap();
        put(&mut chosen, "stdout-path", "/pl011@9000000").unwrap();
        machine.root.add_child(chosen);
        let bytes = with_guests(&machine.to_dtb(), &[Guest { vm, modules: modules() }], Whose::Ours, seeds).unwrap();
        DeviceTree::from_fdt(&Fdt::new(&bytes).unwrap())
    }

    fn value(tree: &DeviceTree, path: &str, name: &str) -> Option<Vec<u8>> {
        let node = tree.find_node(path)?;
        node.property(name).map(|property| property.value().to_vec())
    }

    #[test]
    fn a_vm_is_described_by_the_dom0less_binding() {
        let tree = tree(&vm(), Seeds::Random);
        let of = |name| value(&tree, "/chosen/domU1", name).unwrap();
        assert_eq!(of("compatible"), b"xen,domain\0");
        assert_eq!(of("memory"), (256u64 << 10).to_be_bytes());
        assert_eq!(of("cpus"), 2u32.to_be_bytes());
        assert_eq!(of("triptych,id"), 7u32.to_be_bytes());
        assert_eq!(of("triptych,tee"), b"");
        let of = |name| value(&tree, "/chosen/domU1/module@70000000", name).unwrap();
        assert_eq!(of("compatible"), b"multiboot,kernel\0multiboot,module\0");
        assert_eq!(of("reg"), [0, 0, 0, 0, 0x70, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34]);
        assert_eq!(of("bootargs"), b"console=ttyAMA0\0");
        let disk = "/chosen/domU1/module@70200000";
        assert_eq!(value(&tree, disk, "compatible").unwrap(), b"multiboot,ramdisk\0multiboot,module\0");
        assert_eq!(value(&tree, disk, "bootargs"), None);
    }

    #[test]
    fn what_the_machine_chose_stays_unless_runs_must_repeat() {
        let random = tree(&vm(), Seeds::Random);
        assert_eq!(value(&random, "/chosen", "rng-seed").unwrap(), [0xA5; 32]);
        assert_eq!(value(&random, "/chosen", "stdout-path").unwrap(), b"/pl011@9000000\0");
        let fixed = tree(&vm(), Seeds::Fixed);
        assert_ne!(value(&fixed, "/chosen", "rng-seed").unwrap(), [0xA5; 32]);
    }

    #[test]
    fn a_scenario_can_lie_about_a_module() {
        let mut vm = vm();
        vm.kernel_module = Placement { address: Some(0x7020_0000), size: Some(1 << 32) };
        let tree = tree(&vm, Seeds::Random);
        let reg = value(&tree, "/chosen/domU1/module@70000000", "reg").unwrap();
        assert_eq!(reg, [0, 0, 0, 0, 0x70, 0x20, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        let disk = value(&tree, "/chosen/domU1/module@70200000", "reg").unwrap();
        assert_eq!(disk[8..], 0x1234u64.to_be_bytes());
    }

    #[test]
    fn a_vm_says_where_its_images_are_to_be_and_what_else_its_node_has() {
        let mut vm = vm();
        vm.dtb = Some(DtbPlace::AfterKernel);
        vm.properties = [
            ("xen,tee", Value::Text("optee".into())),
            ("direct-map", Value::Empty(true)),
            ("nr_spis", Value::Number(64)),
            ("xen,static-mem", Value::Cells(vec![0, 1, 2])),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let mut modules = modules();
        modules[0].place = Some(Place { address: 0x4008_0000, entry: 0x4008_0040 });
        let mut machine = DeviceTree::new();
        machine.root.add_child(node("chosen").unwrap());
        let bytes = with_guests(&machine.to_dtb(), &[Guest { vm: &vm, modules }], Whose::Ours, Seeds::Random).unwrap();
        let tree = DeviceTree::from_fdt(&Fdt::new(&bytes).unwrap());
        let of = |name| value(&tree, "/chosen/domU1", name).unwrap();
        assert_eq!(of("triptych,dtb"), b"after-kernel\0");
        assert_eq!(of("triptych,kernel-address"), 0x4008_0000u64.to_be_bytes());
        assert_eq!(of("triptych,kernel-entry"), 0x4008_0040u64.to_be_bytes());
        assert_eq!(
            (of("xen,tee"), of("direct-map"), of("nr_spis")),
            (b"optee\0".into(), vec![], 64u32.to_be_bytes().into())
        );
        assert_eq!(of("xen,static-mem"), [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
    }

    #[test]
    fn the_tree_says_how_records_leave_the_machine() {
        let mut machine = DeviceTree::new();
        machine.root.add_child(node("chosen").unwrap());
        let traced = |way| {
            let bytes = with_trace(&machine.to_dtb(), way).unwrap();
            DeviceTree::from_fdt(&Fdt::new(&bytes).unwrap())
        };
        let tree = traced(Way::Rings);
        let of = |name| value(&tree, "/reserved-memory/trace@44000000", name).unwrap();
        assert_eq!(of("compatible"), b"triptych,trace\0");
        assert_eq!(of("reg"), [0, 0, 0, 0, 0x44, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0]);
        assert_eq!(of("no-map"), b"");
        assert_eq!(value(&tree, "/reserved-memory", "ranges").unwrap(), b"");
        assert_eq!(value(&tree, "/reserved-memory", "#size-cells").unwrap(), 2u32.to_be_bytes());
        assert_eq!(value(&tree, "/chosen", CHOSEN), None);
        let tree = traced(Way::Frames);
        assert_eq!(value(&tree, "/chosen", CHOSEN).unwrap(), b"uart\0");
        assert!(tree.find_node("/reserved-memory").is_none());
    }

    #[test]
    fn a_damaged_tree_is_an_error() {
        assert!(with_guests(b"no tree", &[], Whose::Ours, Seeds::Random).is_err());
        assert!(with_trace(b"no tree", Way::Rings).is_err());
    }

    #[test]
    fn what_boots_first_is_said_as_linux_and_as_xen_read_it() {
        let mut machine = DeviceTree::new();
        machine.root.add_child(node("chosen").unwrap());
        let first = |chain: &Chain| {
            let bytes = with_first(&machine.to_dtb(), chain, &modules()[1..]).unwrap();
            DeviceTree::from_fdt(&Fdt::new(&bytes).unwrap())
        };
        let text = |node: &DeviceTreeNode, name: &str| node.property(name).map(|property| property.value().to_vec());
        let mut chain = Chain { bootargs: "quiet".into(), ..Chain::default() };
        let tree = first(&chain);
        let chosen = tree.find_node("/chosen").unwrap();
        assert_eq!(text(chosen, "bootargs"), Some(b"quiet\0".to_vec()));
        assert_eq!(text(chosen, "linux,initrd-start"), Some(0x7020_0000_u64.to_be_bytes().to_vec()));
        assert_eq!(text(chosen, "linux,initrd-end"), Some(0x7020_1234_u64.to_be_bytes().to_vec()));
        (chain.kernel, chain.hypervisor_bootargs) = (Some("linux".into()), "dom0_mem=1G".into());
        let tree = first(&chain);
        let chosen = tree.find_node("/chosen").unwrap();
        assert_eq!(text(chosen, "xen,xen-bootargs"), Some(b"dom0_mem=1G\0".to_vec()));
        assert_eq!(text(chosen, "xen,dom0-bootargs"), Some(b"quiet\0".to_vec()));
        assert!(text(chosen, "bootargs").is_none());
        let module = tree.find_node("/chosen/module@70200000").unwrap();
        assert_eq!(text(module, "compatible"), Some(b"multiboot,ramdisk\0multiboot,module\0".to_vec()));
    }

    #[test]
    fn a_domain_of_xens_has_xens_properties_only() {
        let mut machine = DeviceTree::new();
        machine.root.add_child(node("chosen").unwrap());
        let vm = vm();
        let guests = [Guest { vm: &vm, modules: modules() }];
        let bytes = with_guests(&machine.to_dtb(), &guests, Whose::Foreign, Seeds::Random).unwrap();
        let tree = DeviceTree::from_fdt(&Fdt::new(&bytes).unwrap());
        let domain = tree.find_node("/chosen/domU1").unwrap();
        assert!(domain.properties().all(|property| !property.name().starts_with("triptych,")));
        assert_eq!(domain.property("xen,tee").unwrap().value(), b"optee\0");
    }

    #[test]
    fn our_tee_alone_is_told_of_its_one_client_and_has_a_node_where_nobody_adds_one() {
        let mut machine = DeviceTree::new();
        machine.root.add_child(node("chosen").unwrap());
        let bytes = with_tee(&with_single_client(&machine.to_dtb()).unwrap()).unwrap();
        let tree = DeviceTree::from_fdt(&Fdt::new(&bytes).unwrap());
        assert_eq!(tree.find_node("/chosen").unwrap().property("triptych,tee").unwrap().value(), b"single\0");
        assert_eq!(tree.find_node("/firmware/optee").unwrap().property("method").unwrap().value(), b"smc\0");
    }
}
