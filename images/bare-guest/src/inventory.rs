// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest learns of its machine from its device tree.
#![forbid(unsafe_code)]

use fdt::Fdt;
use fdt::node::FdtNode;

/// By which instruction the TEE is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// `smc`.
    Smc,
    /// `hvc`.
    Hvc,
}

/// The parts of the machine that the guest uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inventory<'a> {
    /// Address of the PL011.
    pub uart: Option<usize>,
    /// Address of the GICv3's distributor, and of the first redistributor.
    pub gic: Option<[usize; 2]>,
    /// Where the memory begins, and its size in bytes.
    pub memory: Option<(usize, usize)>,
    /// How the TEE is called, if there is one.
    pub optee: Option<Conduit>,
    /// How PSCI is called.
    pub psci: Conduit,
    /// The command line.
    pub bootargs: &'a str,
}

impl<'a> Inventory<'a> {
    /// Reads the device tree. What is not in it is `None` or empty.
    pub fn read(tree: &Fdt<'a>) -> Self {
        let first = |compatible| tree.find_compatible(&[compatible]).and_then(registers).map(|[first, _]| first);
        // `Fdt::memory` and `Fdt::chosen` of this crate panic where the node is missing.
        let memory = tree.find_node("/memory").and_then(|node| node.reg()?.next());
        let chosen = tree.find_node("/chosen").and_then(|node| node.property("bootargs"));
        Self {
            uart: first("arm,pl011"),
            gic: tree.find_compatible(&["arm,gic-v3"]).and_then(registers).filter(|[_, second]| *second != 0),
            memory: memory.map(|region| (region.starting_address as usize, region.size.unwrap_or(0))),
            optee: tree.find_node("/firmware/optee").map(conduit),
            psci: tree.find_node("/psci").map_or(Conduit::Smc, conduit),
            bootargs: chosen.and_then(|property| property.as_str()).unwrap_or(""),
        }
    }
}

/// Returns the first two addresses of a node, 0 where there is only one.
fn registers(node: FdtNode<'_, '_>) -> Option<[usize; 2]> {
    let mut regions = node.reg()?.map(|region| region.starting_address as usize);
    let first = regions.next()?;
    Some([first, regions.next().unwrap_or(0)])
}

fn conduit(node: FdtNode<'_, '_>) -> Conduit {
    match node.property("method").and_then(|property| property.as_str()) {
        Some("hvc") => Conduit::Hvc,
        _ => Conduit::Smc,
    }
}
