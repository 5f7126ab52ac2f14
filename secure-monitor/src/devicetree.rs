//! The machine's device tree: what the monitor learns from it, and what it adds.
//!
//! With firmware at EL3 QEMU leaves PSCI and the TEE to the firmware to describe. The boot stage adds both by way of
//! dtoolkit's model, with a heap that is gone after it. There are two complete trees, with the TEE's node and without:
//! the runtime puts the former in place once the TEE has answered.

use crate::services::psci::Ram;
use alloc::vec::Vec;
use core::fmt;
use dtoolkit::Node;
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use shared_abi::layout::{MAX_CPUS, Range};

/// What is wrong with a device tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is none, or it is damaged.
    Unreadable,
    /// It describes no CPU.
    NoCpus,
    /// It describes no memory.
    NoMemory,
    /// With what was added it does not fit where it must be.
    TooLarge {
        /// Bytes it has.
        size: usize,
        /// Bytes there are.
        room: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("none there, or damaged"),
            Self::NoCpus => f.write_str("describes no CPU"),
            Self::NoMemory => f.write_str("describes no memory"),
            Self::TooLarge { size, room } => write!(f, "is {size} bytes when complete, and has room for {room}"),
        }
    }
}

/// What the monitor needs to know.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Affinities of the CPUs.
    pub cpus: heapless::Vec<u64, MAX_CPUS>,
    /// CPUs there are besides.
    pub left_out: usize,
    /// Non-secure RAM.
    pub ram: Ram,
}

/// Reads the tree at the start of `area`.
pub fn read(area: &[u8]) -> Result<Machine, Error> {
    let tree = parse(area)?;
    let root = tree.root();
    let mut machine = Machine { cpus: heapless::Vec::new(), left_out: 0, ram: Ram::new() };
    for node in root.children() {
        match node.name_without_address() {
            "cpus" => {
                for cpu in node.children().filter(|cpu| cpu.name_without_address() == "cpu") {
                    let Ok(Some(mut reg)) = cpu.reg() else { continue };
                    let Some(Ok(mpidr)) = reg.next().map(|reg| reg.address::<u64>()) else { continue };
                    if machine.cpus.push(mpidr).is_err() {
                        machine.left_out += 1;
                    }
                }
            }
            // Only what the normal world may use: QEMU also describes the secure SRAM, with another name.
            "memory" => {
                let Ok(Some(reg)) = node.reg() else { continue };
                for range in reg {
                    if let (Ok(base), Ok(size)) = (range.address::<u64>(), range.size::<u64>()) {
                        // More ranges than there is room for are no places to begin at.
                        let _ = machine.ram.push(Range::new(base, size));
                    }
                }
            }
            _ => {}
        }
    }
    if machine.cpus.is_empty() {
        return Err(Error::NoCpus);
    }
    if machine.ram.is_empty() {
        return Err(Error::NoMemory);
    }
    Ok(machine)
}

/// The tree at the start of `area` with PSCI, and the TEE's node if `tee`, added. Everything else stays as it is.
pub fn complete(area: &[u8], tee: bool) -> Result<Vec<u8>, Error> {
    let tree = parse(area)?;
    let mut model = DeviceTree::from_fdt(&tree);

    let psci = DeviceTreeNode::builder("psci")
        .map_err(|_| Error::Unreadable)?
        .property(property("compatible", ["arm,psci-1.0", "arm,psci-0.2"].as_slice())?)
        .property(property("method", "smc")?)
        .build();
    model.root.remove_child("psci");
    model.root.add_child(psci);

    if let Some(cpus) = model.root.child_mut("cpus") {
        for cpu in cpus.children_mut().filter(|node| node.name_without_address() == "cpu") {
            cpu.remove_property("enable-method");
            cpu.add_property(property("enable-method", "psci")?);
        }
    }

    if tee {
        let optee = DeviceTreeNode::builder("optee")
            .map_err(|_| Error::Unreadable)?
            .property(property("compatible", "linaro,optee-tz")?)
            .property(property("method", "smc")?)
            .build();
        if model.root.child_mut("firmware").is_none() {
            model.root.add_child(DeviceTreeNode::new("firmware").map_err(|_| Error::Unreadable)?);
        }
        if let Some(firmware) = model.root.child_mut("firmware") {
            firmware.remove_child("optee");
            firmware.add_child(optee);
        }
    }

    let mut bytes = model.to_dtb();
    let (size, room) = (bytes.len(), area.len());
    if size > room {
        return Err(Error::TooLarge { size, room });
    }
    // The model does not carry this one number of the header (Devicetree Specification 0.4 §5.2).
    bytes[BOOT_CPUID].copy_from_slice(&tree.boot_cpuid_phys().to_be_bytes());
    Ok(bytes)
}

/// `boot_cpuid_phys` in the header.
const BOOT_CPUID: core::ops::Range<usize> = 28..32;

/// The tree at the start of `area`, checked.
fn parse(area: &[u8]) -> Result<Fdt<'_>, Error> {
    let total = area.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let size = total.ok_or(Error::Unreadable)? as usize;
    Fdt::new(area.get(..size).ok_or(Error::Unreadable)?).map_err(|_| Error::Unreadable)
}

fn property<T: dtoolkit::ToPropertyValue>(name: &str, value: T) -> Result<DeviceTreeProperty, Error> {
    DeviceTreeProperty::new(name, value).map_err(|_| Error::Unreadable)
}

#[cfg(test)]
mod tests;
