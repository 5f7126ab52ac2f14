// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the TEE reads in the machine's device tree: where non-secure RAM is.

use crate::memory::ns_ram::AllegedRam;
use fdt::Fdt;
use fdt::node::FdtNode;
use shared_abi::dtb::Checked;
use shared_abi::layout::Range;
use shared_abi::trace::{CHOSEN, COMPATIBLE, Way};

/// Reads which memory nodes the normal world may use. Once at boot, before the normal world runs.
///
/// QEMU describes secure memory as a memory node too (`secram@…`): `status = "disabled"` is the normal world's view of
/// it.
pub fn ns_ram(tree: Checked<'_>) -> AllegedRam {
    let mut ram = AllegedRam::new();
    let Ok(fdt) = Fdt::new(tree.bytes()) else { return ram };
    let Some(root) = fdt.find_node("/") else { return ram };
    for node in root.children() {
        let text = |name| node.property(name).and_then(|property| property.as_str());
        if text("device_type") != Some("memory") || text("status").is_some_and(|status| status != "okay") {
            continue;
        }
        for region in node.reg().into_iter().flatten() {
            let range = Range::new(region.starting_address as u64, region.size.unwrap_or(0) as u64);
            if ram.add(range).is_err() {
                log::warn!("{:#x}+{:#x} is not used as non-secure RAM", range.base, range.size);
            }
        }
    }
    ram
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
            memory("secram@e000000", "memory", Some("disabled"), &[0, 0xE00_0000, 0, 0x100_0000]),
            memory("secram@3000000000", "memory", Some("disabled"), &[0x30, 0, 0, 0x100_0000]),
            memory("flash@0", "flash", None, &[0, 0, 0, 0x400_0000]),
        ]);
        let expected = [(0x4000_0000, 0x4000_0000), (0x1_0000_0000, 0x1000_0000), (0x2_0000_0000, 0x1000)]
            .map(|(b, s)| Range::new(b, s));
        assert_eq!(ns_ram(tree).ranges(), expected);
    }

    #[test]
    fn a_tree_that_calls_secure_memory_ram_is_not_believed() {
        let tree = tree([
            memory("memory@0", "memory", None, &[0, 0, 0, 0x8000_0000]),
            memory("memory@e000000", "memory", None, &[0, 0xE00_0000, 0, 0x100_0000]),
        ]);
        assert!(ns_ram(tree).ranges().is_empty());
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
