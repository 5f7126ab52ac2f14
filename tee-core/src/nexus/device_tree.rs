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
