// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the TEE reads in the machine's device tree: where non-secure RAM is, and whom it is to serve.

use crate::memory::ns_ram::AllegedRam;
use crate::mode::Mode;
use fdt::Fdt;
use fdt::node::FdtNode;
use shared_abi::chosen::{SINGLE, TEE};
use shared_abi::dtb::Checked;
use shared_abi::layout::Range;
use shared_abi::trace::{CHOSEN, COMPATIBLE, Way};

/// What the tree says.
pub struct Told {
    /// Which memory nodes the normal world may use.
    pub ram: AllegedRam,
    /// Whom the TEE is to serve.
    pub mode: Mode,
}

/// Reads the tree. Once at boot, before the normal world runs: what that puts there is never looked at.
///
/// Memory nodes have that name (Devicetree Specification 0.4 §3.4). QEMU calls secure memory `secram@…`; of one with
/// the right name, `status = "disabled"` is the normal world's view.
pub fn read(tree: Checked<'_>) -> Told {
    let mut told = Told { ram: AllegedRam::new(), mode: Mode::default() };
    // In one go, and looking into few nodes: most of reading a tree is reading the properties' names.
    let fdt = Fdt::new(tree.bytes());
    let root = fdt.as_ref().ok().and_then(|fdt| fdt.find_node("/"));
    for node in root.iter().flat_map(|root| root.children()) {
        match node.name.split('@').next() {
            Some("chosen") => told.mode = mode(node),
            Some("memory") => add_memory(&mut told.ram, node),
            _ => {}
        }
    }
    told
}

/// Adds what a memory node says, if the normal world may use it.
fn add_memory(ram: &mut AllegedRam, node: FdtNode<'_, '_>) {
    if text(node, "device_type") != Some("memory") || text(node, "status").is_some_and(|status| status != "okay") {
        return;
    }
    for region in node.reg().into_iter().flatten() {
        let range = Range::new(region.starting_address as u64, region.size.unwrap_or(0) as u64);
        if ram.add(range).is_err() {
            log::warn!("{:#x}+{:#x} is not used as non-secure RAM", range.base, range.size);
        }
    }
}

/// Reads whom the TEE is to serve.
fn mode(chosen: FdtNode<'_, '_>) -> Mode {
    match text(chosen, TEE) {
        None => return Mode::Virtualized,
        Some(SINGLE) => return Mode::Single,
        Some(_) => {}
    }
    log::warn!("triptych,tee in /chosen is ignored: it is not \"single\", the one value that it can have");
    Mode::Virtualized
}

/// Reads a property as text; what is none is no value that anything has.
fn text<'t>(node: FdtNode<'_, 't>, name: &str) -> Option<&'t str> {
    node.property(name).map(|property| property.as_str().unwrap_or_default())
}

