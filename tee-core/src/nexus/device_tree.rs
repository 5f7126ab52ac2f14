//! What the TEE reads in the machine's device tree: where non-secure RAM is.

use super::ns_ram::NsRam;
use fdt::Fdt;
use shared_abi::layout::Range;

/// The memory nodes the normal world may use. Read once at boot, before the normal world runs, in a tree that the
/// monitor vouches for.
///
/// QEMU describes secure memory as a memory node too (`secram@…`): `status = "disabled"` is the normal world's view of it.
pub fn ns_ram(tree: &[u8]) -> NsRam {
    let mut ram = NsRam::new();
    let Ok(fdt) = Fdt::new(tree) else { return ram };
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

    fn tree(nodes: impl IntoIterator<Item = DeviceTreeNode>) -> Vec<u8> {
        let mut tree = DeviceTree::new();
        for cells in ["#address-cells", "#size-cells"] {
            tree.root.add_property(DeviceTreeProperty::new(cells, [2u32]).unwrap());
        }
        nodes.into_iter().for_each(|node| tree.root.add_child(node));
        tree.to_dtb()
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
        assert_eq!(ns_ram(&tree).ranges(), expected);
    }

    #[test]
    fn a_tree_that_calls_secure_memory_ram_is_not_believed() {
        let tree = tree([
            memory("memory@0", "memory", None, &[0, 0, 0, 0x8000_0000]),
            memory("memory@e000000", "memory", None, &[0, 0xE00_0000, 0, 0x100_0000]),
        ]);
        assert!(ns_ram(&tree).ranges().is_empty());
    }

    #[test]
    fn what_is_no_tree_names_no_ram() {
        assert!(ns_ram(&[0; 64]).ranges().is_empty());
        assert!(ns_ram(&[]).ranges().is_empty());
    }
}
