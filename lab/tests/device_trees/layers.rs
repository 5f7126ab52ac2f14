// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every layer reads a tree, as one after the other does at boot.

use dtoolkit::model::DeviceTree;
use dtoolkit::{Node, Property};
use fdt::Fdt;
use fdt::node::FdtNode;
use hypervisor::config;
use secure_monitor::boot::tree::{Tree, complete};
use shared_abi::dtb::Checked;
use shared_abi::layout::Range;
use tee_core::nexus;

/// The hypervisor's image and the place of its tree.
const IMAGE: Range = Range::new(0x6000_0000, 0x8_0000);
const PLACE: Range = Range::new(0x4000_0000, 0x10_0000);

/// Hands a tree to every layer. Whatever it is, none panics; and what the monitor makes of it, the others take. Says
/// whether it was taken for a tree at all.
pub fn read(bytes: &[u8]) -> bool {
    let mut own = bytes.to_vec();
    let taken = match Checked::new(&mut own) {
        Ok(tree) => {
            walk(tree.bytes());
            // As where the firmware is another one.
            tee(tree);
            normal_world(tree);
            true
        }
        Err(_) => false,
    };
    let mut area = bytes.to_vec();
    area.resize(bytes.len() + 0x1000, 0xAA);
    let Ok(tree) = Tree::parse(&mut area) else { return taken };
    let Ok(machine) = tree.inventory() else { return taken };
    let _ = tree.trace(&machine);
    for with_tee in [false, true] {
        let mut room = vec![0; bytes.len() + 0x2000];
        if let Ok(size) = complete(tree.bytes(), with_tee, &mut room) {
            let tree = Checked::new(&mut room[..size]).expect("what the monitor writes is a tree");
            assert_eq!(tree.bytes().len(), size);
            tee(tree);
            normal_world(tree);
        }
    }
    taken
}

fn tee(tree: Checked<'_>) {
    let ram = nexus::tree::read(tree).ram;
    let _ = nexus::tree::trace(tree, ram.ranges());
}

fn normal_world(tree: Checked<'_>) {
    let tree = Fdt::new(tree.bytes()).expect("it was checked");
    let machine = config::machine(&tree, IMAGE, PLACE);
    let _ = config::vms(&tree, &machine, |_| false);
    let _ = hypervisor::trace::way(&tree, &machine.memory, &[IMAGE, PLACE]);
}

/// Asks both crates for all that they say of a tree, but what they document to panic over a tree that lacks something.
pub fn walk(tree: &[u8]) {
    let fdt = Fdt::new(tree).expect("a tree");
    for path in
        ["/", "/chosen", "/cpus", "/cpus/cpu@0", "/reserved-memory", "/firmware/optee", "/nowhere", "serial0", "x"]
    {
        fdt.find_node(path).into_iter().for_each(ask);
        fdt.find_all_nodes(path).for_each(ask);
    }
    fdt.all_nodes().for_each(ask);
    let _ = fdt.root().cell_sizes();
    let _ = fdt.find_compatible(&["arm,gic-v3", "xen,domain"]);
    let _ = fdt.find_phandle(1);
    let _ = fdt.memory_reservations().count();
    let _ = fdt.strings().count();
    if let Ok(tree) = dtoolkit::fdt::Fdt::new(tree) {
        tree.memory_reservations().for_each(drop);
        follow(&tree.root());
        let _ = DeviceTree::from_fdt(&tree).to_dtb();
    }
}

fn ask(node: FdtNode<'_, '_>) {
    for property in node.properties() {
        let _ = (property.as_str(), property.as_usize());
        let _ = node.property(property.name);
    }
    node.reg().into_iter().flatten().for_each(drop);
    let _ = (node.cell_sizes(), node.interrupt_cells(), node.interrupt_parent().is_some());
    node.interrupts().into_iter().flatten().for_each(drop);
    if let Some(compatible) = node.compatible() {
        let _ = (compatible.first(), compatible.all().count());
    }
    node.children().for_each(|child| child.children().for_each(ask_name));
}

fn ask_name(node: FdtNode<'_, '_>) {
    let _ = node.name.len();
}

fn follow(node: &dtoolkit::fdt::FdtNode<'_>) {
    let _ = (node.name_without_address(), node.property("compatible").map(|value| value.value_as::<&str>().is_ok()));
    if let Ok(Some(reg)) = node.reg() {
        for range in reg {
            let _ = (range.address::<u64>(), range.size::<u64>());
        }
    }
    node.children().for_each(|child| follow(&child));
}