/// Reads by which way trace records are to leave the machine, of which `ram` is known to be non-secure. Once at boot,
/// too.
pub fn trace(tree: Checked<'_>, ram: &[Range]) -> Way {
    let Ok(fdt) = Fdt::new(tree.bytes()) else { return Way::Nowhere };
    let reserved = fdt.find_node("/reserved-memory").and_then(|memory| {
        let compatible = |node: &FdtNode<'_, '_>| node.compatible().is_some_and(|with| with.first() == COMPATIBLE);
        let region = memory.children().find(compatible)?.reg()?.next()?;
        Some(Range::new(region.starting_address as u64, region.size? as u64))
    });
    let chosen = fdt.find_node("/chosen").and_then(|node| node.property(CHOSEN)?.as_str());
    Way::of(reserved, ram, chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

    fn memory(name: &str, device_type: &str, status: Option<&str>, reg: &[u32]) -> DeviceTreeNode {
        let text = |name: &str, value: &str| DeviceTreeProperty::new(name, value).unwrap();
        let mut node = DeviceTreeNode::new(String::from(name)).unwrap();
        node.add_property(text("device_type", device_type));
        node.add_property(DeviceTreeProperty::new("reg", reg).unwrap());
        if let Some(status) = status {
            node.add_property(text("status", status));
        }
        node
    }

    fn tree(nodes: impl IntoIterator<Item = DeviceTreeNode>) -> Checked<'static> {
        let mut tree = DeviceTree::new();
        for cells in ["#address-cells", "#size-cells"] {
            tree.root.add_property(DeviceTreeProperty::new(cells, [2u32]).unwrap());
        }
        nodes.into_iter().for_each(|node| tree.root.add_child(node));
        Checked::new(tree.to_dtb().leak()).unwrap()
    }

    #[test]
    fn ram_is_what_memory_nodes_of_the_normal_world_say() {
        let tree = tree([
            memory("memory@40000000", "memory", None, &[0, 0x4000_0000, 0, 0x4000_0000, 1, 0, 0, 0x1000_0000]),
            memory("memory@200000000", "memory", Some("okay"), &[2, 0, 0, 0x1000]),
            memory("secram@3000000000", "memory", None, &[0x30, 0, 0, 0x100_0000]),
            memory("memory@3100000000", "memory", Some("disabled"), &[0x31, 0, 0, 0x100_0000]),
            memory("memory@3200000000", "flash", None, &[0x32, 0, 0, 0x100_0000]),
            memory("memory", "memory", None, &[0x33, 0, 0, 0x1000]),
        ]);
        let expected = [(0x4000_0000, 0x4000_0000), (1 << 32, 0x1000_0000), (2 << 32, 0x1000), (0x33 << 32, 0x1000)]
            .map(|(base, size)| Range::new(base, size));
        assert_eq!(read(tree).ram.ranges(), expected);
    }

    #[test]
    fn a_tree_that_calls_secure_memory_ram_is_not_believed() {
        let tree = tree([
            memory("memory@0", "memory", None, &[0, 0, 0, 0x8000_0000]),
            memory("memory@e000000", "memory", None, &[0, 0xE00_0000, 0, 0x100_0000]),
        ]);
        assert!(read(tree).ram.ranges().is_empty());
    }

    #[test]
    fn whom_the_tee_serves_is_what_chosen_says_and_nobody_else() {
        let node = |name: &str, wish: &[u8]| {
            let property = DeviceTreeProperty::new("triptych,tee", wish.to_vec()).unwrap();
            DeviceTreeNode::builder(String::from(name)).unwrap().property(property)
        };
        let chosen = |wish: &[u8]| read(tree([node("chosen", wish).build()])).mode;
        assert_eq!(chosen(b"single\0"), Mode::Single);
        for wish in
            [&b""[..], b"\0", b"singl\0", b"singles\0", b"Single\0", b"virtualized\0", b"single\0x\0", b"\xFF\0"]
        {
            assert_eq!(chosen(wish), Mode::Virtualized, "{wish:?}");
        }
        // A VM's own wish has the same name.
        let mut guest = node("chosen", b"").build();
        guest.remove_property("triptych,tee");
        guest.add_child(node("domU1", b"single\0").build());
        for elsewhere in [vec![], vec![guest], vec![node("choose", b"single\0").build()]] {
            assert_eq!(read(tree(elsewhere)).mode, Mode::Virtualized);
        }
    }

    #[test]
    fn trace_records_go_where_the_tree_reserves_memory_for_them_or_says_how() {
        let ram = [Range::new(0x4000_0000, 0x8000_0000)];
        let text = |name: &str, value: &str| DeviceTreeProperty::new(name, value).unwrap();
        let node = |name: &str| DeviceTreeNode::builder(String::from(name)).unwrap();
        let cells = |name: &str| DeviceTreeProperty::new(name, [2u32]).unwrap();
        let trace_at = |base: u32| {
            let reg = DeviceTreeProperty::new("reg", [0, base, 0, 96 << 20]).unwrap();
            let memory = node("trace@44000000").property(text("compatible", COMPATIBLE)).property(reg).build();
            let mut reserved =
                node("reserved-memory").property(cells("#address-cells")).property(cells("#size-cells")).build();
            reserved.add_child(memory);
            reserved
        };
        let chosen = || node("chosen").property(text(CHOSEN, "uart")).build();
        assert_eq!(trace(tree([trace_at(0x4400_0000), chosen()]), &ram), Way::Rings);
        assert_eq!(trace(tree([trace_at(0x4400_0000)]), &ram[..0]), Way::Nowhere);
        assert_eq!(trace(tree([trace_at(0x4500_0000), chosen()]), &ram), Way::Frames);
        assert_eq!(trace(tree([]), &ram), Way::Nowhere);
    }
}
