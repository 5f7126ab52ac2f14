// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the probe reads in the device tree.
//!
//! `fdt` panics over some damaged trees; ours come from the firmware or the hypervisor below, which the probe trusts to
//! describe its machine. Everything else about them it attacks.

use crate::script::step::Conduit;
use fdt::Fdt;

/// Returns the script in `/chosen`.
pub fn script<'a>(tree: &Fdt<'a>) -> Option<&'a [u8]> {
    Some(tree.find_node("/chosen")?.property("triptych,script")?.value)
}

/// Returns the initial RAM disk's first address, and the one after its last byte.
pub fn initrd(tree: &Fdt<'_>) -> Option<(u64, u64)> {
    let chosen = tree.find_node("/chosen")?;
    let address = |name| {
        let value = chosen.property(name)?.value;
        // Linux takes either width.
        match value.len() {
            4 => value.try_into().ok().map(u32::from_be_bytes).map(u64::from),
            _ => value.try_into().ok().map(u64::from_be_bytes),
        }
    };
    let (start, end) = (address("linux,initrd-start")?, address("linux,initrd-end")?);
    (start < end).then_some((start, end))
}

/// Says how PSCI is called.
pub fn psci(tree: &Fdt<'_>) -> Conduit {
    let method = tree.find_node("/psci").and_then(|node| node.property("method"));
    match method.and_then(|property| property.as_str()) {
        Some("hvc") => Conduit::Hvc,
        _ => Conduit::Smc,
    }
}
